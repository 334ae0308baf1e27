"""A member as a process whose power goes when it is killed: ``python -m tests.floors.raft.losing``, else as a member.

What is not flushed is kept in the process, except for some sectors that reach the file at once, in any order.
"""

from __future__ import annotations

import random
from pathlib import Path

from girginosvm.raft.disk import RealDisk
from tests.floors.raft import member

_SECTOR = 512


class LosingDisk(RealDisk):
    """The real disk, behind a cache that dies with the process."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._cached: dict[str, list[tuple[int, bytes]]] = {}
        self._chance = random.Random()

    def write(self, name: str, offset: int, data: bytes) -> None:
        self._cached.setdefault(name, []).append((offset, data))
        for at in range(0, len(data), _SECTOR):
            if self._chance.random() < 0.3:
                super().write(name, offset + at, data[at : at + _SECTOR])

    def read(self, name: str) -> bytes:
        self._settle(name)
        return super().read(name)

    def piece(self, name: str, offset: int, length: int) -> bytes:
        self._settle(name)
        return super().piece(name, offset, length)

    def remove(self, name: str) -> None:
        self._cached.pop(name, None)
        super().remove(name)

    def flush(self, name: str) -> None:
        self._settle(name)
        super().flush(name)

    def _settle(self, name: str) -> None:
        for offset, data in self._cached.pop(name, []):
            super().write(name, offset, data)


if __name__ == "__main__":
    member.RealDisk = LosingDisk  # type: ignore[misc]
    member.main()
