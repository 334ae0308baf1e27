"""What one node needs to start: ``/etc/girginosvm/girginosvm.toml``, overridden by ``GIRGINOSVM_*``, read once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from girginosvm.core.errors import Fault, Invalid


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Frozen for the life of a process. Every path lies under ``root``."""

    root: str = "/"
    node_name: str = ""  # empty: the host's name
    bind: str = "0.0.0.0"
    port: int = 1996
    # The IP address by which the other nodes reach this one; empty: the first that the host has.
    address: str = ""
    raft_port: int = 1995
    # A witness votes and keeps the log, so that two hosts outlive the loss of one; it has no machines, and no libvirt.
    witness: bool = False
    libvirt_uri: str = "qemu:///system"
    fake_host: bool = False
    # The nested trust key file and mirror of the image catalogue; empty: none.
    image_mirror: str = ""
    image_trust_key: str = ""
    # Further mirrors and directories that any operator may name with --source, joined by commas. Administrators may
    # name others too.
    image_sources: str = ""
    # The manual's cluster token: hashed into one revocable administrator token at first start.
    token: str = ""
    advertise_panel_token: str = ""
    # Memory that machines never get, MiB; and the share of each pool that stays free, percent.
    reserve_memory_mb: int = 512
    reserve_pool_percent: int = 5
    # The log on disk: how large its files are, and after how many entries those that the database has made up may go.
    journal_segment_bytes: int = 16 * 1024 * 1024
    journal_compact_entries: int = 20_000
    # How long events and ended operations are kept, days; 0: for ever. A cluster is founded with these; from then on
    # `retention set` changes it for all nodes.
    event_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 400
    operation_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 90
    log_level: str = "info"

    def mirrors(self) -> tuple[str, ...]:
        """Where images may come from on anybody's word: the mirror, and the further sources."""
        named = (self.image_mirror, *(part.strip() for part in self.image_sources.split(",")))
        return tuple(filter(None, named))

    def path(self, *parts: str) -> Path:
        """``/var/lib/girginosvm/<parts>`` under the root."""
        return Path(self.root, "var/lib/girginosvm", *parts)

    def run_path(self, *parts: str) -> Path:
        """``/run/girginosvm/<parts>`` under the root."""
        return Path(self.root, "run/girginosvm", *parts)


_PREFIX: Final = "GIRGINOSVM_"
# Variables with our prefix that are no settings: the crash tests' points, and the manual's of later rooms.
_NOT_SETTINGS: Final = ("GIRGINOSVM_POINTS_", "GIRGINOSVM_API", "GIRGINOSVM_SOCKET", "GIRGINOSVM_ROOT")


def file_of(root: str) -> Path:
    """Where the settings of the node under ``root`` are written; it need not be there."""
    return Path(root, "etc/girginosvm/girginosvm.toml")


def load(root: str, environment: Mapping[str, str], **overrides: Any) -> Settings:
    """The settings of the node under ``root``; Invalid names each unknown key and where it was found."""
    file = file_of(root)
    values: dict[str, Any] = {}
    if file.exists():
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
            raise Invalid("settings-unreadable", f"{file}: {fault}") from fault
    known = set(Settings.__struct_fields__)
    strange = [Fault(f"/{key}", f"unknown key in {file}") for key in values if key not in known]
    for name, text in environment.items():
        if not name.startswith(_PREFIX) or name.startswith(_NOT_SETTINGS):
            continue
        key = name.removeprefix(_PREFIX).lower()
        if key in known:
            values[key] = text
        else:
            strange.append(Fault(f"/{name}", "unknown variable in the environment"))
    if strange:
        names = ", ".join(fault.pointer[1:] for fault in strange)
        raise Invalid("settings-unknown", f"unknown settings: {names}", faults=tuple(strange))
    values.update({name: value for name, value in overrides.items() if value is not None})
    values["root"] = root
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as fault:
        raise Invalid("settings-invalid", f"{file}: {fault}") from fault
