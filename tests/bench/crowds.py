"""So many callers at once, each with one write at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

ROUNDS = 3
SECONDS = 2.0
# What one caller does: a write that is acknowledged when it returns, by its number.
Write = Callable[[int], Awaitable[None]]


async def crowd(callers: Sequence[Write], seconds: float = SECONDS) -> list[float]:
    """What each write took, ms: so many callers at once, each with one write at a time."""
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def caller(write: Write) -> None:
        number = 0
        while (began := time.perf_counter()) < end:
            number += 1
            await write(number)
            took.append((time.perf_counter() - began) * 1000)

    await asyncio.gather(*map(caller, callers))
    return took
