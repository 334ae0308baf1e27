"""So many callers at once, each with one write at a time, of ours or of etcd's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from tests.bench.etcd import Link
from tests.floors.raft.trio import Trio

ROUNDS = 3
SIZE = 256  # bytes of a write
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


def ours(trio: Trio, name: str, round_: str) -> Write:
    """A caller of one member."""

    async def write(number: int) -> None:
        await trio.clients[name].propose(f"{round_}.{number}".encode().ljust(SIZE))

    return write


def theirs(link: Link, round_: str) -> Write:
    """A caller of etcd."""

    async def write(number: int) -> None:
        await link.put(f"{round_}.{number}", bytes(SIZE))

    return write
