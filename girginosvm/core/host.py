"""Plain types of what a host has and shows. Ports speak them; nothing here knows libvirt."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Power(StrEnum):
    """What a machine does, as its host sees it."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    CRASHED = "crashed"
    UNKNOWN = "unknown"


class Firmware(StrEnum):
    """How a machine starts."""

    BIOS = "bios"
    UEFI = "uefi"


class Acceleration(StrEnum):
    """What executes a guest's instructions. Probed by running something, never by looking for a device."""

    KVM = "kvm"
    TCG = "tcg"


class DiskSpec(msgspec.Struct, frozen=True):
    """One disk of a machine. ``path`` is absolute; ``serial`` shows in the guest as virtio serial."""

    path: str
    format: str  # qcow2 | raw
    target: str  # vda, vdb, ...
    bus: str = "virtio"
    serial: str = ""
    read_only: bool = False


class NicSpec(msgspec.Struct, frozen=True):
    """One interface. ``tap`` is the host's device name (at most 15 bytes), fixed so that filters exist before it."""

    mac: str
    bridge: str
    tap: str
    addresses: tuple[str, ...] = ()  # the IPv4 addresses it may speak as
    mtu: int = 1500


class DomainSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A machine as its owner wants it on this host."""

    id: str
    name: str
    generation: int
    vcpu: int
    memory_bytes: int
    firmware: Firmware
    acceleration: Acceleration
    disks: tuple[DiskSpec, ...]
    nics: tuple[NicSpec, ...]
    serial_log: str  # file that records the serial port
    serial_socket: str  # Unix socket of the serial port
    vnc_socket: str
    title: str = ""
    epoch: int = 0  # raised by each failover; kept in the domain's metadata beside the generation

    @property
    def domain_name(self) -> str:
        """``<name>-<first 8 of the id>``: unique on a host even when names of two projects meet."""
        return f"{self.name}-{self.id[:8]}"


class FoundNic(msgspec.Struct, frozen=True):
    """An interface as found. ``addresses``: what our metadata says that it may speak as; none of a foreign one."""

    mac: str
    bridge: str
    tap: str
    addresses: tuple[str, ...] = ()


class FoundDomain(msgspec.Struct, frozen=True, kw_only=True):
    """A libvirt domain as found. ``ours`` is false for a domain without our metadata element: never touched."""

    id: str
    name: str
    ours: bool
    generation: int = 0
    epoch: int = 0
    reboots: int = 0  # requests done, as written beside the domain
    power: Power
    reason: str = ""  # libvirt's word: booted, shutdown, destroyed, crashed, failed, ...
    vcpu: int = 0
    memory_bytes: int = 0
    acceleration: Acceleration | None = None
    firmware: Firmware = Firmware.BIOS
    disks: tuple[DiskSpec, ...] = ()
    nics: tuple[FoundNic, ...] = ()
    persistent: bool = True
    agent_connected: bool = False


class DomainEvent(msgspec.Struct, frozen=True):
    """Something happened to a domain; look again. ``what`` is for the log only."""

    id: str
    what: str


class PoolFacts(msgspec.Struct, frozen=True):
    """What statfs(2) says of a pool's directory, and whether it can be written. ``filesystem`` is equal for two pools
    that take their room from the same one."""

    path: str
    capacity_bytes: int
    free_bytes: int
    problem: str = ""
    filesystem: str = ""


class VolumeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A volume to be. ``base`` is the path of an image in this node's store, or empty for a blank one."""

    path: str
    format: str
    size_bytes: int
    base: str = ""
    base_format: str = ""
    full_copy: bool = False


class FoundVolume(msgspec.Struct, frozen=True):
    """A file in a pool's directory. ``allocated_bytes`` is what it really occupies."""

    path: str
    size_bytes: int
    allocated_bytes: int
    format: str


class ImageFacts(msgspec.Struct, frozen=True):
    """What an image file is, by our own reading of its header."""

    format: str
    virtual_bytes: int
    file_bytes: int
    sha256: str


class SeedSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A NoCloud seed. ``user_data`` is the operator's own, merged as a part of its own (never by concatenation)."""

    machine: str
    hostname: str
    path: str
    ssh_keys: tuple[str, ...] = ()
    user_data: str = ""
    network_config: str = ""  # network-config version 2, YAML


class BridgeSpec(msgspec.Struct, frozen=True):
    """A bridge that has to exist. With ``nat`` the host routes and masquerades ``cidr`` and holds ``gateway``."""

    name: str
    cidr: str = ""
    gateway: str = ""
    nat: bool = False
    mtu: int = 1500


class FoundBridge(msgspec.Struct, frozen=True):
    """A bridge as found, with the addresses it holds (``192.0.2.1/24``) and its ports. ``learns_unseen``: it also
    learns who is where from frames that no filter sees (IEEE 802.1Q 8.6.3)."""

    name: str
    up: bool
    addresses: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    mtu: int = 1500
    ours: bool = False
    learns_unseen: bool = False


class Guard(msgspec.Struct, frozen=True):
    """What one tap may say: this MAC, these IPv4 addresses, ARP for them, nothing else's."""

    tap: str
    mac: str
    addresses: tuple[str, ...]


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a node is. Sizes in bytes."""

    hostname: str
    cpus: int
    cpu_model: str
    memory_bytes: int
    kernel: str
    os: str
    libvirt: str
    qemu: str
    acceleration: Acceleration
    acceleration_reason: str
    firmwares: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
