"""A disk that forgets what was not flushed, wholly or in torn pieces, when its power goes."""

from __future__ import annotations

import errno
import random

_SECTOR = 512


class Dark(random.Random):
    """Chance at its worst: nothing that was not flushed reaches the platter."""

    def random(self) -> float:
        return 1.0


class PowerLossDisk:
    """In memory. ``lose_power`` answers the disk as it would be found: of each unflushed write some sectors, in any
    order, may have reached the platter."""

    def __init__(self, files: dict[str, bytearray] | None = None, *, room: int = 1 << 40, honest: bool = True) -> None:
        self.durable: dict[str, bytearray] = files or {}
        self.pending: list[tuple[str, int, bytes]] = []
        self.room = room
        self.honest = honest  # False: flush does nothing (the mutant that the suite has to catch)

    def names(self) -> list[str]:
        return sorted(self.durable)

    def read(self, name: str) -> bytes:
        data = bytearray(self.durable[name])
        for file, offset, piece in self.pending:
            if file == name:
                data[offset : offset + len(piece)] = piece
        return bytes(data)

    def size(self, name: str) -> int:
        return len(self.durable[name])

    def piece(self, name: str, offset: int, length: int) -> bytes:
        return self.read(name)[offset : offset + length]

    def create(self, name: str, size: int) -> None:
        if sum(len(data) for data in self.durable.values()) + size > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.durable[name] = bytearray(size)

    def write(self, name: str, offset: int, data: bytes) -> None:
        self.pending.append((name, offset, bytes(data)))

    def flush(self, name: str) -> None:
        if not self.honest:
            return
        for file, offset, piece in self.pending:
            if file == name:
                self.durable[name][offset : offset + len(piece)] = piece
        self.pending = [one for one in self.pending if one[0] != name]

    def remove(self, name: str) -> None:
        del self.durable[name]
        self.pending = [one for one in self.pending if one[0] != name]

    def close(self) -> None:
        """Nothing to let go of."""

    def lose_power(self, chance: random.Random) -> PowerLossDisk:
        files = {name: bytearray(data) for name, data in self.durable.items()}
        for name, offset, piece in self.pending:
            for start in range(0, len(piece), _SECTOR):
                if chance.random() < 0.5:
                    part = piece[start : start + _SECTOR]
                    files[name][offset + start : offset + start + len(part)] = part
        return PowerLossDisk(files, room=self.room, honest=self.honest)
