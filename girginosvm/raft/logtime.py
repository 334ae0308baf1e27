"""The log's time: leaders change, the stamps go on."""

from __future__ import annotations

from girginosvm.core.clock import Clock
from girginosvm.raft.alone import Stamps


class LogTime:
    """Where a leader's stamps begin: at ``last_ms``, the newest stamp that its node has seen, plus what has elapsed
    since.

    A process that has seen none come does not know what has elapsed: after a cold start of all hosts, nobody does. One
    clock that is wrong would then take the log's time along for ever, and everything that ends with it: so whoever
    votes says what time it has, and of all that the leader knows it takes the middle one, of two the earlier one.
    """

    def __init__(self, clock: Clock, last_ms: int) -> None:
        self._clock = clock
        self.last_ms = last_ms
        self._seen_ms: int | None = None  # when (monotonic) it came, if in this process's time
        self._stamps: tuple[int, Stamps] | None = None
        self._told: tuple[int, dict[str, int]] = (0, {})  # by term: what time the voters have

    def found(self, at_ms: int) -> None:
        """The journal ends with this stamp."""
        self.last_ms = max(self.last_ms, at_ms)

    def seen(self, at_ms: int) -> None:
        """An entry with this stamp has just come."""
        self.last_ms, self._seen_ms = at_ms, self._clock.monotonic_ms()

    def now(self) -> int:
        """What time the log has, as far as this node knows."""
        if self._seen_ms is None:
            return max(self.last_ms, self._clock.wall_ms())
        return self.last_ms + self._clock.monotonic_ms() - self._seen_ms

    def told(self, term: int, peer: str, at_ms: int) -> None:
        """Whoever votes for this node in ``term`` says what time it has."""
        if self._told[0] != term:
            self._told = (term, {})
        self._told[1][peer] = at_ms

    def next(self, term: int) -> int:
        """The stamp of an entry that this node makes as leader of ``term``."""
        if self._stamps is None or self._stamps[0] != term:
            if self._seen_ms is None:
                self.seen(self._agreed(term))
            self._stamps = (term, Stamps(self._clock, self.last_ms, seen_ms=self._seen_ms))
        at_ms = self._stamps[1].next()
        self.seen(at_ms)
        return at_ms

    def _agreed(self, term: int) -> int:
        others = self._told[1].values() if self._told[0] == term else ()
        known: list[int] = sorted((self.now(), *others))
        return max(self.last_ms, known[(len(known) - 1) // 2])
