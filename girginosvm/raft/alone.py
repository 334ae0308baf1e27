"""A cluster of one: the same journal, batching and apply as with peers, and nobody to ask.

Acknowledged means flushed and applied. Commands that wait while a batch is being flushed become the next batch
(group commit), so that one flush serves many.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

from girginosvm.core.clock import Clock
from girginosvm.core.entries import Applied, Entry, Halt, Place
from girginosvm.core.entries import Change as MemberChange
from girginosvm.core.errors import Busy, HostFault, Invalid, Problem, Unknown
from girginosvm.core.log import Log
from girginosvm.core.points import reach
from girginosvm.raft.answers import answered
from girginosvm.raft.changes import Change, Listener, Listeners
from girginosvm.raft.journal import Journal, Vote
from girginosvm.raft.proposals import Answer
from girginosvm.raft.standing import FLUSH, Flushes, Status, stalled

T = TypeVar("T")
_Waiting = tuple[bytes, Answer]
BATCH_BYTES: Final = 1024 * 1024
BATCH_COST_MS: Final = 10.0
MAX_WAITING: Final = 10_000
COMPACT_ENTRIES: Final = 20_000
STALL_S: Final = 3.0


class StateMachine(Protocol):
    """What agreement needs of memory. ``apply`` raises ``Halt`` and nothing else. ``snapshot`` and ``install`` are for
    members among others."""

    def applied_index(self) -> int: ...

    def last_stamp_ms(self) -> int: ...

    def apply(self, entry: Entry) -> Applied: ...

    def checkpoint(self) -> int: ...

    def snapshot(self, path: Path) -> Place:
        """Copy what is applied into the new file ``path``; called from a thread of its own."""
        ...

    def install(self, path: Path) -> Place:
        """Become what a snapshot holds, durably. Unfit: nothing was changed; Halt: this node can take in no more."""
        ...


class Stamps:
    """The leader's time: the previous stamp plus elapsed monotonic time, steered to the wall clock by at most 10 %."""

    def __init__(self, clock: Clock, last_ms: int, *, seen_ms: int | None = None) -> None:
        """``seen_ms``: when (monotonic) the previous stamp was seen, if this process has seen it come."""
        self._clock = clock
        # At start the wall clock is all there is; it may not lead backwards.
        self._stamp = max(last_ms, clock.wall_ms()) if last_ms == 0 else last_ms
        self._mono = clock.monotonic_ms() if seen_ms is None else seen_ms
        self._spare = 0  # elapsed ms that have not yet made up a whole ms of steering
        self._restarted = last_ms != 0 and seen_ms is None

    def next(self) -> int:
        """The next entry's stamp; never before the one before."""
        mono, wall = self._clock.monotonic_ms(), self._clock.wall_ms()
        elapsed, self._mono = mono - self._mono, mono
        if self._restarted:  # the time that the process was down is not in the monotonic clock
            self._restarted = False
            self._stamp = max(self._stamp, wall)
            return self._stamp
        # The rest is carried over, or entries closer than 10 ms would never be steered forward and always held back.
        most, self._spare = divmod(self._spare + elapsed, 10)
        ahead = wall - (self._stamp + elapsed)
        self._stamp += elapsed + max(-most, min(most, ahead))
        return self._stamp


class Alone:
    """Composes journal and state machine; ``propose`` answers the outcome when it is durable and applied."""

    def __init__(
        self, journal: Journal, machine: StateMachine, clock: Clock, log: Log, *, node: str,
        compact_entries: int = COMPACT_ENTRIES, stall_s: float = STALL_S,
    ) -> None:  # fmt: skip
        self._journal = journal
        self._machine = machine
        self._log = log
        self._node = node
        self._waiting: list[_Waiting] = []
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="apply")
        self._listeners = Listeners()
        self._cost_ms = 0.5
        self._compact_entries = compact_entries
        self._compacted_at = machine.applied_index()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self.halted = ""
        self._trouble = ""
        self._stall_s = stall_s
        # What the thread is at, since when (monotonic), and whether that is too long.
        self._doing, self._since, self._stalled = "", 0.0, False
        self._flushes = Flushes()
        self._flush_began: float | None = None
        self._replay()
        self._stamps = Stamps(clock, machine.last_stamp_ms())

    def _replay(self) -> None:
        journal, applied = self._journal, self._machine.applied_index()
        journal.check_reaches(applied)
        journal.check_follows(applied)
        for entry in journal.entries:
            if entry.index > applied:
                self._machine.apply(entry)
        journal.entries.clear()
        journal.payloads.clear()
        if journal.vote.term == 0:
            try:
                reach("vote.set:before")
                journal.set_vote(Vote(1, self._node))
                journal.flush()
                reach("vote.set:after")
            except OSError as fault:
                raise HostFault(
                    "journal-faulty", f"the journal's disk does not take the first record: {fault}"
                ) from fault

    async def start(self) -> None:
        """Begin to take proposals."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Finish what is being flushed, refuse the rest, close the journal."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
        self._refuse(Busy("stopping", "this node is stopping", retry_after_s=1))
        self._thread.shutdown(wait=True)
        self._journal.close()
        self._listeners.end()

    async def propose(self, command: bytes) -> bytes:
        """The command's outcome. Invalid, Busy: surely not done; Unknown: this node halted on the way."""
        return await answered(partial(self.submit, command))

    def submit(self, command: bytes, answer: Answer) -> None:
        """The same, for whoever does not wait: ``answer`` gets the outcome, or a problem; or it is raised."""
        if len(command) > BATCH_BYTES:
            raise Invalid("command-too-large", f"the command has {len(command):,} bytes; {BATCH_BYTES:,} fit")
        if self._stopping:
            raise Busy("stopping", "this node is stopping", retry_after_s=1)
        if self.halted:
            raise Busy("halted", f"this node has stopped applying: {self.halted}")
        if self._stalled:
            raise self._stall()
        if len(self._waiting) >= MAX_WAITING:
            raise Busy("too-many-waiting", f"{MAX_WAITING} commands wait already", retry_after_s=1)
        self._waiting.append((command, answer))
        self._wake.set()

    async def change(self, change: MemberChange) -> None:
        """Nobody else can belong to a cluster of one: it has to be opened first."""
        raise Busy("cluster-closed", f"this node is a cluster of one; it cannot {change.kind} {change.member} yet")

    def transfer(self, peer: str) -> None:
        """There is nobody to hand over to."""

    async def read_barrier(self) -> None:
        """Whatever was acknowledged is applied: the only voter is this node."""
        if self.halted:
            raise Busy("halted", f"this node has stopped applying: {self.halted}")

    def listen(self, listener: Listener) -> Callable[[], None]:
        """It hears of applied entries from now on; answers what ends that."""
        return self._listeners.listen(listener)

    def status(self) -> Status:
        """A look from the side."""
        applied = self._machine.applied_index()
        began = self._flush_began
        flushing_ms = 0 if began is None else round(1000 * (time.monotonic() - began))
        return Status(
            self._node, self._journal.vote.term, applied, self._journal.last_index, self._journal.first_index,
            len(self._waiting), self.halted, self._machine.last_stamp_ms(),
            self._stall().detail if self._stalled else self._trouble, commit_index=applied,
            journal=self._journal.health(self._flushes, flushing_ms=flushing_ms), last_term=self._journal.last_term,
            last_at_ms=self._machine.last_stamp_ms(),
        )  # fmt: skip

    async def _run(self) -> None:
        while not self._stopping:
            await self._wake.wait()
            batch = self._take()
            if not batch:
                self._wake.clear()
                continue
            commands = tuple(command for command, _ in batch)
            entry = Entry(
                self._journal.last_index + 1, self._journal.vote.term, self._stamps.next(), self._node, commands
            )
            try:
                applied = await self._in_thread(partial(self._commit, entry))
            except OSError as fault:
                self._disk_fault(batch, fault)
            except Halt as halt:
                self._halt(batch, str(halt))
            else:
                self._trouble = ""
                self._answer(batch, applied, entry)
                if entry.index - self._compacted_at >= self._compact_entries:
                    self._compacted_at = entry.index
                    await self._in_thread(self._compact)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Work that waits for a disk. One that does not answer is said, and nobody is let wait behind it: what is not
        in the log yet is refused, what is being flushed may be in it and waits."""
        loop = asyncio.get_running_loop()
        self._since = time.monotonic()
        timer = loop.call_later(self._stall_s, self._stall_begins)
        try:
            return await loop.run_in_executor(self._thread, work)
        finally:
            timer.cancel()
            if self._stalled:
                self._log.warning("raft.stall-ended", doing=self._doing, after_s=round(time.monotonic() - self._since))
            self._stalled = False

    def _stall_begins(self) -> None:
        self._stalled = True
        self._log.error("raft.stalled", doing=self._doing)
        self._refuse(self._stall())

    def _stall(self) -> Busy:
        return Busy("disk-stalled", stalled(self._doing, time.monotonic() - self._since), retry_after_s=1)

    def _take(self) -> list[_Waiting]:
        """As many as fit 1 MiB and 10 ms of recent apply cost, at least one."""
        most = max(1, int(BATCH_COST_MS / self._cost_ms))
        size = count = 0
        for command, _ in self._waiting[:most]:
            size += len(command)
            if count and size > BATCH_BYTES:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    def _commit(self, entry: Entry) -> Applied:
        """Durable, then applied. OSError: the log is as it was; Halt: anything else, since the entry is in the log."""
        self._doing = FLUSH
        self._journal.append(entry)
        self._flush_began = began = time.monotonic()
        try:
            self._journal.flush()
            self._flushes.took(round(1000 * (time.monotonic() - began)))
        except OSError as fault:
            # It is not known what is durable (fsync(2)): this process may acknowledge nothing, nor write again.
            raise Halt(f"the journal could not be flushed: {fault}") from fault
        finally:
            self._flush_began = None
        self._doing = f"applying entry {entry.index}"
        reach("machine.apply:before")
        started = time.perf_counter()
        try:
            applied = self._machine.apply(entry)
        except Halt:
            raise
        except Exception as fault:
            raise Halt(f"entry {entry.index} could not be applied: {type(fault).__name__}: {fault}") from fault
        if len(applied.outcomes) != len(entry.commands):
            raise Halt(f"entry {entry.index}: {len(applied.outcomes)} outcomes for {len(entry.commands)} commands")
        cost_ms = (time.perf_counter() - started) * 1000 / len(entry.commands)
        self._cost_ms = max(0.02, 0.8 * self._cost_ms + 0.2 * cost_ms)
        reach("machine.apply:after")
        return applied

    def _compact(self) -> None:
        """Let go of old segments. A fault here undoes nothing: it is said, and tried again after as many entries."""
        try:
            self._doing = "the database's checkpoint"
            reach("machine.checkpoint:before")
            index = self._machine.checkpoint()
            reach("machine.checkpoint:after")
            self._journal.drop_through(index)
        except Exception as fault:
            self._log.error("journal.not-compacted", fault=f"{type(fault).__name__}: {fault}")

    def _answer(self, batch: list[_Waiting], applied: Applied, entry: Entry) -> None:
        for (_, answer), outcome in zip(batch, applied.outcomes, strict=True):
            answer(outcome)
        self._listeners.tell(Change(entry.index, entry.at_ms, applied.tables))

    def _disk_fault(self, batch: list[_Waiting], fault: OSError) -> None:
        code = "journal-full" if fault.errno in (errno.ENOSPC, errno.EDQUOT) else "journal-faulty"
        self._log.error("journal.refused", code=code, fault=str(fault))
        self._trouble = f"the journal's disk does not take more: {fault.strerror}"
        _tell(batch, Busy(code, f"{self._trouble}; nothing was changed"))

    def _halt(self, batch: list[_Waiting], reason: str) -> None:
        self.halted = reason
        self._log.error("raft.halted", reason=reason)
        _tell(batch, Unknown("halted", f"this node stopped while the command was on its way: {reason}"))
        self._refuse(Busy("halted", f"this node has stopped applying: {reason}"))

    def _refuse(self, problem: Busy) -> None:
        waiting, self._waiting = self._waiting, []
        _tell(waiting, problem)


def _tell(callers: list[_Waiting], problem: Problem) -> None:
    for _, answer in callers:
        answer(problem)
