"""A member among others: the same face as ``Alone``, with the node in a thread of its own.

That thread owns node, core and lines. What asyncio wants of it goes through ``_ask``; what it answers comes back in
one call per turn.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable

from girginosvm.core.clock import Chance, Clock
from girginosvm.core.entries import Applied, Change, Entry
from girginosvm.core.errors import Busy, Invalid, Problem
from girginosvm.core.log import Log
from girginosvm.raft import changes, mesh
from girginosvm.raft.alone import BATCH_BYTES, StateMachine
from girginosvm.raft.apply import ThreadApplier
from girginosvm.raft.applying import Retention
from girginosvm.raft.core import Timing
from girginosvm.raft.files import Files
from girginosvm.raft.flush import ThreadFlusher
from girginosvm.raft.journal import Journal
from girginosvm.raft.membership import Roster
from girginosvm.raft.node import Node, Start
from girginosvm.raft.standing import FLUSH, FORSAKEN_MS, Status, stalled
from girginosvm.raft.store import ThreadStore
from girginosvm.raft.transport import Credentials, Transport


class Cluster:
    """``roster`` is the one to begin with, when the journal knows none. ``files`` keeps snapshots, and has opened
    ``journal`` (``Files.opened``). These and ``transport`` are closed by ``stop``."""

    def __init__(
        self, journal: Journal, files: Files, machine: StateMachine, clock: Clock, chance: Chance, log: Log,
        transport: Transport, *, member: str, roster: Roster, timing: Timing | None = None,
        retention: Retention | None = None,
    ) -> None:  # fmt: skip
        self._journal, self._machine, self._log, self._clock = journal, machine, log, clock
        self._transport = transport
        self._flusher = ThreadFlusher(journal, transport.wake)
        self._applier = ThreadApplier(machine, transport.wake)
        self._store = ThreadStore(files, transport.wake)
        start = Start(member, roster, machine.applied_index(), machine.last_stamp_ms(), files.beyond)
        self.node = Node(
            start, journal, self._flusher, self._applier, self._store, transport, clock, chance, log, timing=timing,
            retention=retention, applied=self._applied, jumped=self._jumped,
        )  # fmt: skip
        self._listeners = changes.Listeners()
        self._asked: deque[Callable[[], None]] = deque()
        self._told: list[Callable[[], None]] = []
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="raft", daemon=True)

    async def start(self) -> None:
        """Take part."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Take no further part; what waits is refused, what is under way is unknown."""
        self._stopping = True
        self._transport.wake()
        await asyncio.to_thread(self._thread.join)
        self._listeners.end()

    async def propose(self, command: bytes) -> bytes:
        """The command's outcome, applied here. Invalid, Busy, NoQuorum: surely not done; Unknown: perhaps."""
        if len(command) > BATCH_BYTES:
            raise Invalid("command-too-large", f"the command has {len(command):,} bytes; {BATCH_BYTES:,} fit")
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def answer(outcome: bytes | Problem) -> None:
            self._told.append(lambda: _settle(future, outcome))

        self._ask(lambda: self.node.propose(command, answer))
        return await future

    async def read_barrier(self) -> None:
        """Returns when a local read sees every write acknowledged before the call. Busy: no leader confirmed it."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def done(problem: Problem | None) -> None:
            self._told.append(lambda: _settle(future, problem or b""))

        self._ask(lambda: self.node.read(done))
        await future

    def transfer(self, peer: str) -> None:
        """If this member leads: let ``peer`` lead. ``status`` tells whether it does."""
        self._ask(lambda: self.node.hand_over(peer))

    def favour(self, rank: int) -> None:
        """How good this member is to lead, from 0 to 2 for the last: it waits longer before it stands. It never
        forbids."""
        self._ask(lambda: self.node.elections.favour(rank))

    def renew(self, credentials: Credentials) -> None:
        """New certificates, for the lines from now on; ssl.SSLError or OSError when a file does not fit."""
        server, client = credentials.context(server=True), credentials.context(server=False)
        self._ask(lambda: self._transport.renew(server, client))

    async def change(self, change: Change) -> None:
        """Add, nominate, promote, demote or remove a member; returns when that is committed. Busy: not now, or lost
        with the leader; Conflict: what stands against it."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def answer(outcome: bytes | Problem) -> None:
            self._told.append(lambda: _settle(future, outcome))

        self._ask(lambda: self.node.change(change, answer))
        await future

    async def changes(self) -> AsyncIterator[changes.Change]:
        """Applied entries as they come. Ends when this stops, or when the listener is 10,000 behind."""
        async for change in self._listeners.changes():
            yield change

    def status(self) -> Status:
        """A look from the side, perhaps one turn old."""
        stamp_ms = self._machine.last_stamp_ms()
        return look(self.node, self._journal, self._clock.monotonic_ms(), last_stamp_ms=stamp_ms)

    def _ask(self, what: Callable[[], None]) -> None:
        if self._stopping:
            raise Busy("stopping", "this node is stopping", retry_after_s=1)
        self._asked.append(what)
        self._transport.wake()

    def _applied(self, entry: Entry, applied: Applied) -> None:
        change = changes.Change(entry.index, entry.at_ms, applied.tables)
        self._told.append(lambda: self._listeners.tell(change))

    def _jumped(self) -> None:
        """A snapshot took the place of entries: whoever listens reads everything anew."""
        self._told.append(self._listeners.end)

    def _run(self) -> None:
        node, clock = self.node, self._clock
        due_ms = 0
        while not self._stopping:
            events = self._transport.poll((due_ms - clock.monotonic_ms()) / 1000)
            try:
                while self._asked:
                    self._asked.popleft()()
                due_ms = node.turn(events)
            except Exception as fault:  # a fault of ours: better no member than one whose state nobody knows
                self._log.error("raft.bug", fault=f"{type(fault).__name__}: {fault}")
                node.stop(f"a fault of ours: {type(fault).__name__}: {fault}")
            self._tell()
        node.stop("this node is stopping", fault=False)
        while self._asked:
            self._asked.popleft()()
        self._tell()
        self._applier.close()
        self._store.close()
        self._flusher.close()
        self._transport.close()

    def _tell(self) -> None:
        told, self._told = self._told, []
        if told and self._loop is not None:
            self._loop.call_soon_threadsafe(lambda: [one() for one in told])


def _settle(future: asyncio.Future[bytes], outcome: bytes | Problem) -> None:
    if future.done():
        return
    if isinstance(outcome, Problem):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


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
