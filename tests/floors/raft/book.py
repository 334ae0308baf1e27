"""A state machine that remembers, and a cluster of one around it."""

from floors.raft.power import PowerLossDisk

from girginosvm.core.entries import Applied, Entry, Halt
from girginosvm.core.log import Log
from girginosvm.raft.alone import Alone
from girginosvm.raft.journal import Journal

LOG = Log(level="error")


class FakeClock:
    def __init__(self) -> None:
        self.wall, self.mono = 1_000_000, 0

    def wall_ms(self) -> int:
        return self.wall

    def monotonic_ms(self) -> int:
        return self.mono


class Book:
    """A state machine that remembers; it loses its memory like a database that was not synced."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.halt_at = 0

    def applied_index(self) -> int:
        return self.entries[-1].index if self.entries else 0

    def last_stamp_ms(self) -> int:
        return self.entries[-1].at_ms if self.entries else 0

    def apply(self, entry: Entry) -> Applied:
        if entry.index == self.halt_at:
            raise Halt("told to")
        self.entries.append(entry)
        return Applied(tuple(b"did " + command for command in entry.commands), ("vm",))

    def checkpoint(self) -> int:
        return self.applied_index()

    @property
    def commands(self) -> list[bytes]:
        return [command for entry in self.entries for command in entry.commands]


def alone(disk: PowerLossDisk, book: Book) -> Alone:
    return Alone(Journal(disk, segment_bytes=1 << 16), book, FakeClock(), LOG, node="n1")
