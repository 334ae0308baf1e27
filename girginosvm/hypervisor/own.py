"""What this node's own directories and ports look like from the kernel: looked at, never touched."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

_LISTEN: Final = "0A"  # TCP_LISTEN (include/net/tcp_states.h)


class FileSystem(msgspec.Struct, frozen=True):
    """One file system, and which of the asked places are on it (statvfs(3)). ``free_inodes`` is None where the file
    system has no such limit."""

    places: tuple[str, ...]
    free_bytes: int
    capacity_bytes: int
    free_inodes: int | None


def file_systems(places: Iterable[Path]) -> tuple[FileSystem, ...]:
    """The file systems of those places that exist, in the order in which they are met."""
    found: dict[int, list[Path]] = {}
    for place in places:
        with contextlib.suppress(OSError):  # it is not there
            found.setdefault(place.stat().st_dev, []).append(place)
    seen = []
    for same in found.values():
        with contextlib.suppress(OSError):  # unmounted since
            room = os.statvfs(same[0])
            seen.append(
                FileSystem(
                    tuple(str(one) for one in same), room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize,
                    room.f_favail if room.f_files else None,
                )
            )  # fmt: skip
    return tuple(seen)


def size_of(folder: Path) -> int:
    """What the files in a directory take on the disk; what is not there takes nothing."""
    total = 0
    with contextlib.suppress(OSError):
        for one in os.scandir(folder):
            with contextlib.suppress(OSError):  # removed while we look
                total += one.stat(follow_symlinks=False).st_blocks * 512
    return total


def listening() -> frozenset[int]:
    """The TCP ports that somebody listens on in this network namespace, on whatever address (proc(5))."""
    found: set[int] = set()
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):  # a kernel without IPv6 has no tcp6
            found |= listeners(Path("/proc/net", name).read_text())
    return frozenset(found)


def listeners(table: str) -> set[int]:
    """The same, out of one table. Pure."""
    rows = (line.split() for line in table.splitlines()[1:])
    return {int(row[1].rpartition(":")[2], 16) for row in rows if len(row) > 3 and row[3] == _LISTEN}
