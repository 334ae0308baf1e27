"""Reads that see every write acknowledged before them (ReadIndex, Raft thesis, section 6.4).

The leader notes its commit index, asks a majority whether it still leads, and answers with the index; whoever asked
reads locally once it has applied that far. All that came in one turn are one question: a member that asks without end
costs the others no more than one that asks once.
"""

from __future__ import annotations

from collections.abc import Callable, Set

import msgspec

from girginosvm.core.errors import Busy, Problem
from girginosvm.raft.core import Core
from girginosvm.raft.log import Log
from girginosvm.raft.messages import AskRead, Body, Confirm, ReadAt

Done = Callable[[Problem | None], None]


class Read(msgspec.Struct):
    """A caller on this node. ``index`` is -1 until the leader has said it."""

    done: Done
    until_ms: int
    asked: tuple[str, int] = ("", 0)  # which leader, in which term
    index: int = -1


class Round(msgspec.Struct, frozen=True):
    """A leader's question to the voters, for reads of its own and of peers: who asked, each with a nonce of its own."""

    term: int
    index: int
    askers: tuple[tuple[str, int], ...]
    confirmed: set[str]


class Reads:
    """Both ends: callers of this node, and rounds that this node leads."""

    def __init__(self, member: str, say: Callable[[str, Body], None]) -> None:
        self._member = member
        self._say = say
        self._reads: dict[int, Read] = {}
        self._rounds: dict[int, Round] = {}
        self._early: list[tuple[str, int]] = []  # who asked before this leader had committed anything
        self._asked: list[tuple[str, int]] = []  # who asked since the last round
        self._count = 0

    def add(self, done: Done, until_ms: int) -> None:
        """A caller wants to read."""
        self._count += 1
        self._reads[self._count] = Read(done, until_ms)

    def turn(self, core: Core, log: Log, up: Set[str], now_ms: int, *, applied: int) -> None:
        """Ask the leader for those it has not been asked for; answer those who may read now."""
        if not (self._reads or self._early or self._asked or self._rounds):
            return
        leader, place = core.leader, (core.leader, core.term)
        mine = leader == self._member and _commits(core, log)
        if mine or not core.leading:
            early, self._early = self._early, []
            for asker, nonce in early:
                self.begin(core, log, asker, nonce)
        for nonce, read in list(self._reads.items()):
            if read.index < 0 and read.asked != place and (mine or leader in up):
                read.asked = place
                if mine:
                    self.begin(core, log, self._member, nonce)
                else:
                    self._say(leader, AskRead(nonce))
        self._ask(core, log)
        for nonce, read in list(self._reads.items()):
            if 0 <= read.index <= applied:
                del self._reads[nonce]
                read.done(None)
            elif now_ms >= read.until_ms:
                del self._reads[nonce]
                read.done(Busy("no-fresh-read", "no leader has confirmed a read in time", retry_after_s=1))
        for nonce in [nonce for nonce, one in self._rounds.items() if one.term != core.term]:
            del self._rounds[nonce]

    def begin(self, core: Core, log: Log, asker: str, nonce: int) -> None:
        """As leader: somebody asks; in this turn's round, or once something of this term is committed."""
        if _commits(core, log):
            self._asked.append((asker, nonce))
        elif core.leading:
            self._early.append((asker, nonce))

    def _ask(self, core: Core, log: Log) -> None:
        """One round for all who have asked."""
        asked, self._asked = tuple(self._asked), []
        if not asked or not _commits(core, log):
            return
        self._count += 1
        mine = self._count
        self._rounds[mine] = Round(core.term, core.committed, asked, set())
        for peer in sorted(core.voters - {self._member}):
            self._say(peer, Confirm(mine))
        self.confirmed(core, self._member, mine)

    def confirmed(self, core: Core, peer: str, nonce: int) -> None:
        """A voter (or this node) confirms; with a majority whoever asked learns the index."""
        one = self._rounds.get(nonce)
        if one is None or one.term != core.term or not core.leading:
            return
        one.confirmed.add(peer)
        if 2 * len(one.confirmed) > len(core.voters):
            del self._rounds[nonce]
            for asker, theirs in one.askers:
                if asker == self._member:
                    self.known(theirs, one.index)
                else:
                    self._say(asker, ReadAt(theirs, one.index))

    def known(self, nonce: int, index: int) -> None:
        """The leader has said from which index on."""
        read = self._reads.get(nonce)
        if read is not None:
            read.index = index

    def lost(self, leader: str) -> None:
        """The line to a leader was lost: it may not have heard."""
        for read in self._reads.values():
            if read.asked[0] == leader:
                read.asked = ("", 0)

    def end(self, problem: Problem) -> None:
        """This node stops."""
        reads, self._reads = self._reads, {}
        for read in reads.values():
            read.done(problem)


def _commits(core: Core, log: Log) -> bool:
    """An entry of this leader's own term is committed: only from then on its commit index is the newest."""
    return core.leading and log.term_at(core.committed) == core.term
