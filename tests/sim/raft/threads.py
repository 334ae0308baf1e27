"""What a raft process leaves to its threads: the flush, snapshots, and the state machine. Each takes time, and a death
finds each in the middle of something."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from sim.raft.machine import Machine

from girginosvm.core.entries import Entry, Unfit
from girginosvm.raft.apply import Checkpointed, Done, Installed
from girginosvm.raft.files import Files, Outcome, Task
from girginosvm.raft.flush import Record, write
from girginosvm.raft.journal import Journal

HUNG_MS = 50  # after so long a disk that hangs is looked at again


class Applier:
    """Applies at once, in the turn that hands over. To install a snapshot takes time; ``installed`` hears of it."""

    def __init__(self, machine: Machine, installed: Callable[[], None]) -> None:
        self._machine = machine
        self._installed = installed
        self._done: list[Done] = []

    def submit(self, entries: Sequence[Entry]) -> None:
        self._done += [(entry, self._machine.memory.apply(entry)) for entry in entries]

    def checkpoint(self) -> None:
        self._done.append(Checkpointed(self._machine.memory.checkpoint()))

    def install(self, path: Path) -> None:
        def finish() -> None:
            try:
                self._done.append(Installed(self._machine.memory.install(path)))
            except Unfit as unfit:
                self._done.append(Installed(None, str(unfit)))
            else:
                self._installed()
            self._machine.wake()

        self._machine.later(self._machine.time.chance.randrange(0, 60), finish)

    def collect(self) -> list[Done]:
        done, self._done = self._done, []
        return done


class Shelf:
    """The thread of snapshots: one task after the other, a few ms each."""

    def __init__(self, machine: Machine, files: Files) -> None:
        self._machine = machine
        self._files = files
        self._tasks: deque[Task] = deque()
        self._done: list[Outcome] = []

    def submit(self, task: Task) -> None:
        self._tasks.append(task)
        if len(self._tasks) == 1:
            self._begin()

    def collect(self) -> list[Outcome]:
        done, self._done = self._done, []
        return done

    def _begin(self) -> None:
        self._machine.later(self._machine.time.chance.randrange(0, 8) + max(0, self._machine.slow_ms), self._finish)

    def _finish(self) -> None:
        if self._machine.slow_ms < 0:
            self._machine.later(HUNG_MS, self._finish)
            return
        outcome = self._files.do(self._tasks.popleft())
        if outcome is not None:
            self._done.append(outcome)
            self._machine.wake()
        if self._tasks:
            self._begin()

    def die(self) -> None:
        """The process ends in the middle of a task: any part of it may have been done."""
        if self._tasks:
            self._machine.snapshots.fuse = self._machine.time.chance.randrange(0, 6)
            self._files.do(self._tasks[0])
            self._machine.snapshots.fuse = -1


class Flusher:
    """One generation at a time, a few ms each."""

    def __init__(self, machine: Machine, journal: Journal) -> None:
        self._machine = machine
        self.journal = journal
        self._generation = self._done = 0
        self._fault: OSError | None = None
        self._records: Sequence[Record] = ()

    def begin(self, generation: int, records: Sequence[Record]) -> None:
        self._generation, self._records = generation, records
        self._machine.later(self._machine.time.chance.randrange(0, 3) + max(0, self._machine.slow_ms), self._finish)

    def _finish(self) -> None:
        if self._machine.slow_ms < 0:
            self._machine.later(HUNG_MS, self._finish)
            return
        records, self._records = self._records, ()
        try:
            write(self.journal, records)
        except OSError as fault:
            self._fault = fault
        else:
            self._done = self._generation
        self._machine.wake()

    def die(self) -> None:
        """The process ends while a generation is being written: any part of it may have been."""
        if self._records:
            self._machine.disk.fuse = self._machine.time.chance.randrange(0, 2 * len(self._records) + 3)
            with contextlib.suppress(OSError):
                write(self.journal, self._records)
            self._machine.disk.fuse = -1

    def done(self) -> int:
        if self._fault is not None:
            raise self._fault
        return self._done

    def close(self) -> None:
        """Nothing to let go of."""
