"""Directory pools: volumes are files, built aside, flushed, renamed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from pathlib import Path
from typing import Final

from girginosvm.core.errors import HostFault, disk_fault
from girginosvm.core.host import FoundVolume, PoolFacts, VolumeSpec
from girginosvm.core.points import reach
from girginosvm.core.units import MIB, shown
from girginosvm.hypervisor import owners
from girginosvm.hypervisor.storage.qemu_img import qemu_img

_PART: Final = ".part"
_COPY_S: Final = 3600.0


class DirectoryVolumes:
    """See ``Volumes``."""

    def __init__(self) -> None:
        self._building: set[Path] = set()

    async def ensure_pool(self, path: str) -> None:
        """The directory, root:<qemu> 0755."""
        try:
            await asyncio.to_thread(owners.directory, Path(path), 0o755)
        except OSError as fault:
            raise HostFault("pool-unwritable", f"{path}: {fault.strerror}") from fault

    async def facts(self, path: str) -> PoolFacts:
        """statfs(2); what cannot be used is a fact with a problem."""
        return await asyncio.to_thread(_facts, path)

    async def observe(self, path: str) -> tuple[FoundVolume, ...]:
        """Whole volumes, by name."""
        return await asyncio.to_thread(_observe, path)

    async def ensure(self, spec: VolumeSpec) -> None:
        """Build it when it is not there. HostFault ``disk-full`` leaves nothing behind."""
        target = Path(spec.path)
        if target.exists():
            _check_existing(target, spec)
            return
        aside = target.with_name(f".{target.name}{_PART}")
        self._building.add(aside)
        try:
            aside.unlink(missing_ok=True)
            await _build(aside, spec)
            await asyncio.to_thread(_named, aside, target)
        except OSError as fault:
            raise disk_fault("volume-failed", target.name, fault) from fault
        except HostFault as fault:
            if "No space left" in fault.detail or "Disk quota" in fault.detail:
                detail = f"the pool {target.parent} is full; nothing of {target.name} was kept"
                raise HostFault("disk-full", detail) from fault
            raise
        finally:  # also when it was given up and qemu-img was killed
            aside.unlink(missing_ok=True)
            self._building.discard(aside)

    async def remove(self, path: str) -> None:
        """Gone."""
        try:
            await asyncio.to_thread(_remove, Path(path))
        except OSError as fault:
            raise HostFault("volume-failed", f"{path}: {fault.strerror}") from fault

    async def sweep(self, path: str) -> tuple[str, ...]:
        """Delete ``.*.part`` files but those that are being built: only this process builds volumes."""
        gone = []
        for aside in sorted(set(Path(path).glob(f".*{_PART}")) - self._building):
            aside.unlink(missing_ok=True)
            gone.append(str(aside))
        return tuple(gone)


def _facts(path: str) -> PoolFacts:
    try:
        room = os.statvfs(path)
    except OSError as fault:
        return PoolFacts(path, 0, 0, f"{path}: {fault.strerror}")
    problem = "" if os.access(path, os.W_OK) else f"{path} cannot be written"
    # Some file systems have no id of their own; the device's number is one until the next boot.
    identity = f"{room.f_fsid or os.stat(path).st_dev:x}"
    return PoolFacts(path, room.f_blocks * room.f_frsize, room.f_bavail * room.f_frsize, problem, identity)


def _observe(path: str) -> tuple[FoundVolume, ...]:
    found: list[FoundVolume] = []
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.path)
    except OSError as fault:
        raise HostFault("pool-unreadable", f"{path}: {fault.strerror}") from fault
    for entry in entries:
        suffix = entry.name.rpartition(".")[2]
        if entry.name.startswith(".") or suffix not in ("qcow2", "raw") or not entry.is_file(follow_symlinks=False):
            continue
        with contextlib.suppress(FileNotFoundError):  # removed while we look
            status = entry.stat(follow_symlinks=False)
            size = _virtual_bytes(Path(entry.path)) if suffix == "qcow2" else status.st_size
            found.append(FoundVolume(entry.path, size, status.st_blocks * 512, suffix))
    return tuple(found)


def _named(aside: Path, target: Path) -> None:
    """Durable first, then under its name; flushing a large copy takes its time."""
    owners.give(aside, 0o640)
    owners.flush(aside)
    reach("volume.link:before")
    os.link(aside, target)  # unlike rename(2), never onto a volume that somebody made meanwhile
    reach("volume.link:after")
    aside.unlink()
    owners.flush(target.parent)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        owners.flush(path.parent)


async def _build(aside: Path, spec: VolumeSpec) -> None:
    most = spec.size_bytes + spec.size_bytes // 100 + 64 * MIB  # the guest's bytes, and qcow2's tables
    if spec.base and spec.full_copy:
        await qemu_img("convert", "-q", "-f", spec.base_format, "-O", spec.format, spec.base, str(aside),
                       writes_bytes=most, timeout_s=_COPY_S)  # fmt: skip
        await qemu_img("resize", "-q", "-f", spec.format, str(aside), str(spec.size_bytes), writes_bytes=most)
    elif spec.base:
        await qemu_img("create", "-q", "-f", spec.format, "-b", spec.base, "-F", spec.base_format, str(aside),
                       str(spec.size_bytes), writes_bytes=most)  # fmt: skip
    else:
        await qemu_img("create", "-q", "-f", spec.format, str(aside), str(spec.size_bytes), writes_bytes=most)


def _virtual_bytes(path: Path) -> int:
    """The guest's size of a qcow2 file, an overlay or not; 0 when its header is damaged. Ending decides the format:
    a guest can write any beginning into a raw disk."""
    with open(path, "rb") as file:
        raw = file.read(32)
    return int(struct.unpack_from(">Q", raw, 24)[0]) if len(raw) == 32 and raw.startswith(b"QFI\xfb") else 0


def _check_existing(target: Path, spec: VolumeSpec) -> None:
    """A volume that is there is kept: it may hold somebody's data. A smaller one than asked is said, not grown."""
    have = _virtual_bytes(target) if spec.format == "qcow2" else target.stat().st_size
    if have < spec.size_bytes:
        raise HostFault("volume-smaller", f"{target.name} is {shown(have)}, {shown(spec.size_bytes)} wanted")
