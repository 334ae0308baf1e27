"""The thread that reads and writes snapshots: a large one delays no heartbeat, and no entry."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from girginosvm.raft.files import Files, Outcome, Task


class Store(Protocol):
    """Does what ``files`` can, one after the other, perhaps in a thread of its own."""

    def submit(self, task: Task) -> None: ...

    def collect(self) -> list[Outcome]:
        """What has come of it since."""
        ...


class ThreadStore:
    """``wake`` is called from the thread after each task that has an outcome."""

    def __init__(self, files: Files, wake: Callable[[], None]) -> None:
        self._files = files
        self._wake = wake
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._done: deque[Outcome] = deque()
        self._thread = threading.Thread(target=self._run, name="snapshot", daemon=True)
        self._thread.start()

    def submit(self, task: Task) -> None:
        self._tasks.put(task)

    def collect(self) -> list[Outcome]:
        done = []
        while self._done:
            done.append(self._done.popleft())
        return done

    def close(self) -> None:
        """Finish what was asked, and let go of the disk."""
        self._tasks.put(None)
        self._thread.join()
        self._files.close()

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            outcome = self._files.do(task)
            if outcome is not None:
                self._done.append(outcome)
                self._wake()
