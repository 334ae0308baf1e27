"""The state machine of the storms on the raft floor: a few registers, which a checker of histories can follow."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
from sim.raft.disk import Disk
from sim.raft.invariants import Broken

from girginosvm.core.entries import Applied, Entry, Halt, Place, Unfit


class Put(msgspec.Struct, frozen=True):
    """The register ``key`` is ``value`` from now on. ``id`` is the request's."""

    id: str
    key: str
    value: str


class Store:
    """A state machine of registers; a power loss takes it back to its last checkpoint."""

    def __init__(self, *, dedup: bool = True) -> None:
        self.entries: list[Entry] = []
        self.registers: dict[str, str] = {}
        self.outcomes: dict[str, bytes] = {}
        self.executed: list[str] = []
        self.durable = 0
        self.dedup = dedup
        self.snapshots = Disk()

    def applied_index(self) -> int:
        return self.entries[-1].index if self.entries else 0

    def last_stamp_ms(self) -> int:
        return self.entries[-1].at_ms if self.entries else 0

    def checkpoint(self) -> int:
        self.durable = self.applied_index()
        return self.durable

    def snapshot(self, path: Path) -> Place:
        data = msgspec.msgpack.encode(self.entries)
        self.snapshots.create(path.name, len(data))
        self.snapshots.write(path.name, 0, data)
        return self._place()

    def install(self, path: Path) -> Place:
        """In one durable transaction."""
        entries = msgspec.msgpack.decode(self.snapshots.read(path.name), type=list[Entry])
        if len(entries) <= self.applied_index():
            raise Unfit("it is no newer")
        self.entries, self.registers, self.outcomes, self.executed = [], {}, {}, []
        for entry in entries:
            self.apply(entry)
        self.checkpoint()
        return self._place()

    def _place(self) -> Place:
        last = self.entries[-1]
        return Place(last.index, last.term, last.at_ms)

    def apply(self, entry: Entry) -> Applied:
        if entry.index != self.applied_index() + 1:
            raise Halt(f"entry {entry.index} after {self.applied_index()}")
        if self.entries and entry.at_ms < self.entries[-1].at_ms:
            raise Broken(f"the log's time went back at entry {entry.index}")
        outcomes = []
        for data in entry.commands:
            put = msgspec.msgpack.decode(data, type=Put)
            if not self.dedup or put.id not in self.outcomes:
                self.registers[put.key] = put.value
                self.outcomes[put.id] = b"%d" % entry.index
                self.executed.append(put.id)
            outcomes.append(self.outcomes[put.id])
        self.entries.append(entry)
        return Applied(tuple(outcomes))

    def found(self, chance: random.Random | None) -> Store:
        if chance is None:
            return self
        again = Store(dedup=self.dedup)
        for entry in self.entries[: self.durable]:
            again.apply(entry)
        again.durable = self.durable
        return again
