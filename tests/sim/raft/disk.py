"""A disk on which a death finds anything half done."""

from __future__ import annotations

import errno
import random

from floors.raft.power import PowerLossDisk


class Disk(PowerLossDisk):
    """Fails for good after ``fuse`` more operations; -1 is never."""

    fuse = -1

    def _burn(self) -> None:
        if self.fuse == 0:
            raise OSError(errno.EIO, "the power is gone")
        self.fuse -= self.fuse > 0

    def create(self, name: str, size: int) -> None:
        self._burn()
        super().create(name, size)

    def write(self, name: str, offset: int, data: bytes) -> None:
        self._burn()
        super().write(name, offset, data)

    def flush(self, name: str) -> None:
        self._burn()
        super().flush(name)

    def remove(self, name: str) -> None:
        self._burn()
        super().remove(name)

    def found(self, chance: random.Random) -> Disk:
        """What is on it when power comes back."""
        return Disk(self.lose_power(chance).durable, honest=self.honest)
