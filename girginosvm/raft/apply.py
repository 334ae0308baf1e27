"""Applying in a thread of its own: a slow transaction delays answers, and no heartbeat."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from girginosvm.core.entries import Applied, Entry, Halt
from girginosvm.core.points import reach
from girginosvm.raft.alone import StateMachine


class Applier(Protocol):
    """Applies entries in order, perhaps in a thread of its own."""

    def submit(self, entries: Sequence[Entry]) -> None: ...

    def collect(self) -> list[tuple[Entry, Applied]]:
        """What has been applied since. Halt when this node can apply no further."""
        ...


class ThreadApplier:
    """``wake`` is called from the thread after each entry."""

    def __init__(self, machine: StateMachine, wake: Callable[[], None]) -> None:
        self._machine = machine
        self._wake = wake
        self._entries: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self._done: deque[tuple[Entry, Applied]] = deque()
        self._halt: Halt | None = None
        self._thread = threading.Thread(target=self._run, name="apply", daemon=True)
        self._thread.start()

    def submit(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._entries.put(entry)

    def collect(self) -> list[tuple[Entry, Applied]]:
        """What has been applied since. Halt, after all that was applied before it."""
        done = []
        while self._done:
            done.append(self._done.popleft())
        if not done and self._halt is not None:
            raise self._halt
        return done

    def close(self) -> None:
        """Finish what was handed over."""
        self._entries.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (entry := self._entries.get()) is not None:
            reach("machine.apply:before")
            try:
                applied = self._machine.apply(entry)
            except Halt as halt:
                self._halt = halt
            except Exception as fault:  # a fault of ours or of the host: this node applies nothing more
                self._halt = Halt(f"entry {entry.index} could not be applied: {type(fault).__name__}: {fault}")
            else:
                reach("machine.apply:after")
                self._done.append((entry, applied))
            self._wake()
            if self._halt is not None:
                return
