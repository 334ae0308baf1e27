"""Room for files that arrive: what one upload was promised, the next one does not get."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from girginosvm.core.errors import HostFault, Invalid
from girginosvm.core.units import MIB, shown


class Arrivals:
    """The uploads of this node that run. Each gets at most half of what is neither taken nor promised, so that
    however many come, they never fill the file system."""

    def __init__(self) -> None:
        self._promised: dict[Path, int] = {}

    @contextlib.contextmanager
    def room(self, folder: Path, size: int | None, *, most: int) -> Iterator[tuple[Path, int]]:
        """A path in ``folder`` and how many bytes may be written there, kept until the context ends. ``size``: as the
        sender says, None when it does not. Invalid ``body-too-large``, HostFault ``disk-full``."""
        free = _free(folder) - sum(self._missing(path, bytes_) for path, bytes_ in self._promised.items())
        if free < MIB:
            raise HostFault("disk-full", f"the image store has {shown(max(0, free))} left: no image fits")
        limit = min(most, free // 2)
        if (size or 0) > limit:
            raise Invalid("body-too-large", f"the file has {size:,} bytes; {limit:,} are accepted")
        path = folder / f"upload-{secrets.token_hex(8)}.part"
        self._promised[path] = limit if size is None else size
        try:
            yield path, self._promised[path]
        finally:
            del self._promised[path]

    @staticmethod
    def _missing(path: Path, promised: int) -> int:
        try:
            return max(0, promised - path.stat().st_size)
        except FileNotFoundError:  # not begun, or named already
            return promised


def _free(folder: Path) -> int:
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize
