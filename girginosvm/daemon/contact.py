"""How old what this node shows may be: how long ago it last heard of a leader."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from girginosvm.core.clock import Clock
from girginosvm.core.errors import Problem
from girginosvm.features.node.plan import AWAY_MS
from girginosvm.raft.standing import Status

FRESH_MS: Final = 200  # an answer of the raft process is good for so long
_PATIENCE_S: Final = 0.2


class Contact:
    """Asks the raft process at most every 200 ms, however many reads come, and counts on from its last answer: a raft
    process that is away, or hangs, makes the age grow and no read wait."""

    def __init__(self, status: Callable[[], Awaitable[Status]], clock: Clock) -> None:
        self._status = status
        self._clock = clock
        self._asked_ms: int | None = None
        self._led_ms: int | None = None  # the last contact (monotonic), as far as is known
        self._look: asyncio.Task[None] | None = None

    async def age_ms(self) -> int | None:
        """Milliseconds since the last contact with a leader; about 0 on the leader. None: none since the raft process
        began."""
        now = self._clock.monotonic_ms()
        if self._look is None and (self._asked_ms is None or now - self._asked_ms >= FRESH_MS):
            self._asked_ms = now
            self._look = asyncio.create_task(self._ask(now))
        if self._look is not None and now - (self._asked_ms or 0) < FRESH_MS:
            await asyncio.wait({self._look}, timeout=_PATIENCE_S)
        if self._led_ms is None:
            return None
        return max(0, self._clock.monotonic_ms() - self._led_ms)

    async def cut_off(self) -> bool:
        """No leader was heard for so long that what happens elsewhere does not reach this node."""
        age_ms = await self.age_ms()
        return age_ms is None or age_ms >= AWAY_MS

    async def _ask(self, asked_ms: int) -> None:
        try:
            age_ms = (await self._status()).leader_age_ms
        except Problem:
            return  # it counts on
        else:
            # A process that has begun anew has heard nobody yet; that an earlier one has stays true.
            self._led_ms = self._led_ms if age_ms is None else asked_ms - age_ms
        finally:
            self._look = None
