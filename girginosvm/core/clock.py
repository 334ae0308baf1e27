"""Time and chance as arguments, so that the simulator and the tests own them."""

from __future__ import annotations

import os
import time
from typing import Protocol

from girginosvm.core import ids


class Clock(Protocol):
    """Where a process takes its time from."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970, UTC; may jump."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds since some start; never goes back."""
        ...


class SystemClock:
    """The host's own."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


class Chance(Protocol):
    """Where a process takes its randomness from."""

    def take(self, count: int) -> bytes:
        """``count`` unpredictable bytes."""
        ...


class SystemChance:
    """The kernel's (getrandom(2))."""

    def take(self, count: int) -> bytes:
        return os.urandom(count)


def new_request_id(clock: Clock, chance: Chance, *, not_before_ms: int = 0) -> str:
    """A fresh UUIDv7: its time lets the log refuse one that is too old to be known. ``not_before_ms`` is the log's own
    time: a wall clock that was set back by a day would make every request too old."""
    return ids.uuid7(max(clock.wall_ms(), not_before_ms), chance.take(10))
