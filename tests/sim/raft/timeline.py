"""Virtual time: what happens, in its order, and all chance, from one seed. So a seed replays exactly."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import random
from collections.abc import Callable, Iterator

import pysyncobj.syncobj


class Timeline:
    """``now`` is in ms since the world began."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = 1
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, when: int, what: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (when, next(self._order), what))

    def later(self, in_ms: int, what: Callable[[], None]) -> None:
        self.at(self.now + in_ms, what)

    def run(self, until: int, *, stop: Callable[[], bool] = lambda: False) -> None:
        """Let time pass."""
        with self.core_clock():
            while not stop() and self.happen(until):
                pass
        if not stop():
            self.now = max(self.now, until)

    def happen(self, until: int) -> bool:
        """The next thing that happens; False when nothing does until then."""
        if not self._queue or self._queue[0][0] > until:
            return False
        when, _, what = heapq.heappop(self._queue)
        self.now = max(self.now, when)
        what()
        return True

    def forget(self) -> None:
        """Nothing more happens."""
        self._queue.clear()

    @contextlib.contextmanager
    def core_clock(self) -> Iterator[None]:
        """The core's own clock is this one meanwhile (the third seam, in tests only)."""
        real = pysyncobj.syncobj.monotonicTime
        pysyncobj.syncobj.monotonicTime = lambda: self.now / 1000
        try:
            yield
        finally:
            pysyncobj.syncobj.monotonicTime = real


class Clock:
    """The time, as one host sees it: its wall clock may be anywhere."""

    def __init__(self, time: Timeline) -> None:
        self._time = time
        self.wall_offset_ms = 0

    def wall_ms(self) -> int:
        return 1_800_000_000_000 + self._time.now + self.wall_offset_ms

    def monotonic_ms(self) -> int:
        return self._time.now


class Chance:
    """The seed's chance, by the port that production code asks for bytes."""

    def __init__(self, time: Timeline) -> None:
        self._time = time

    def take(self, count: int) -> bytes:
        return self._time.chance.randbytes(count)
