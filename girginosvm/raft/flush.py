"""What the log owes the disk: one generation of records at a time, each with one flush, in a thread of its own.

A disk that stalls then delays acknowledgements and nothing else: heartbeats go on, and nobody stands for election.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from girginosvm.raft.journal import Base, Journal, Vote


class Add(msgspec.Struct, frozen=True):
    """An entry at the end."""

    index: int
    term: int
    payload: bytes


class SetVote(msgspec.Struct, frozen=True):
    """A new term, or a vote in it."""

    vote: Vote


class SetMembers(msgspec.Struct, frozen=True):
    """Who belongs to the cluster."""

    members: bytes


class Cut(msgspec.Struct, frozen=True):
    """What follows ``base`` is void."""

    base: Base


class Restart(msgspec.Struct, frozen=True):
    """The log continues after ``base``, which a snapshot holds."""

    base: Base


class DropThrough(msgspec.Struct, frozen=True):
    """Entries up to ``index`` are no longer needed."""

    index: int


Record = Add | SetVote | SetMembers | Cut | Restart | DropThrough


def write(journal: Journal, records: Sequence[Record]) -> None:
    """All records of one generation, durably. OSError: it is not known what is durable; the process must stop."""
    drop = 0
    for record in records:
        match record:
            case Add(index, term, payload):
                journal.append_payload(index, term, payload)
            case SetVote(vote):
                journal.set_vote(vote)
            case SetMembers(members):
                journal.set_members(members)
            case Cut(base):
                journal.cut(base)
            case Restart(base):
                journal.restart(base)
                drop = base.index
            case DropThrough(index):
                drop = max(drop, index)
    journal.flush()
    if drop:  # only after what takes its place is durable
        journal.drop_through(drop)


class Flusher(Protocol):
    """Makes generations durable, one after the other."""

    def begin(self, generation: int, records: Sequence[Record]) -> None:
        """Start; never called again before ``done`` has answered that number."""
        ...

    def done(self) -> int:
        """The newest durable generation. OSError (or whatever else went wrong) of the one that failed."""
        ...

    def close(self) -> None:
        """Finish what was begun and let go of the journal."""
        ...


class ThreadFlusher:
    """One thread; ``wake`` is called from it when a generation is done."""

    def __init__(self, journal: Journal, wake: Callable[[], None]) -> None:
        self._journal = journal
        self._wake = wake
        self._done = 0
        self._fault: Exception | None = None
        self._work: queue.SimpleQueue[tuple[int, Sequence[Record]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="flush", daemon=True)
        self._thread.start()

    def begin(self, generation: int, records: Sequence[Record]) -> None:
        self._work.put((generation, records))

    def done(self) -> int:
        if self._fault is not None:
            raise self._fault
        return self._done

    def close(self) -> None:
        self._work.put(None)
        self._thread.join()
        self._journal.close()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                write(self._journal, work[1])
            except Exception as fault:  # told by ``done``, in the thread that can stop the node
                self._fault = fault
                self._wake()
                return
            self._done = work[0]
            self._wake()
