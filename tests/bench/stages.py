"""Where one write's time goes, from the client to the client: three daemons, one caller, over HTTP; median of each gap
between two stages. The leader's way, and the flushes of all three beside it."""

from __future__ import annotations

import asyncio
import bisect
import itertools
import json
import ssl
import statistics
import time
from collections import defaultdict
from pathlib import Path

import aiohttp

from tests.bench import rest
from tests.bench.table import line
from tests.scenarios.node import Node

WRITES = 300
ASKED = "raft: in the node"
LEADER = (
    "agent: request parsed", "agent: proposed", "raft: from the socket", ASKED,
    "flush: handed over", "apply: handed over", "apply: begun", "apply: done", "raft: applied", "raft: answered",
    "agent: outcome heard", "agent: answered",
)  # fmt: skip
FLUSH = ("flush: handed over", "flush: begun", "flush: done")
Notes = dict[str, list[int]]


async def _write(node: Node) -> list[tuple[int, int]]:
    """When each write began and ended, ns."""
    tls = ssl.create_default_context(cafile=str(node.root / "var/lib/girginosvm/pki/ca.crt"))
    write = rest.ours(f"https://127.0.0.1:{node.port}")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, limit=1)) as session:
        spans = []
        for _ in range(WRITES):
            began = time.monotonic_ns()
            await write(session)
            spans.append((began, time.monotonic_ns()))
    return spans


def _notes(files: list[Path]) -> Notes:
    found: Notes = defaultdict(list)
    for file in files:
        for stage, at in json.loads(file.read_text()):
            found[stage].append(at)
    return {stage: sorted(times) for stage, times in found.items()}


def _walk(notes: Notes, stages: tuple[str, ...], began: int, ended: int) -> list[int]:
    """When each stage was passed, one after the other; empty when one is missing."""
    at, passed = began, []
    for stage in stages:
        times = notes.get(stage, [])
        place = bisect.bisect_left(times, at)
        if place == len(times) or times[place] > ended:
            return []
        at = times[place]
        passed.append(at)
    return passed


def _gaps(ways: list[list[int]], names: tuple[str, ...], title: str) -> None:
    """A line for each gap between two ``names``; of each way it is known when it passed them."""
    for number, (here, there) in enumerate(itertools.pairwise(names)):
        took = [way[number + 1] - way[number] for way in ways]
        line(f"  {title}{here} -> {there}", f"{statistics.median(took) / 1000:,.0f} us" if took else "-")


def measure(folder: Path) -> None:
    """All of it, under ``folder``."""
    kept = folder / "notes"
    kept.mkdir(parents=True)
    with rest.three(folder / "nodes", module="tests.bench.staged", STAGES=str(kept)) as nodes:
        spans = asyncio.run(_write(nodes[0]))
        pids = [[str(node.pid(name)) for name in ("raft", "agent")] for node in nodes]
        for node in nodes:
            node.stop()
        notes = [_notes([kept / pid for pid in each]) for each in pids]
    ways = [[began, *walk, ended] for began, ended in spans if (walk := _walk(notes[0], LEADER, began, ended))]
    whole = statistics.median([way[-1] - way[0] for way in ways]) / 1e6 if ways else 0.0
    line("one write, one client, three nodes", f"{whole:,.1f} ms", f"median of {len(ways)}; of each stage:")
    _gaps(ways, ("client", *LEADER, "client"), "")
    asked = 1 + LEADER.index(ASKED)
    for name, each in zip(("leader", "one follower", "the other"), notes, strict=True):
        found = [(way[asked], _walk(each, FLUSH, way[asked], way[-1])) for way in ways]
        _gaps([[at, *walk] for at, walk in found if walk], (ASKED, *FLUSH), f"{name}: ")
