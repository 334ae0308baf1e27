"""Applying in a thread of its own: a slow transaction delays answers, and no heartbeat."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from girginosvm.core.entries import Applied, Entry, Halt, Place, Unfit
from girginosvm.core.points import reach
from girginosvm.raft.alone import StateMachine


class Checkpointed(msgspec.Struct, frozen=True):
    """The database is durable up to this entry; 0 when it could not be made so, and ``fault`` says why if somebody
    knows."""

    index: int
    fault: str = ""


class Installed(msgspec.Struct, frozen=True):
    """The database is what a snapshot held, durably. ``unfit`` says why it is not, and is as it was."""

    place: Place | None
    unfit: str = ""


Done = tuple[Entry, Applied] | Checkpointed | Installed
Work = Entry | Path | None  # an entry, a snapshot to install, a checkpoint


class Applier(Protocol):
    """Applies entries in order, perhaps in a thread of its own."""

    def submit(self, entries: Sequence[Entry]) -> None: ...

    def checkpoint(self) -> None:
        """Make the database durable, after what was submitted."""
        ...

    def install(self, path: Path) -> None:
        """Let the database become what the snapshot in ``path`` holds, after what was submitted."""
        ...

    def collect(self) -> list[Done]:
        """What has been done since. Halt when this node can apply no further."""
        ...


class ThreadApplier:
    """``wake`` is called from the thread after each piece of work."""

    def __init__(self, machine: StateMachine, wake: Callable[[], None]) -> None:
        self._machine = machine
        self._wake = wake
        self._work: queue.SimpleQueue[tuple[Work] | None] = queue.SimpleQueue()
        self._done: deque[Done] = deque()
        self._halt: Halt | None = None
        self._thread = threading.Thread(target=self._run, name="apply", daemon=True)
        self._thread.start()

    def submit(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._work.put((entry,))

    def checkpoint(self) -> None:
        self._work.put((None,))

    def install(self, path: Path) -> None:
        self._work.put((path,))

    def collect(self) -> list[Done]:
        """What has been done since. Halt, after all that was applied before it."""
        done = []
        while self._done:
            done.append(self._done.popleft())
        if not done and self._halt is not None:
            raise self._halt
        return done

    def close(self) -> None:
        """Finish what was handed over."""
        self._work.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                self._done.append(self._do(work[0]))
            except Halt as halt:
                self._halt = halt
            self._wake()
            if self._halt is not None:
                return

    def _do(self, work: Work) -> Done:
        try:
            match work:
                case Entry():
                    reach("machine.apply:before")
                    applied = self._machine.apply(work)
                    reach("machine.apply:after")
                    return work, applied
                case Path():
                    return self._install(work)
                case None:
                    return self._checkpoint()
        except Halt:
            raise
        except Exception as fault:  # a fault of ours or of the host: this node applies nothing more
            what = f"entry {work.index}" if isinstance(work, Entry) else "a snapshot"
            raise Halt(f"{what} could not be applied: {type(fault).__name__}: {fault}") from fault

    def _install(self, path: Path) -> Installed:
        reach("machine.install:before")
        try:
            place = self._machine.install(path)
        except Unfit as unfit:
            return Installed(None, str(unfit))
        reach("machine.install:after")
        return Installed(place)

    def _checkpoint(self) -> Checkpointed:
        """A fault here undoes nothing: the log stays, and it is tried again."""
        try:
            reach("machine.checkpoint:before")
            index = self._machine.checkpoint()
            reach("machine.checkpoint:after")
        except Exception as fault:
            return Checkpointed(0, f"{type(fault).__name__}: {fault}")
        return Checkpointed(index)
