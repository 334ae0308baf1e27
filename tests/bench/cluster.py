"""Three members as processes on this machine: commits a second, and how long writes stop when the leader dies.

Callers ask the leader over its own socket, as its agent does. A state machine that only counts: what is measured is
agreement (lines, TLS, flushes), and not SQLite.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

from girginosvm.core.errors import Problem
from tests.bench.commits import of_fdatasync
from tests.bench.table import line, ratio, spread
from tests.floors.raft.pki import Authority
from tests.floors.raft.trio import Trio

SECONDS = 3.0
SIZE = 256
KILLS = 20


async def commits(trio: Trio, callers: int) -> tuple[float, list[float]]:
    """Commands a second, and what each took in ms, sorted."""
    client = trio.clients[await trio.leader()]
    took: list[float] = []
    end = time.perf_counter() + SECONDS

    async def caller(number: int) -> None:
        while (began := time.perf_counter()) < end:
            await client.propose(f"{callers}.{number}.{began}".encode().ljust(SIZE))
            took.append((time.perf_counter() - began) * 1000)

    await asyncio.gather(*(caller(number) for number in range(callers)))
    return len(took) / SECONDS, sorted(took)


async def gap_ms(trio: Trio) -> float:
    """Kill the leader; ms until a write through another member is acknowledged."""
    leader = await trio.leader()
    other = next(name for name in trio.names if name != leader)
    await trio.clients[other].propose(b"before")
    began = time.perf_counter()
    trio.kill(leader)
    while True:
        with contextlib.suppress(Problem):
            await trio.clients[other].propose(b"after")
            break
    took = (time.perf_counter() - began) * 1000
    trio.start(leader)
    await trio.rejoined(leader)
    return took


async def _measure(folder: Path) -> None:
    disk = of_fdatasync(folder, SIZE + 150)
    trio = Trio(Authority(folder), folder)
    async with trio.running():
        for callers in (1, 8, 64):
            rate, took = await commits(trio, callers)
            p50, p99 = took[len(took) // 2], took[int(len(took) * 0.99)]
            line(f"three members, {callers} callers", f"{rate:,.0f} /s",
                 f"p50 {p50:.1f} ms, p99 {p99:.1f} ms; fdatasync of one writer {ratio(rate, disk)}")  # fmt: skip
        gaps = [await gap_ms(trio) for _ in range(KILLS)]
        line("leader killed (-9), to the next acknowledged write", spread(gaps, "ms"), f"{KILLS} runs")


def measure(folder: Path) -> None:
    """All of it, under ``folder``."""
    folder.mkdir()
    asyncio.run(_measure(folder))
