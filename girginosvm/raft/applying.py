"""From committed to applied, and what the log may forget then.

A member that lacks entries which nobody has any more is sent a snapshot (``transfers``). It becomes the log's base in
one step, when the database has it durably; until then the log, and what is acknowledged of it, is as it was. So it is,
too, when it is the database that lacks what the log let go of (``lacking``).

The log in memory is bounded: when so many entries or bytes have been applied since the last time, the database is made
durable and the log lets go of what it holds, but for a tail that spares members who are a little behind a snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from typing import Final

import msgspec

from girginosvm.core.entries import Applied, Entry, Halt, Place
from girginosvm.core.errors import Busy
from girginosvm.core.log import Log as Lines
from girginosvm.raft.apply import Applier, Checkpointed, Installed
from girginosvm.raft.core import Core
from girginosvm.raft.journal import Base
from girginosvm.raft.log import Log
from girginosvm.raft.messages import Offer, Snapshot
from girginosvm.raft.proposals import Proposals
from girginosvm.raft.transfers import Transfers

APPLY_ENTRIES: Final = 64  # handed over in one turn, so that sockets are read in between
_TIMES: Final = 4  # so many tails are kept at most for one that is being sent a snapshot, or catches up


class Retention(msgspec.Struct, frozen=True):
    """When the log is compacted, and how much of what is applied stays for members that are behind."""

    entries: int = 20_000
    bytes: int = 64 * 1024 * 1024
    tail_entries: int = 5_000
    tail_bytes: int = 16 * 1024 * 1024

    @classmethod
    def every(cls, entries: int) -> Retention:
        """Every so many entries; a quarter of them stays."""
        return cls(entries=entries, tail_entries=entries // 4)


def forgettable(log: Log, durable: int, keep: Retention, needed: Iterable[int]) -> int:
    """Up to which entry the log may be forgotten, when the database holds everything up to ``durable``. ``needed``:
    entries after which somebody still wants the log to go on; they are heard as far as memory allows."""
    tail = log.behind(durable, keep.tail_entries, keep.tail_bytes)
    most = log.behind(durable, _TIMES * keep.tail_entries, _TIMES * keep.tail_bytes)
    return max(most, min([tail, *needed]))


def holds(log: Log, committed: int, snapshot: Snapshot) -> bool:
    """What a snapshot would bring is in this log."""
    return snapshot.index <= committed or log.term_at(snapshot.index) == snapshot.term


class Told(msgspec.Struct, frozen=True):
    """Who hears of what: an entry is committed, and being applied; it was applied; it changed the members; a snapshot
    took the place of entries, with this stamp."""

    committed: Callable[[Entry], None]
    applied: Callable[[Entry, Applied], None]
    members: Callable[[], None]
    jumped: Callable[[], None]
    stamp: Callable[[int], None]


class Applying:
    """One node's. ``index``: up to here its database is; ``halted`` says why it goes no further."""

    def __init__(
        self, applier: Applier, log: Log, proposals: Proposals, transfers: Transfers, told: Told, lines: Lines,
        retention: Retention, index: int,
    ) -> None:  # fmt: skip
        self._applier, self._log, self._proposals, self._lines = applier, log, proposals, lines
        self._transfers, self._told = transfers, told
        self._retention = retention
        self._checking = False
        self._looked = log.first_index - 1, 0  # how much had been applied, and had come, at the last checkpoint
        self.index = index
        # What the log let go of was committed: from there on it is known what follows, whatever became of the database.
        self.handed = max(index, log.first_index - 1)
        self._begun = log.last.index, log.bytes
        self.halted = ""
        self.installing: Offer | None = None

    @property
    def lacking(self) -> bool:
        """The database lacks what the log no longer has: nothing can be applied before a snapshot is installed."""
        return self.index < self._log.first_index - 1

    @property
    def overfull(self) -> str:
        """Why this member has to end its part: it cannot apply what comes, and nothing of it may be forgotten, since it
        may be the copy that makes a majority. Whoever fetches a snapshot may have had a long log before."""
        if not (self.halted or self.lacking):
            return ""
        since, size = (self.index, 0) if self.halted else self._begun
        entries, size = self._log.last.index - since, self._log.bytes - size
        if entries <= _TIMES * self._retention.entries and size <= _TIMES * self._retention.bytes:
            return ""
        why = self.halted or "the database lacks what the journal no longer has, and no snapshot came"
        return f"{why}; {entries:,} entries wait to be applied: this node takes no more of them before it is mended"

    def wants(self, committed: int, snapshot: Snapshot) -> bool:
        """This member can use what a snapshot would bring."""
        if self.lacking:
            return snapshot.index >= self._log.first_index - 1
        return not holds(self._log, committed, snapshot)

    def turn(self, core: Core, up: Set[str], now_ms: int) -> bool:
        """Hand over what is committed, take in what is done. True: a snapshot took the place of entries, and the core
        has to be made anew."""
        self._hand_over(core.committed)
        anew = False
        try:
            for done in [] if self.halted else self._applier.collect():
                match done:
                    case (entry, applied):
                        self._applied(entry, applied)
                    case Checkpointed():
                        self._checkpointed(done, self._needed(core, up, now_ms))
                    case Installed(place, unfit):
                        anew = self._installed(place, unfit, now_ms)
        except Halt as halt:
            self.halted = str(halt)
            self._lines.error("raft.halted", reason=self.halted)
            self._proposals.end(Busy("halted", f"this node has stopped applying: {self.halted}"), self.halted)
        if not self.halted:
            self._checkpoint()
            self._take_in(core.committed, now_ms)
        return anew

    def _hand_over(self, committed: int) -> None:
        """What is on this node's own disk, too; while a snapshot is being put in its place, nothing."""
        upto = min(committed, self._log.flushed, self.handed + APPLY_ENTRIES)
        if upto > self.handed and self.installing is None and not (self.halted or self.lacking):
            entries = [self._log.entry(index) for index in range(self.handed + 1, upto + 1)]
            self._applier.submit(entries)
            self.handed = upto
            for entry in entries:
                self._told.committed(entry)

    def _applied(self, entry: Entry, applied: Applied) -> None:
        if len(applied.outcomes) != len(entry.commands):
            raise Halt(f"entry {entry.index}: {len(applied.outcomes)} outcomes, {len(entry.commands)} commands")
        self.index = entry.index
        self._proposals.applied(entry, applied.outcomes)
        self._told.applied(entry, applied)
        if entry.change is not None:
            self._told.members()

    # The log forgets.

    def _checkpoint(self) -> None:
        """Make the database durable if so much has come since the last time; not while a copy of it is being taken,
        which would be in the way."""
        come = self._log.bytes + self._log.forgotten_bytes
        entries, size = self.index - self._looked[0], come - self._looked[1]
        if self._checking or self._transfers.sending.making or self.installing is not None or self.lacking:
            return
        if entries >= self._retention.entries or size >= self._retention.bytes:
            self._checking, self._looked = True, (self.index, come)
            self._applier.checkpoint()

    def _checkpointed(self, done: Checkpointed, needed: Iterable[int]) -> None:
        self._checking = False
        durable = done.index
        if durable <= 0:
            self._lines.warning("journal.not-compacted", index=self.index, fault=done.fault)
            entries, size = self._looked  # again after an eighth of it
            self._looked = entries - self._retention.entries * 7 // 8, size - self._retention.bytes * 7 // 8
            return
        through = forgettable(self._log, durable, self._retention, needed)
        if through >= self._log.first_index:
            self._log.forget_through(through)
            self._lines.info("journal.compacted", through=through, durable=durable)

    def _needed(self, core: Core, up: Set[str], now_ms: int) -> list[int]:
        """After which entries the log has to go on for others."""
        floor = self._transfers.sending.floor(now_ms)
        matches = core.matches() if core.leading else {}
        return [matches[peer] for peer in up if peer in matches] + ([] if floor is None else [floor])

    # A snapshot comes.

    def _take_in(self, committed: int, now_ms: int) -> None:
        receiving = self._transfers.receiving
        sealed = self._transfers.turn(now_ms, journal_done=self._log.done)
        if receiving.offer is None or receiving.installed or self.installing is not None:
            return
        if not self.wants(committed, receiving.offer.snapshot):
            receiving.over()
        elif sealed is not None and sealed.offer == receiving.offer:
            self.installing = sealed.offer
            self._applier.install(sealed.path)

    def _installed(self, place: Place | None, unfit: str, now_ms: int) -> bool:
        """The database is what the snapshot held: from here on the log is, too."""
        offer, self.installing = self.installing, None
        if place is None or offer is None:
            self._transfers.receiving.refused(unfit, now_ms)
            return False
        if self._log.term_at(place.index) != place.term:
            self._log.restart(Base(place.index, place.term), offer.rosters)
            self._told.stamp(place.at_ms)
        self.index = self.handed = place.index
        self._transfers.receiving.install_done(self._log.needed)
        self._proposals.jumped()
        self._lines.info("raft.snapshot-installed", index=place.index, term=place.term)
        self._told.jumped()
        return True
