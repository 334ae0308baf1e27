"""One member on a stand: its disk, its lines and its time are in the test's hands."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from pathlib import Path

import msgspec
from floors.raft.book import LOG, Book, FakeClock
from floors.raft.power import PowerLossDisk

from girginosvm.core.clock import SystemChance
from girginosvm.core.entries import Change, Entry, Halt, Unfit
from girginosvm.core.errors import Problem
from girginosvm.raft import messages
from girginosvm.raft.apply import Checkpointed, Done, Installed
from girginosvm.raft.applying import Retention
from girginosvm.raft.files import Files, Outcome, Task
from girginosvm.raft.flush import Record, write
from girginosvm.raft.journal import Journal
from girginosvm.raft.lines import Event, Heard, Up
from girginosvm.raft.log import command_of
from girginosvm.raft.membership import Roster, founded
from girginosvm.raft.messages import Append, Body, Frame, Item
from girginosvm.raft.node import Node, Start


class HandFlusher:
    """Flushes when told to."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._done = 0
        self.pending: tuple[int, Sequence[Record]] | None = None

    def begin(self, generation: int, records: Sequence[Record]) -> None:
        assert self.pending is None
        self.pending = (generation, records)

    def flush(self) -> None:
        if self.pending is not None:
            write(self.journal, self.pending[1])
            self._done, self.pending = self.pending[0], None

    def done(self) -> int:
        return self._done

    def close(self) -> None:
        """Nothing to let go of."""


class NowApplier:
    """Applies in the turn that hands over."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.done: list[Done] = []
        self._halt: Halt | None = None

    def submit(self, entries: Sequence[Entry]) -> None:
        try:
            for entry in entries:
                self.done.append((entry, self._book.apply(entry)))
        except Halt as halt:
            self._halt = halt

    def checkpoint(self) -> None:
        self.done.append(Checkpointed(self._book.checkpoint()))

    def install(self, path: Path) -> None:
        try:
            self.done.append(Installed(self._book.install(path)))
        except Unfit as unfit:
            self.done.append(Installed(None, str(unfit)))
        except Halt as halt:
            self._halt = halt

    def collect(self) -> list[Done]:
        done, self.done = self.done, []
        if self._halt is not None and not done:
            raise self._halt
        return done


class NowStore:
    """Does what it is told in the turn that tells it."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self._done: list[Outcome] = []

    def submit(self, task: Task) -> None:
        outcome = self.files.do(task)
        if outcome is not None:
            self._done.append(outcome)

    def collect(self) -> list[Outcome]:
        done, self._done = self._done, []
        return done


class Stand:
    """``sent`` is what left; ``turn`` lets the member work, with its disk idle or flushing (``flush``)."""

    def __init__(
        self, *, disk: PowerLossDisk | None = None, book: Book | None = None, clock: FakeClock | None = None,
        voters: Sequence[str] = ("n1", "n2", "n3"), retention: Retention | None = None, segment_bytes: int = 1 << 16,
        objection: Callable[[bytes], str] = lambda command: "",
    ) -> None:  # fmt: skip
        self.disk, self.book, self.clock = disk or PowerLossDisk(), book or Book(), clock or FakeClock()
        self.files = Files(self.book.snapshots, Path("snapshots"), self.book)
        journal = self.files.opened(self.disk, segment_bytes=segment_bytes)
        self.flusher = HandFlusher(journal)
        self.sent: list[tuple[str, Frame]] = []
        self.dropped: list[str] = []
        start = Start(
            "n1",
            founded(dict.fromkeys(voters, ""), frozenset(voters)),
            self.book.applied_index(),
            self.book.last_stamp_ms(),
            self.files.beyond,
        )
        self.jumps = 0
        self.applier = NowApplier(self.book)
        self.node = Node(
            start, journal, self.flusher, self.applier, NowStore(self.files), self, self.clock,
            SystemChance(), LOG, retention=retention, jumped=self._jumped, objection=objection,
        )  # fmt: skip
        self.turn(*(Up(peer) for peer in voters if peer != "n1"))
        self.flusher.flush()
        self.turn()

    def _jumped(self) -> None:
        self.jumps += 1

    def send(self, peer: str, frame: bytes) -> None:
        self.sent.append((peer, messages.decode(frame)))

    def set_members(self, roster: Roster, electable: Set[str], guests: Set[str] = frozenset()) -> None:
        self.members, self.guests = roster, guests

    def drop(self, peer: str, reason: str) -> None:
        self.dropped.append(peer)

    def turn(self, *events: Event) -> None:
        self.node.turn(events)

    def settle(self) -> None:
        """Turns and flushes until nothing is left to do."""
        for _ in range(4):
            self.turn()
            self.flusher.flush()
        self.turn()

    def hear(self, peer: str, term: int, body: Body) -> None:
        self.turn(Heard(peer, messages.encode(term, body)))

    def said(self, kind: type[Body]) -> list[tuple[str, Body]]:
        """What left of one kind since the last question."""
        found = [(peer, frame.body) for peer, frame in self.sent if isinstance(frame.body, kind)]
        self.sent = []
        return found

    def campaign(self) -> int:
        """Stand for election, as if a majority had granted the pre-vote; answers the term."""
        self.node.core.campaign()
        self.settle()
        return self.node.core.term

    def lead(self, *voters: str) -> int:
        """Win an election with the votes of ``voters``; answers the term."""
        term = self.campaign()
        for peer in voters or ("n2",):
            self.hear(peer, term, messages.Vote(term))
        self.settle()
        assert self.node.core.leading
        self.sent = []
        return term

    def follow(self, term: int, prev: int, prev_term: int, *items: Item, commit: int = 0, peer: str = "n2") -> None:
        """An append from the leader of ``term``."""
        self.hear(peer, term, Append(term, prev, prev_term, commit, items))

    def propose(self, command: bytes) -> list[bytes | Problem]:
        answers: list[bytes | Problem] = []
        self.node.propose(command, answers.append)
        self.settle()
        return answers


def item(index: int, term: int, *commands: bytes, change: Change | None = None) -> Item:
    """An entry on its way, of another node's making."""
    entry = Entry(index, term, 1000 + index, "n2", commands, 0, change)
    return Item(term, command_of(entry, msgspec.msgpack.encode(entry)))


def items(first: int, last: int, term: int) -> list[Item]:
    """Entries of one command each, named after their index."""
    return [item(index, term, b"c%d" % index) for index in range(first, last + 1)]
