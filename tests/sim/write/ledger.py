"""What the replicas did, entry by entry: it has to be the same on each, and nothing twice."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable

import msgspec
from sim.raft.invariants import Broken

from girginosvm.core import codec
from girginosvm.core.codec import Outcome
from girginosvm.core.entries import Applied, Entry
from girginosvm.state.fingerprint import Fingerprint

EVERY = 16  # entries between two fingerprints


class Ledger:
    """``executed``: for each request, by its ``why``, the outcomes of its executions (one, or it is Broken)."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[int, Applied]] = {}
        self._prints: dict[int, tuple[str, Fingerprint]] = {}
        self.executed: dict[str, list[Outcome]] = defaultdict(list)
        self.repeated = 0

    @property
    def last(self) -> int:
        """The last entry that anybody has applied."""
        return max(self._entries, default=0)

    def write(self, host: str, entry: Entry, applied: Applied, fingerprint: Callable[[], Fingerprint]) -> None:
        """``host`` has applied an entry. Broken when another one did something else with it."""
        mark = zlib.crc32(msgspec.msgpack.encode(entry))
        if entry.index not in self._entries:
            self._entries[entry.index] = (mark, applied)
            self._note(entry, applied)
        elif self._entries[entry.index] != (mark, applied):
            raise Broken(f"{host} did {applied} with entry {entry.index}, others {self._entries[entry.index][1]}")
        if entry.index % EVERY == 0:
            first, known = self._prints.setdefault(entry.index, (host, fingerprint()))
            if first != host:
                self.compare(known, fingerprint(), f"{first} and {host}")

    def compare(self, one: Fingerprint, other: Fingerprint, who: str) -> None:
        """Broken, with the tables, when two replicas at one index differ."""
        if one != other:
            tables = [name for name in one.tables if one.tables[name] != other.tables.get(name)]
            raise Broken(f"{who} differ at {one.index}/{other.index} in {tables}")

    def _note(self, entry: Entry, applied: Applied) -> None:
        for command, data in zip(entry.commands, applied.outcomes, strict=True):
            outcome = codec.outcome(data)
            if outcome.repeated:
                self.repeated += 1
            else:
                self.executed[codec.envelope(command).why].append(outcome)
