"""What voters and observers cost: commits with 3, 5 and 7 who vote beside as many of etcd, and with 0, 20 and 60 who
only listen; and the leader's lines, memory and processor when nobody asks anything."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tests.bench.crew import Crew
from tests.bench.crowds import ROUNDS, SECONDS, crowd, ours, theirs
from tests.bench.etcd import Etcd, Link
from tests.bench.processes import busy, connections, resident_mb
from tests.bench.table import line, ratio, times
from tests.floors.raft.pki import Authority

CALLERS = 64
VOTERS = (3, 5, 7)
# How many, and whether all of them in one process: sixty interpreters on a few cores would measure switching.
OBSERVERS = ((0, False), (20, False), (20, True), (60, True))


async def measure(folder: Path, etcd: Path | None) -> None:
    """All of it; ``etcd`` is its program, if it can be had."""
    for count in VOTERS:
        await _voters(folder / f"voters-{count}", count, etcd)
    line("observers of three voters", "", "in one process: core, TLS and lines as ever, journals in memory, one thread")
    for count, together in OBSERVERS:
        await _observers(folder / f"observers-{count}-{together}", count, together=together)


async def _voters(folder: Path, count: int, program: Path | None) -> None:
    folder.mkdir()
    authority = Authority(folder)
    crew = Crew(authority, folder, count)
    etcd = Etcd(program, folder / "etcd", authority, count) if program else None
    mine: list[float] = []
    other: list[float] = []
    async with crew.running(), contextlib.AsyncExitStack() as stack:
        if etcd is not None:
            await stack.enter_async_context(etcd.running())
        for number in range(ROUNDS):
            leader = await crew.whole()
            mine += await crowd([ours(crew, leader, f"{number}.{one}") for one in range(CALLERS)])
            if etcd is not None:
                links = [Link(etcd.ports[etcd.leader()]) for _ in range(CALLERS)]
                other += await crowd([theirs(link, f"{number}.{one}") for one, link in enumerate(links)])
                for link in links:
                    link.close()
    rate, theirs_rate = len(mine) / SECONDS / ROUNDS, len(other) / SECONDS / ROUNDS
    beside = f"; etcd {theirs_rate:,.0f} /s, {times(other)}: {ratio(rate, theirs_rate)}" if other else ""
    line(f"{count} voters, {CALLERS} callers", f"{rate:,.0f} /s", f"{times(mine)}{beside}")


async def _observers(folder: Path, count: int, *, together: bool) -> None:
    folder.mkdir()
    crew = Crew(Authority(folder), folder, 3, count, together=together)
    took: list[float] = []
    async with crew.running():
        leader = await crew.whole()
        pids = {name: process.pid for name, process in crew.processes.items()}
        lines = sum(connections(pid) for pid in pids.values()) // 2
        mine, used = connections(pids[leader]), busy([pids[leader]])[0]
        memory = resident_mb(pids[leader])
        for number in range(ROUNDS):
            leader = await crew.whole()
            took += await crowd([ours(crew, leader, f"{number}.{one}") for one in range(CALLERS)])
        behind = await crew.behind()
    way = ", in one process" if together else ", a process each" if count else ""
    mesh = (3 + count) * (2 + count) // 2
    line(f"{count} observers{way}, idle leader", f"{used:.1f} % of a core",
         f"{memory:.0f} MB, {mine} lines; {lines} in all, not {mesh} as if each had one to each")  # fmt: skip
    line(f"{count} observers{way}, {CALLERS} callers", f"{len(took) / SECONDS / ROUNDS:,.0f} /s",
         f"{times(took)}; the last observer lacks {behind:,} entries at the end")  # fmt: skip
