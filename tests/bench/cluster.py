"""Three members as processes on this machine, beside three of etcd on the same disk in the same run: commits a second,
how long writes stop when the leader dies or hands over, and what they cost when nobody asks anything.

Callers ask the leader over its own socket, as its agent does; etcd's ask its leader over gRPC. A state machine that
only counts: what is measured is agreement (lines, TLS, flushes), and not SQLite. Rounds of the two alternate, so that
what else the machine does meets both.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from girginosvm.core.errors import Problem
from tests.bench import voters
from tests.bench.commits import of_fdatasync
from tests.bench.crew import Crew
from tests.bench.crowds import ROUNDS, SECONDS, SIZE, Write, crowd, ours, theirs
from tests.bench.etcd import Etcd, Link, Refused, unpacked
from tests.bench.processes import busy, resident_mb
from tests.bench.table import line, ratio, spread, times
from tests.floors.raft.pki import Authority
from tests.floors.raft.trio import Trio

KILLS = 30
HAND_OVERS = 20


async def side_by_side(trio: Trio, etcd: Etcd | None, callers: int, disk: float) -> None:
    mine: list[float] = []
    other: list[float] = []
    for number in range(ROUNDS):
        leader = await trio.leader()
        mine += await crowd([ours(trio, leader, f"{callers}.{number}.{one}") for one in range(callers)])
        if etcd is not None:
            links = [Link(etcd.ports[etcd.leader()]) for _ in range(callers)]
            other += await crowd([theirs(link, f"{callers}.{number}.{one}") for one, link in enumerate(links)])
            for link in links:
                link.close()
    rate, their_rate = len(mine) / SECONDS / ROUNDS, len(other) / SECONDS / ROUNDS
    beside = f"etcd {their_rate:,.0f} /s, {times(other)}: {ratio(rate, their_rate)}; " if other else ""
    line(f"three members, {callers} callers", f"{rate:,.0f} /s", f"{times(mine)}; {beside}"
         f"fdatasync of one writer {ratio(rate, disk)}")  # fmt: skip


# A dead leader.


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


async def their_gap_ms(etcd: Etcd) -> float:
    """The same of etcd; a try that is refused, or not answered in 0.3 s, is followed by the next."""
    leader = etcd.leader()
    other = next(name for name in etcd.names if name != leader)
    link = Link(etcd.ports[other])
    await link.put("before", b"")
    began = time.perf_counter()
    etcd.kill(leader)
    while True:
        try:
            async with asyncio.timeout(0.3):
                await link.put("after", b"")
            break
        except (Refused, OSError, TimeoutError):
            link.close()
            await asyncio.sleep(0.005)
    took = (time.perf_counter() - began) * 1000
    link.close()
    etcd.start(leader)
    etcd.reached(leader)
    return took


# A planned hand-over. The caller asks the third member, or the one that leads until then. The third one's etcd forwards
# what its leader drops without a word while the lead is on its way (raft.go, ErrProposalDropped), so the caller waits
# for etcd's own limit: 5 s and two elections of 1 s (config.go, ReqTimeout). At the old leader it is refused at once.


class Waits:
    """The longest that a caller waited for a write, of each hand-over, ms; and how many writes were refused."""

    def __init__(self) -> None:
        self.ms: list[float] = []
        self.refused = 0

    async def during(self, write: Write, deed: Callable[[], Awaitable[None]]) -> None:
        """One caller goes on writing while ``deed`` is done; what is refused is said again."""

        async def again(number: int) -> None:
            while True:
                try:
                    await write(number)
                    return
                except (Problem, Refused):
                    self.refused += 1

        caller = asyncio.create_task(crowd([again], 0.6))
        await asyncio.sleep(0.2)
        await deed()
        self.ms.append(max(await caller))

    def __str__(self) -> str:
        return f"{spread(self.ms, 'ms')}, {self.refused} writes refused" if self.ms else "-"


async def hand_over(trio: Trio, waits: Waits, *, at_leader: bool) -> None:
    leader = await trio.leader()
    following, third = (name for name in trio.names if name != leader)
    write = ours(trio, leader if at_leader else third, f"over.{at_leader:d}.{len(waits.ms)}")
    await waits.during(write, lambda: trio.clients[leader].transfer(following))


async def their_hand_over(etcd: Etcd, waits: Waits, *, at_leader: bool) -> None:
    leader = etcd.leader()
    following, third = (name for name in etcd.names if name != leader)
    control, link = Link(etcd.ports[leader]), Link(etcd.ports[leader if at_leader else third])
    member, _ = etcd.status(following)
    await waits.during(theirs(link, "over"), lambda: control.move_leader(member))
    control.close()
    link.close()


# Nobody asks anything.


def idle(name: str, pids: Sequence[int]) -> None:
    """Processor and memory of each member."""
    used = busy(pids)
    memory = [resident_mb(pid) for pid in pids]
    line(f"three members idle, {name}", spread(memory, "MB"), spread(used, "% of a core"))


async def _measure(folder: Path) -> None:
    disk = of_fdatasync(folder, SIZE + 150)
    program = unpacked(folder / "package")
    authority = Authority(folder)
    etcd = Etcd(program, folder / "etcd", authority) if isinstance(program, Path) else None
    if etcd is None:
        line("beside etcd", "", str(program))
    trio = Crew(authority, folder, 3)
    async with trio.running(), contextlib.AsyncExitStack() as stack:
        if etcd is not None:
            await stack.enter_async_context(etcd.running())
        idle("ours", [process.pid for process in trio.processes.values()])
        if etcd is not None:
            idle("etcd's", etcd.pids())
        for callers in (1, 8, 64):
            await side_by_side(trio, etcd, callers, disk)
        await changes_of_leader(trio, etcd)
    await voters.measure(folder, program if isinstance(program, Path) else None)


async def changes_of_leader(trio: Trio, etcd: Etcd | None) -> None:
    for at_leader in (True, False):
        over, their_over = Waits(), Waits()
        for _ in range(HAND_OVERS):
            await hand_over(trio, over, at_leader=at_leader)
            if etcd is not None:
                await their_hand_over(etcd, their_over, at_leader=at_leader)
        asked = "the old leader" if at_leader else "the third"
        line(f"hand-over, longest wait, caller at {asked}", spread(over.ms, "ms"),
             f"{over.refused} refused; etcd {their_over}; {HAND_OVERS} runs")  # fmt: skip
    gaps, their_gaps = [], []
    for _ in range(KILLS):
        gaps.append(await gap_ms(trio))
        if etcd is not None:
            their_gaps.append(await their_gap_ms(etcd))
    line("leader killed (-9), to the next acknowledged write", spread(gaps, "ms"),
         f"etcd {spread(their_gaps, 'ms') if their_gaps else '-'}; {KILLS} runs")  # fmt: skip


def measure(folder: Path) -> None:
    """All of it, under ``folder``."""
    folder.mkdir()
    asyncio.run(_measure(folder))
