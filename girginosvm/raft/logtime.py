"""The log's time: leaders change, the stamps go on."""

from __future__ import annotations

from girginosvm.core.clock import Clock
from girginosvm.raft.alone import Stamps


class LogTime:
    """Where a leader's stamps begin: at ``last_ms``, the newest stamp that its node has seen, plus what has elapsed
    since."""

    def __init__(self, clock: Clock, last_ms: int) -> None:
        self._clock = clock
        self.last_ms = last_ms
        self._seen_ms: int | None = None  # when (monotonic) it came, if in this process's time
        self._stamps: tuple[int, Stamps] | None = None

    def found(self, at_ms: int) -> None:
        """The journal ends with this stamp."""
        self.last_ms = max(self.last_ms, at_ms)

    def seen(self, at_ms: int) -> None:
        """An entry with this stamp has just come."""
        self.last_ms, self._seen_ms = at_ms, self._clock.monotonic_ms()

    def next(self, term: int) -> int:
        """The stamp of an entry that this node makes as leader of ``term``."""
        if self._stamps is None or self._stamps[0] != term:
            self._stamps = (term, Stamps(self._clock, self.last_ms, seen_ms=self._seen_ms))
        at_ms = self._stamps[1].next()
        self.seen(at_ms)
        return at_ms
