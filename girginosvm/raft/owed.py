"""What the log owes the disk, and how the disk is at it: one generation under way at a time."""

from __future__ import annotations

from girginosvm.raft.flush import Flusher
from girginosvm.raft.log import Log
from girginosvm.raft.standing import Flushes


class Owed:
    """One node's. OSError of ``settle`` is the disk's: it is not known what is durable."""

    def __init__(self, flusher: Flusher, log: Log) -> None:
        self._flusher, self._log = flusher, log
        self._under_way: tuple[int, int] | None = None  # generation, since when
        self.flushes = Flushes()

    def settle(self, now_ms: int) -> None:
        """The log learns what has become durable."""
        if self._under_way is not None and self._flusher.done() >= self._under_way[0]:
            generation, since_ms = self._under_way
            self._log.durable(generation)
            self._under_way = None
            self.flushes.took(now_ms - since_ms)

    def begin(self, now_ms: int) -> None:
        """What waits is flushed, unless a flush is under way."""
        if self._under_way is None and self._log.dirty:
            generation, records = self._log.take()
            self._under_way = (generation, now_ms)
            self._flusher.begin(generation, records)

    def flushing_ms(self, now_ms: int) -> int:
        """How long the flush under way has been running; 0 when there is none."""
        under_way = self._under_way
        return 0 if under_way is None else now_ms - under_way[1]

    def hangs(self, now_ms: int, limit_ms: int) -> bool:
        """A flush has been running for so long."""
        return self._under_way is not None and self.flushing_ms(now_ms) >= limit_ms
