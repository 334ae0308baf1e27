"""The image store: fetched, resumed, verified, looked at, and only then named."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from girginosvm.core.errors import HostFault, Invalid, disk_fault
from girginosvm.core.host import ImageFacts
from girginosvm.core.ids import is_uuid
from girginosvm.core.points import reach
from girginosvm.core.units import shown
from girginosvm.hypervisor import owners
from girginosvm.hypervisor.storage.mirror import http_response, is_url
from girginosvm.hypervisor.storage.qcow2 import read_header

_CHUNK: Final = 1024 * 1024
_SUFFIXES: Final = ("qcow2", "raw", "qcow2.part", "raw.part")
Progress = Callable[[int, int], None]


class StoreImages:
    """Files in one directory; works without root too, so the fake host uses it as it is.

    ``trusted``: mirrors that the node's own settings name, which may be on the node itself.
    """

    def __init__(self, trusted: tuple[str, ...] = ()) -> None:
        self._trusted = trusted

    async def inspect(self, path: Path) -> ImageFacts:
        """See ``Images.inspect``."""
        return await asyncio.to_thread(_inspect, path)

    async def ensure(
        self, source: str, target: Path, *, sha256: str, size_bytes: int, progress: Progress
    ) -> ImageFacts:
        """See ``Images.ensure``. What has arrived stays in ``<target>.part``, so that the next try goes on there."""
        return await asyncio.to_thread(_ensure, source, target, sha256, size_bytes, progress, self._trusted)

    async def remove(self, path: Path) -> None:
        """See ``Images.remove``."""
        path.unlink(missing_ok=True)
        part(path).unlink(missing_ok=True)

    async def sweep(self, folder: Path, keep: frozenset[str]) -> tuple[str, ...]:
        """See ``Images.sweep``. What we never name so is somebody else's and stays."""
        gone = []
        for file in sorted(folder.glob("*")):
            stem, _, suffix = file.name.partition(".")
            ours = (is_uuid(stem) and suffix in _SUFFIXES) or (stem.startswith("upload-") and suffix == "part")
            if ours and stem not in keep:
                file.unlink(missing_ok=True)
                gone.append(str(file))
        return tuple(gone)


def part(target: Path) -> Path:
    """Where an unfinished download lies."""
    return target.with_name(target.name + ".part")


def _inspect(path: Path) -> ImageFacts:
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            header = read_header(file, size)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as fault:
        raise HostFault("image-unreadable", f"{path.name}: {fault.strerror}") from fault
    owners.give(path, 0o640)
    return ImageFacts("qcow2", header.virtual_bytes, size, digest)


def _ensure(
    source: str, target: Path, sha256: str, size_bytes: int, progress: Progress, trusted: tuple[str, ...]
) -> ImageFacts:
    if target.exists():
        facts = _inspect(target)
        if facts.sha256 == sha256:
            return facts
    owners.directory(target.parent, 0o755)
    arriving = part(target)
    try:
        _fetch(source, arriving, size_bytes, progress, trusted)
        facts = _inspect(arriving)
        if facts.sha256 != sha256 or facts.file_bytes != size_bytes:
            raise Invalid("image-checksum", f"the bytes from {source} are not those that the catalogue promises")
    except Invalid:
        arriving.unlink(missing_ok=True)  # going on from wrong bytes would never end well
        raise
    except OSError as fault:
        raise disk_fault("image-fetch", source, fault) from fault
    owners.flush(arriving)
    reach("image.rename:before")
    os.rename(arriving, target)
    owners.flush(target.parent)
    reach("image.rename:after")
    return facts


def _fetch(source: str, arriving: Path, size: int, progress: Progress, trusted: tuple[str, ...]) -> None:
    have = arriving.stat().st_size if arriving.exists() else 0
    if have > size:
        arriving.unlink()
        have = 0
    room = os.statvfs(arriving.parent)
    free = room.f_bavail * room.f_frsize
    if size - have > free:
        raise HostFault("disk-full", f"the image needs {shown(size - have)} more, {shown(free)} are free")
    with open(arriving, "ab") as out:
        if is_url(source):
            _http(source, have, size, out, progress, trusted)
        else:
            with open(source, "rb") as file:
                file.seek(have)
                _copy(file.read, out, have, size, progress)


def _copy(read: Callable[[int], bytes], out: BinaryIO, have: int, size: int, progress: Progress) -> None:
    while chunk := read(_CHUNK):
        have += len(chunk)
        if have > size:
            raise Invalid("image-checksum", f"more than the promised {size:,} bytes came")
        out.write(chunk)
        reach("image.chunk:after")
        progress(have, size)
    if have < size:
        raise HostFault("image-cut-off", f"the source ended after {have:,} of {size:,} bytes; try again to go on")


def _http(source: str, have: int, size: int, out: BinaryIO, progress: Progress, trusted: tuple[str, ...]) -> None:
    with http_response(source, {"Range": f"bytes={have}-"} if have else {}, trusted=trusted) as answer:
        if have and answer.status != 206:
            out.truncate(0)
            have = 0
        _copy(answer.read, out, have, size, progress)
