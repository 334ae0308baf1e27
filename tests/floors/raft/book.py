"""A state machine that remembers, and a cluster of one around it."""

from pathlib import Path

import msgspec
from floors.raft.power import PowerLossDisk

from girginosvm.core.entries import Applied, Beyond, Entry, Halt, Place, Unfit
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
    """A state machine that remembers; it loses its memory like a database that was not synced. Its snapshots are files
    of ``snapshots``."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.halt_at = 0
        self.beyond = ""  # why no snapshot is taken in before an upgrade
        self.snapshots = PowerLossDisk()

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

    def snapshot(self, path: Path) -> Place:
        data = msgspec.msgpack.encode(self.entries)
        self.snapshots.create(path.name, len(data))
        self.snapshots.write(path.name, 0, data)
        self.snapshots.flush(path.name)
        return self.place

    def install(self, path: Path) -> Place:
        if self.beyond:
            raise Beyond(self.beyond)
        entries = msgspec.msgpack.decode(self.snapshots.read(path.name), type=list[Entry])
        if entries[-1].index <= self.applied_index():
            raise Unfit("it is no newer")
        self.entries = entries
        return self.place

    @property
    def place(self) -> Place:
        last = self.entries[-1] if self.entries else Entry(0, 0, 0, "", ())
        return Place(last.index, last.term, last.at_ms)

    @property
    def commands(self) -> list[bytes]:
        return [command for entry in self.entries for command in entry.commands]


def alone(disk: PowerLossDisk, book: Book) -> Alone:
    return Alone(Journal(disk, segment_bytes=1 << 16), book, FakeClock(), LOG, node="n1")
