"""The image store: fetched, resumed, verified, looked at, and only then named."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Final

from girginosvm.core.errors import HostFault, Invalid, disk_fault
from girginosvm.core.host import ImageFacts
from girginosvm.core.ids import is_uuid
from girginosvm.core.points import reach
from girginosvm.core.units import shown
from girginosvm.hypervisor import owners
from girginosvm.hypervisor.ports import Bring
from girginosvm.hypervisor.storage.mirror import http_response, is_url, opened
from girginosvm.hypervisor.storage.qcow2 import read_header

_CHUNK: Final = 1024 * 1024
_SUFFIXES: Final = ("qcow2", "raw", "qcow2.part", "raw.part")
_THREADS: Final = 4
Progress = Callable[[int, int], None]
Check = Callable[[Path], Awaitable[None]]
Watch = Callable[[], None]  # raises when the work should stop


class _GivenUpError(Exception):
    """Nobody waits for the work any more; seen by nobody."""


class StoreImages:
    """Files in one directory; works without root too, so the fake host uses it as it is.

    Threads of its own: a fetch may take hours, and other work of the process needs threads too. One whose caller goes
    away stops at its next chunk, and the caller waits for that: nothing is written behind its back.

    ``trusted``: mirrors that the node's own settings name, which may be on the node itself. ``check``: a second look
    at a file whose header passed (``qemu_img.check``); the fake host has no program for it.
    """

    def __init__(self, trusted: tuple[str, ...] = (), *, check: Check | None = None) -> None:
        self._trusted = trusted
        self._check = check
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="images")

    async def inspect(self, path: Path) -> ImageFacts:
        """See ``Images.inspect``."""
        facts = await self._stoppable(lambda watch: _inspect(path, watch))
        if self._check is not None:
            await self._check(path)
        return facts

    async def ensure(
        self, source: str, target: Path, *, sha256: str, size_bytes: int, progress: Progress
    ) -> ImageFacts:
        """See ``Images.ensure``. What has arrived stays in ``<target>.part``, so that the next try goes on there."""

        def fetch(watch: Watch) -> ImageFacts:
            def stopping(done: int, total: int) -> None:
                watch()
                progress(done, total)

            return _fetched(source, target, sha256, size_bytes, stopping, self._trusted, watch)

        facts = await self._stoppable(fetch)
        await self._settle(target)
        return facts

    async def take(self, bring: Bring, target: Path, *, sha256: str, size_bytes: int) -> ImageFacts:
        """See ``Images.take``. What has arrived stays in ``<target>.part``."""
        arriving = part(target)
        have = await asyncio.to_thread(_room, arriving, size_bytes)
        if not target.exists() and have < size_bytes:
            try:
                await bring(arriving, have)
            except OSError as fault:
                raise disk_fault("image-fetch", target.name, fault) from fault
        facts = await self._stoppable(
            lambda watch: _verified(target, sha256, size_bytes, "another node", lambda: None, watch)
        )
        await self._settle(target)
        return facts

    async def _settle(self, target: Path) -> None:
        """What has arrived whole gets its name, once ``check`` has seen it."""
        arriving = part(target)
        if not arriving.exists():
            return
        try:
            if self._check is not None:
                await self._check(arriving)
        except Invalid:
            arriving.unlink(missing_ok=True)
            raise
        await asyncio.to_thread(_name, arriving, target)

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

    async def _stoppable(self, work: Callable[[Watch], ImageFacts]) -> ImageFacts:
        stop = threading.Event()

        def watch() -> None:
            if stop.is_set():
                raise _GivenUpError

        job = asyncio.wrap_future(self._threads.submit(work, watch))
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            stop.set()
            while not job.done():  # however often it is cancelled
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({job})
            job.cancelled() or job.exception()  # retrieved: nobody else will
            raise


def part(target: Path) -> Path:
    """Where an unfinished download lies."""
    return target.with_name(target.name + ".part")


def _inspect(path: Path, watch: Watch) -> ImageFacts:
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            header = read_header(file, size)
            file.seek(0)
            digest = hashlib.sha256()
            while chunk := file.read(_CHUNK):
                watch()
                digest.update(chunk)
    except OSError as fault:
        raise HostFault("image-unreadable", f"{path.name}: {fault.strerror}") from fault
    owners.give(path, 0o640)
    return ImageFacts("qcow2", header.virtual_bytes, size, digest.hexdigest())


def _fetched(
    source: str, target: Path, sha256: str, size_bytes: int, progress: Progress, trusted: tuple[str, ...], watch: Watch
) -> ImageFacts:
    def fetch() -> None:
        _fetch(source, part(target), size_bytes, progress, trusted)

    return _verified(target, sha256, size_bytes, source, fetch, watch)


def _verified(
    target: Path, sha256: str, size_bytes: int, source: str, fetch: Callable[[], None], watch: Watch
) -> ImageFacts:
    """The target when it is the right one; else what has arrived when ``fetch`` is done, right or deleted."""
    if target.exists():
        facts = _inspect(target, watch)
        if facts.sha256 == sha256:
            part(target).unlink(missing_ok=True)
            return facts
    owners.directory(target.parent, 0o755)
    arriving = part(target)
    try:
        fetch()
        facts = _inspect(arriving, watch)
        if facts.sha256 != sha256 or facts.file_bytes != size_bytes:
            raise Invalid("image-checksum", f"the bytes from {source} are not those that were promised")
    except Invalid:
        arriving.unlink(missing_ok=True)  # going on from wrong bytes would never end well
        raise
    except OSError as fault:
        raise disk_fault("image-fetch", source, fault) from fault
    return facts


def _name(arriving: Path, target: Path) -> None:
    owners.flush(arriving)
    reach("image.rename:before")
    os.rename(arriving, target)
    owners.flush(target.parent)
    reach("image.rename:after")


def _room(arriving: Path, size: int) -> int:
    """How much has arrived already; HostFault ``disk-full`` when the rest does not fit."""
    owners.directory(arriving.parent, 0o755)
    have = arriving.stat().st_size if arriving.exists() else 0
    if have > size:
        arriving.unlink()
        have = 0
    room = os.statvfs(arriving.parent)
    free = room.f_bavail * room.f_frsize
    if size - have > free:
        raise HostFault("disk-full", f"the image needs {shown(size - have)} more, {shown(free)} are free")
    return have


def _fetch(source: str, arriving: Path, size: int, progress: Progress, trusted: tuple[str, ...]) -> None:
    have = _room(arriving, size)
    with open(arriving, "ab") as out:
        if is_url(source):
            _http(source, have, size, out, progress, trusted)
        else:
            with opened(source) as file:
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
