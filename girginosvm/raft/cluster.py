"""A member among others: the same face as ``Alone``, with the node in the event loop.

The loop runs a turn of the node when something has come over the lines, a thread has finished what the node gave it
(flush, apply, snapshot), somebody has asked, or a time is due. Whatever waits for a disk is in those threads, so
nothing in this one takes longer than the node's own turn. What is asked in one round of the loop has one turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from girginosvm.core.clock import Chance, Clock
from girginosvm.core.entries import Applied, Change, Entry
from girginosvm.core.errors import Busy, Invalid
from girginosvm.core.log import Log
from girginosvm.raft import changes, mesh
from girginosvm.raft.alone import BATCH_BYTES, StateMachine
from girginosvm.raft.answers import answered
from girginosvm.raft.apply import ThreadApplier
from girginosvm.raft.applying import Retention
from girginosvm.raft.core import Timing
from girginosvm.raft.credentials import Credentials
from girginosvm.raft.files import Files
from girginosvm.raft.flush import ThreadFlusher
from girginosvm.raft.journal import Journal
from girginosvm.raft.membership import Roster
from girginosvm.raft.node import Node, Start
from girginosvm.raft.proposals import Answer
from girginosvm.raft.standing import FLUSH, FORSAKEN_MS, Status, stalled
from girginosvm.raft.store import ThreadStore
from girginosvm.raft.transport import Transport


class Cluster:
    """``roster`` is the one to begin with, when the journal knows none. ``files`` keeps snapshots, and has opened
    ``journal`` (``Files.opened``). These and ``transport`` are closed by ``stop``."""

    def __init__(
        self, journal: Journal, files: Files, machine: StateMachine, clock: Clock, chance: Chance, log: Log,
        transport: Transport, *, member: str, roster: Roster, timing: Timing | None = None,
        retention: Retention | None = None, objection: Callable[[bytes], str] = lambda command: "",
    ) -> None:  # fmt: skip
        self._journal, self._machine, self._log, self._clock = journal, machine, log, clock
        self._transport = transport
        self._flusher = ThreadFlusher(journal, transport.wake)
        self._applier = ThreadApplier(machine, transport.wake)
        self._store = ThreadStore(files, transport.wake)
        start = Start(member, roster, machine.applied_index(), machine.last_stamp_ms(), files.beyond)
        self.node = Node(
            start, journal, self._flusher, self._applier, self._store, transport, clock, chance, log, timing=timing,
            retention=retention, applied=self._applied, jumped=self._jumped, objection=objection,
        )  # fmt: skip
        self._listeners = changes.Listeners()
        self._asked: list[Callable[[], None]] = []
        self._told: list[Callable[[], None]] = []  # at the end of the turn: a fault of a listener is not the node's
        self._loop: asyncio.AbstractEventLoop | None = None
        self._soon = False
        self._due_ms = 0
        self._alarm: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Take part."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._transport.fileno(), self._turn)
        self._want_turn(self._loop)

    async def stop(self) -> None:
        """Take no further part; what waits is refused, what is under way is unknown."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.remove_reader(self._transport.fileno())
        if self._alarm is not None:
            self._alarm.cancel()
        self.node.stop("this node is stopping", fault=False)
        self._put()
        self._tell()
        await asyncio.to_thread(self._close)
        self._listeners.end()

    def submit(self, command: bytes, answer: Answer) -> None:
        """``answer`` gets the command's outcome, applied here, or a problem; or that is raised. Invalid, Busy,
        NoQuorum: surely not done; Unknown: perhaps."""
        if len(command) > BATCH_BYTES:
            raise Invalid("command-too-large", f"the command has {len(command):,} bytes; {BATCH_BYTES:,} fit")
        self._ask(partial(self.node.propose, command, self._later(answer)))

    async def propose(self, command: bytes) -> bytes:
        """The same, for whoever waits."""
        return await answered(partial(self.submit, command))

    async def read_barrier(self) -> None:
        """Returns when a local read sees every write acknowledged before the call. Busy: no leader confirmed it."""

        def ask(answer: Answer) -> None:
            later = self._later(answer)
            self._ask(lambda: self.node.read(lambda problem: later(problem or b"")))

        await answered(ask)

    def transfer(self, peer: str) -> None:
        """If this member leads: let ``peer`` lead. ``status`` tells whether it does."""
        self._ask(partial(self.node.hand_over, peer))

    def favour(self, rank: int) -> None:
        """How good this member is to lead, from 0 to 2 for the last: it waits longer before it stands. It never
        forbids."""
        self._ask(partial(self.node.elections.favour, rank))

    def renew(self, credentials: Credentials) -> None:
        """New certificates, for the lines from now on; ssl.SSLError or OSError when a file does not fit."""
        self._transport.renew(credentials.context(server=True), credentials.context(server=False))

    async def change(self, change: Change) -> None:
        """Add, nominate, promote, demote or remove a member; returns when that is committed. Busy: not now, or lost
        with the leader; Conflict: what stands against it."""

        await answered(lambda answer: self._ask(partial(self.node.change, change, self._later(answer))))

    def listen(self, listener: changes.Listener) -> Callable[[], None]:
        """It hears of applied entries from now on; answers what ends that."""
        return self._listeners.listen(listener)

    def status(self) -> Status:
        """How it stands."""
        stamp_ms = self._machine.last_stamp_ms()
        return look(self.node, self._journal, self._clock.monotonic_ms(), last_stamp_ms=stamp_ms)

    # What the node says.

    def _applied(self, entry: Entry, applied: Applied) -> None:
        change = changes.Change(entry.index, entry.at_ms, applied.tables)
        self._told.append(partial(self._listeners.tell, change))

    def _jumped(self) -> None:
        """A snapshot took the place of entries: whoever listens reads everything anew."""
        self._told.append(self._listeners.anew)

    def _later(self, answer: Answer) -> Answer:
        return lambda outcome: self._told.append(partial(answer, outcome))

    def _tell(self) -> None:
        told, self._told = self._told, []
        for one in told:
            one()

    # Turns.

    def _ask(self, what: Callable[[], None]) -> None:
        """Of the node, in its next turn. Busy: this node is stopping."""
        if self._loop is None:
            raise Busy("stopping", "this node is stopping", retry_after_s=1)
        self._asked.append(what)
        self._want_turn(self._loop)

    def _want_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """In the loop's next round."""
        if not self._soon:
            self._soon = True
            loop.call_soon(self._turn)

    def _turn(self) -> None:
        loop = self._loop
        if loop is None:
            return
        self._soon = False
        try:
            events = self._transport.poll(0.0)
            self._put()
            self._due_ms = self.node.turn(events)
        except Exception as fault:  # a fault of ours: better no member than one whose state nobody knows
            self._log.error("raft.bug", fault=f"{type(fault).__name__}: {fault}")
            self.node.stop(f"a fault of ours: {type(fault).__name__}: {fault}")
        if self._transport.eager:
            self._want_turn(loop)
        self._set_alarm(loop)
        self._tell()

    def _put(self) -> None:
        asked, self._asked = self._asked, []
        for what in asked:
            what()

    def _set_alarm(self, loop: asyncio.AbstractEventLoop) -> None:
        """One that is set for an earlier time stays, and looks when it rings: most turns only put off what is due."""
        at_s = loop.time() + (self._due_ms - self._clock.monotonic_ms()) / 1000
        if self._alarm is not None and self._alarm.when() <= at_s:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = loop.call_at(at_s, self._rings)

    def _rings(self) -> None:
        self._alarm = None
        if self._clock.monotonic_ms() >= self._due_ms:
            self._turn()
        elif self._loop is not None:
            self._set_alarm(self._loop)

    def _close(self) -> None:
        self._applier.close()
        self._store.close()
        self._flusher.close()
        self._transport.close()


def look(node: Node, journal: Journal, now: int, *, last_stamp_ms: int) -> Status:
    """How a member stands, from aside. Of the members, what nobody can take back: a voter whose promotion is not
    committed yet does not make anything survive."""
    leads = node.role == "leader"
    roster = node.log.settled(max(node.core.committed, node.applied_index))
    members, everybody = roster.ids, roster.ids | node.log.roster.ids
    electable = node.log.electable(node.core.committed)
    apart = {one for one in everybody - {node.member} if not mesh.useful(node.member, one, electable)}
    flushing_ms = node.owed.flushing_ms(now)
    age_ms = 0 if leads else node.contacts.leader_age_ms(now)
    forsaken = node.member in node.core.voters and (age_ms is None or age_ms >= FORSAKEN_MS)
    hangs = flushing_ms >= node.timing.flush_limit_ms
    return Status(
        member=node.member, term=node.core.term, applied_index=node.applied_index,
        last_index=node.log.last.index, first_index=node.log.first_index, waiting=len(node.proposals),
        halted=node.stopped or node.halted, last_stamp_ms=last_stamp_ms,
        trouble=stalled(FLUSH, flushing_ms / 1000) if hangs else "", role=node.role, leader=node.core.leader,
        voters=tuple(sorted(roster.voters)), reached=node.reached, members=tuple(sorted(members)),
        unwatched=tuple(sorted(apart.difference(node.reached))),
        nominated=tuple(sorted(one.id for one in roster.members if one.nominated)),
        commit_index=node.core.committed, lag=dict(node.contacts.lag) if leads else {},
        silent_ms=node.contacts.silent_ms(members - {node.member}, now) if leads or forsaken else {},
        leader_age_ms=age_ms, rank=node.elections.rank,
        lead_from=node.lead_from if leads else "",
        journal=journal.health(node.owed.flushes, flushing_ms=flushing_ms),
        deciding=tuple(sorted(node.log.roster.voters)),
        electable=tuple(sorted(electable)), everybody=tuple(sorted(everybody)), last_term=node.log.last.term,
        last_at_ms=node.last_at_ms, lacking=node.lacking,
    )  # fmt: skip
