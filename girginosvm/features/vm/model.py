"""A machine as its node wants it. Frozen values that ``plan`` decides over."""

from __future__ import annotations

import hashlib

import msgspec

from girginosvm.core.words import Said


class WantedDisk(msgspec.Struct, frozen=True):
    """A disk; ``base`` is the image's path on this node, empty for a blank or adopted one. ``awaits``: why the image is
    not there yet; None: it is."""

    path: str
    format: str
    size_bytes: int
    base: str = ""
    base_format: str = ""
    full_copy: bool = False
    awaits: Said | None = None


class WantedNic(msgspec.Struct, frozen=True):
    """An interface with what the seed and the guard need of its network."""

    mac: str
    tap: str
    bridge: str
    mtu: int
    address: str = ""
    prefix: int = 0
    gateway: str = ""
    dns: tuple[str, ...] = ()


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """One machine's row, with everything that hangs on it."""

    id: str
    name: str
    generation: int
    power: str  # on | off
    stop_mode: str  # "", graceful, force
    stop_by_ms: int
    reboots: int
    reboot_force: bool
    doomed: str  # "", keep, purge
    adopted: bool
    vcpu: int
    memory_bytes: int
    firmware: str
    disks: tuple[WantedDisk, ...]
    nics: tuple[WantedNic, ...]
    ssh_keys: tuple[str, ...] = ()
    user_data: str = ""
    # What the database says was last found: the reconciler reports differences only.
    found_state: str = ""
    found_reason: str = ""
    found_generation: int = 0
    found_reboots: int = 0
    found_acceleration: str = ""
    found_agent: bool = False
    found_problem: str = ""


class BroughtDisk(msgspec.Struct, frozen=True):
    """A disk of a machine that comes with its node; ``pool`` by name, empty for one outside our pools."""

    pool: str
    path: str
    format: str
    size_bytes: int
    image: str
    image_format: str
    full_copy: bool


class BroughtNic(msgspec.Struct, frozen=True):
    """An interface of a machine that comes with its node; ``network`` by name, empty for one on none of ours."""

    network: str
    mac: str
    address: str
    tap: str
    bridge: str


def tap_name(vm: str, nic: int) -> str:
    """``gvm`` and 11 hex digits: fits IFNAMSIZ (15 bytes), the same on every node and at every start."""
    return "gvm" + hashlib.sha256(f"{vm}/{nic}".encode()).hexdigest()[:11]
