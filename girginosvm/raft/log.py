"""The log as the core sees it: in memory, with what it owes the disk gathered into generations.

The core counts from its own base: what it calls entry 1 is the entry that was last applied when it was made
(``shift`` is the difference). So it never has to be told what is applied already, and never loads a dump.

It deletes whatever follows ``prev_index`` at each append_entries. Here that is an intention: entries that come again
unchanged are kept, and only a conflict voids the rest (Raft paper, section 5.3). Nothing is written before ``take``;
what was taken is durable when the flusher says so (``flushed``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from pysyncobj.journal import Journal as CoreJournal

from girginosvm.core.entries import Entry
from girginosvm.raft.flush import Add, Cut, DropThrough, Record, Restart, SetMembers, SetVote
from girginosvm.raft.journal import Base, Journal, Vote
from girginosvm.raft.membership import Roster
from girginosvm.raft.seams import entry_of

REGULAR: Final = b"\0"
NOTHING: Final = b"\1"
MEMBERSHIP: Final = b"\2"
_NOBODY: Final = Roster(())
_Core = tuple[bytes, int, int]  # the core's entry: command, index as it counts, term


class Torn(Exception):
    """The log would contradict itself or what was applied: this node must stop."""


def kind_of(entry: Entry) -> bytes:
    """What the core has to know of an entry: commands, a change of voters, or nothing that concerns it."""
    if entry.change is not None and entry.change.kind in ("promote", "demote"):
        return MEMBERSHIP
    return REGULAR if entry.commands else NOTHING


def command_of(entry: Entry, payload: bytes) -> bytes:
    """The core's command for an entry: its kind, then the entry."""
    return kind_of(entry) + payload


class Rosters(msgspec.Struct, frozen=True):
    """As the journal keeps them: the newest roster and the one before it, each with the entry that made it. More is
    never needed: of two changes in a log the first is committed, so a cut spares it."""

    known: tuple[tuple[int, Roster], ...]


def roster_of(journal: Journal) -> Roster | None:
    """Who belongs to the cluster, as a journal has it; None when it says nothing."""
    if not journal.members:
        return None
    return msgspec.msgpack.decode(journal.members, type=Rosters).known[-1][1]


class Log(CoreJournal):  # type: ignore[misc]
    """One owner: the node. ``stamp`` gives the time of an entry that this node makes as leader."""

    def __init__(
        self, base: Base, vote: Vote, *, node: str, stamp: Callable[[], int], roster: Roster = _NOBODY
    ) -> None:
        self.vote = vote
        self.shift = 0
        self._node = node
        self._stamp = stamp
        self._entries: list[_Core] = [(NOTHING, base.index, base.term)]  # the first is the base
        self._intended: list[_Core] = []  # what the core deleted and may bring again
        self._records: list[Record] = []
        self._rosters: list[tuple[int, Roster]] = [(base.index, roster)]
        self.changes = 0  # counts up whenever a change of members has come or gone
        self._electable: tuple[tuple[int, bool], frozenset[str]] = ((-1, False), frozenset())
        self._open = 1  # the generation being filled
        self._flushed = base.index
        self._taken: dict[int, tuple[int, int]] = {}  # generation -> last index and term that are durable with it
        self._durable_term = vote.term
        self.bytes = 0  # of the entries here
        self.forgotten_bytes = 0  # of those that were let go, ever

    @classmethod
    def found(cls, journal: Journal, *, node: str, stamp: Callable[[], int], roster: Roster = _NOBODY) -> Log:
        """What a journal (opened with ``keep_payloads``) holds; its own lists are emptied. ``roster`` is the one to
        begin with when the journal knows none."""
        log = cls(journal.base, journal.vote, node=node, stamp=stamp, roster=roster)
        if journal.members:
            log._rosters = list(msgspec.msgpack.decode(journal.members, type=Rosters).known)
        else:
            log._keep_rosters()
        for entry, payload in zip(journal.entries, journal.payloads, strict=True):
            log._entries.append((command_of(entry, payload), entry.index, entry.term))
            log.bytes += len(payload) + 1
            log._changed(entry)
        log._flushed = log.last.index
        journal.entries.clear()
        journal.payloads.clear()
        return log

    # What the node asks. Indexes are the log's own.

    @property
    def last(self) -> Base:
        """Index and term of the last entry."""
        _, index, term = self._entries[-1]
        return Base(index + self.shift, term)

    @property
    def base(self) -> Base:
        """What the first entry here follows."""
        _, index, term = self._entries[0]
        return Base(index + self.shift, term)

    @property
    def first_index(self) -> int:
        """The first entry that can still be sent to others."""
        return self._entries[0][1] + self.shift + 1

    @property
    def roster(self) -> Roster:
        """Who belongs to the cluster: a change is in force as soon as it is in the log."""
        return self._rosters[-1][1]

    @property
    def changed_at(self) -> int:
        """The entry of the newest change; until it is committed there may be no other."""
        return self._rosters[-1][0]

    def settled(self, committed: int) -> Roster:
        """The newest roster that nobody can take back: what may be told to people."""
        return self.settled_at(committed)[1]

    def settled_at(self, committed: int) -> tuple[int, Roster]:
        """The entry that it is from, and the roster."""
        return ([one for one in self._rosters if one[0] <= committed] or self._rosters[:1])[-1]

    def electable(self, committed: int) -> frozenset[str]:
        """Who may lead: while the newest change is not committed, also by the roster before it, since a leader of that
        one may be about to take the change back."""
        of = (self.changes, self.changed_at <= committed)
        if self._electable[0] != of:
            rosters = self._rosters[-1:] if of[1] else self._rosters
            self._electable = (of, frozenset().union(*(roster.electable for _, roster in rosters)))
        return self._electable[1]

    @property
    def flushed(self) -> int:
        """Entries up to here are on this node's disk."""
        return self._flushed

    @property
    def durable_term(self) -> int:
        """The newest term whose record is on this node's disk."""
        return self._durable_term

    @property
    def dirty(self) -> bool:
        """Something waits to be taken."""
        return bool(self._records)

    @property
    def needed(self) -> int:
        """The generation that has to be durable before what is said now may leave."""
        return self._open if self._records else self._open - 1

    @property
    def done(self) -> int:
        """Every generation up to this one is durable."""
        return min(self._taken, default=self._open) - 1

    def entry(self, index: int) -> Entry:
        """One entry, decoded; IndexError when it is not here."""
        at = index - self.first_index + 1
        if not 0 < at < len(self._entries):
            raise IndexError(f"entry {index} is not in the log")
        return entry_of(self._entries[at][0][1:])

    def term_at(self, index: int) -> int | None:
        """An entry's term; None when it is not here."""
        at = index - self.first_index + 1
        return self._entries[at][2] if 0 <= at < len(self._entries) else None

    def begun(self, index: int) -> int:
        """The first entry here of the term of entry ``index``."""
        term = self.term_at(index)
        while index > self.first_index and self.term_at(index - 1) == term:
            index -= 1
        return index

    def rebase(self, applied: int) -> None:
        """From now on the core calls ``applied`` its entry 1."""
        old, self.shift = self.shift, applied - 1
        self._entries = [(command, index + old - self.shift, term) for command, index, term in self._entries]

    def forget_through(self, index: int) -> None:
        """Entries up to ``index`` leave memory, and disk with the next generation. Keeps one as base."""
        gone = min(index - self.first_index + 1, len(self._entries) - 1)
        if gone > 0:
            size = sum(len(command) for command, _, _ in self._entries[1 : gone + 1])
            self.bytes, self.forgotten_bytes = self.bytes - size, self.forgotten_bytes + size
            _, at, term = self._entries[gone]
            self._entries = [(NOTHING, at, term), *self._entries[gone + 1 :]]
            self._records.append(DropThrough(index))

    def behind(self, index: int, entries: int, size: int) -> int:
        """The entry before the longest part that ends with ``index`` and has neither more entries nor more bytes."""
        at = index - self.first_index + 1
        least = max(0, at - entries)
        while at > least and (size := size - len(self._entries[at][0])) >= 0:
            at -= 1
        return at + self.first_index - 1

    def known(self, committed: int) -> bytes:
        """The newest roster that nobody can take back, as ``Rosters``: it goes with a snapshot."""
        return msgspec.msgpack.encode(Rosters((self.settled_at(committed),)))

    def restart(self, base: Base, rosters: bytes) -> None:
        """The log goes on after ``base``, which the database holds durably; what it had is void. ``rosters`` as
        ``known`` gave them."""
        self.forgotten_bytes += self.bytes
        self.bytes, self._intended = 0, []
        self._entries = [(NOTHING, base.index - self.shift, base.term)]
        self._rosters = list(msgspec.msgpack.decode(rosters, type=Rosters).known)
        self.changes += 1
        # In this order: members that are newer than the log are no harm, a log that is newer than its members would be.
        self._records += [SetMembers(rosters), Restart(base)]
        self._flushed = base.index
        self._taken = {number: (base.index, term) for number, (_, term) in self._taken.items()}

    def take(self) -> tuple[int, list[Record]]:
        """The open generation, closed: its number and its records, in their order."""
        records, self._records = self._records, []
        generation, self._open = self._open, self._open + 1
        self._taken[generation] = (self.last.index, self.vote.term)
        return generation, records

    def durable(self, generation: int) -> None:
        """The flusher has finished ``generation``."""
        taken = self._taken.pop(generation, None)
        if taken is not None:
            # What was cut since is not there any more: _cut has lowered the others.
            self._flushed, self._durable_term = taken

    def settle(self) -> bool:
        """After each message: what the core deleted and nobody contradicted is there again. True when a change of
        members is among it: the core has undone that one, so it has to be made anew."""
        restored, self._intended = self._intended, []
        self._entries += restored
        return any(command[:1] == MEMBERSHIP for command, _, _ in restored)

    # What the core asks (pysyncobj.journal.Journal).

    def add(self, command: bytes, idx: int, term: int) -> None:
        if self._intended:
            intended = self._intended[0]
            if intended[1:] == (idx, term):
                if intended[0] != command:
                    raise Torn(f"entry {idx + self.shift} of term {term} has come with two contents")
                self._entries.append(self._intended.pop(0))
                return
            self._cut()
        index = idx + self.shift
        entry, payload = self._sealed(command[1:], index, term)
        command = command_of(entry, payload)
        self._entries.append((command, idx, term))
        self.bytes += len(command)
        self._records.append(Add(index, term, payload))
        if self._changed(entry):
            self._keep_rosters()

    def _sealed(self, payload: bytes, index: int, term: int) -> tuple[Entry, bytes]:
        """An entry of our own gets its place and its time; another leader's stays as it is, byte for byte."""
        draft = entry_of(payload) if payload else Entry(0, 0, 0, self._node, ())
        if draft.index:
            return draft, payload
        if draft.term not in (0, term):  # whoever proposed it has been promised that it is in this term or nowhere
            draft = Entry(0, 0, 0, self._node, ())
        sealed = msgspec.structs.replace(draft, index=index, term=term, at_ms=self._stamp())
        return sealed, msgspec.msgpack.encode(sealed)

    def _changed(self, entry: Entry) -> bool:
        if entry.change is None or entry.index <= self.changed_at:
            return False
        self._rosters = [*self._rosters[-1:], (entry.index, self.roster.after(entry.change))]
        self.changes += 1
        return True

    def _keep_rosters(self) -> None:
        self._records.append(SetMembers(msgspec.msgpack.encode(Rosters(tuple(self._rosters)))))

    def _cut(self) -> None:
        self.bytes -= sum(len(command) for command, _, _ in self._intended)
        base, self._intended = self.last, []
        if base.index < self.changed_at:
            if len(self._rosters) < 2 or base.index < self._rosters[0][0]:
                raise Torn(f"a cut after entry {base.index} would take the members of entry {self.changed_at} back")
            # Before the cut: a power loss between the two leaves the change in the log, and it is found there.
            del self._rosters[-1]
            self._keep_rosters()
            self.changes += 1
        self._records.append(Cut(base))
        self._flushed = min(self._flushed, base.index)
        self._taken = {number: (min(index, base.index), term) for number, (index, term) in self._taken.items()}

    def deleteEntriesFrom(self, entryFrom: int) -> None:
        if entryFrom < 1:
            raise Torn("the core wants to delete the log's base")
        self._intended = self._entries[entryFrom:]
        del self._entries[entryFrom:]

    def deleteEntriesTo(self, entryTo: int) -> None:
        raise Torn("the core does not compact")

    def clear(self) -> None:
        raise Torn("the core does not clear the log")

    def __getitem__(self, item: object) -> object:
        return self._entries[item]  # type: ignore[call-overload]

    def __len__(self) -> int:
        return len(self._entries)

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:
        vote = Vote(term, votedForNodeId or "")
        if term < self.vote.term or (term == self.vote.term and self.vote.voted_for not in ("", vote.voted_for)):
            raise Torn(f"the vote {vote} after the vote {self.vote}")
        if vote != self.vote:
            self.vote = vote
            self._records.append(SetVote(vote))

    def getCurrentTerm(self) -> int:
        return self.vote.term

    def getVotedForNodeId(self) -> str | None:
        return self.vote.voted_for or None

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:
        """Not kept: what is applied is in the state database, and the rest is learnt from the leader."""

    def getRaftCommitIndex(self) -> int:
        return 1

    def onOneSecondTimer(self) -> None:
        """Nothing to do."""

    def _destroy(self) -> None:
        """The flusher closes the disk."""
