"""What a cluster of three daemons does with many machines: 500 creates from clients at once, and a node that joins a
cluster of 100,000 machines. On fake hosts: what is measured is agreement, placement and SQLite."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import ssl
import time
from collections import Counter
from pathlib import Path

import aiohttp

from girginosvm.hypervisor.fake.state import State
from tests.bench import crowd
from tests.bench.lists import TOKEN
from tests.bench.rest import three
from tests.bench.table import line
from tests.scenarios.node import Node, free_port, qcow2

CREATES = 500
CLIENTS = 16
_COMPACT_ENTRIES = 20


async def _created(node: Node) -> float:
    """Seconds until all are acknowledged: placed, booked, addressed, on the disks of two nodes at least."""
    tls = ssl.create_default_context(cafile=str(node.root / "var/lib/girginosvm/pki/ca.crt"))
    numbers = itertools.count()
    headers = {"Authorization": f"Bearer {TOKEN}"}

    async def client(session: aiohttp.ClientSession) -> None:
        while (number := next(numbers)) < CREATES:
            body = {"name": f"m{number}", "image": "tiny", "memory_mb": 64, "network": "wide", "start": False}
            async with session.post(f"https://127.0.0.1:{node.port}/v1/vms", json=body, headers=headers) as answer:
                assert answer.status == 202, await answer.text()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, limit=0)) as session:
        began = time.perf_counter()
        await asyncio.gather(*(client(session) for _ in range(CLIENTS)))
        return time.perf_counter() - began


def creates(folder: Path) -> None:
    """On three nodes that all vote."""
    with three(folder) as nodes:
        first = nodes[0]
        first.upload("tiny", qcow2(first.root / "tiny.qcow2"))
        wide = {"name": "wide", "bridge": "wide0", "kind": "nat", "cidr": "10.99.0.0/16", "gateway": "10.99.0.1"}
        made = first.ask("POST", "/v1/networks", wide)
        assert "network" in made, made
        # The fake hosts write all they hold at every step: nothing is to be built while this is measured.
        for node in nodes:
            State(node.root / "var/lib/girginosvm/fake-host.json").delay("volumes.ensure", 600_000)
        took = asyncio.run(_created(first))
        found = first.ask("GET", "/v1/vms?limit=1000&fields=node")["items"]
        spread = sorted(Counter(one["node"] for one in found).values())
        line(f"{CREATES} creates on three nodes, {CLIENTS} clients", f"{took:,.1f} s",
             f"{CREATES / took:,.0f} /s (aim: 1 s of commits); {'/'.join(map(str, spread))} on a node")  # fmt: skip


def joins(folder: Path) -> None:
    """A node comes to a cluster whose log does not begin at its beginning any more: it gets a snapshot."""

    def node(name: str) -> Node:
        root = folder / name
        root.mkdir(parents=True, exist_ok=True)
        return Node(
            root, GIRGINOSVM_ADDRESS="127.0.0.1", GIRGINOSVM_RAFT_PORT=ports[name], GIRGINOSVM_NODE_NAME=name,
            GIRGINOSVM_JOURNAL_COMPACT_ENTRIES=str(_COMPACT_ENTRIES),
        )  # fmt: skip

    ports = {name: str(free_port()) for name in ("n1", "n2")}
    first = node("n1").ready()
    second = None
    try:
        first.upload("tiny", qcow2(first.root / "tiny.qcow2"))
        first.ask("POST", "/v1/vms", {"name": "m0", "image": "tiny", "memory_mb": 64, "start": False})
        first.until("/v1/vms", lambda found: found["items"][0]["state"] == "stopped")
        first.stop()
        crowd.fill(first)
        first = node("n1").ready()
        for number in range(3 * _COMPACT_ENTRIES):
            first.ask("POST", "/v1/tokens", {"name": f"t{number}", "role": "viewer"})
        second = node("n2").ready()
        token = first.ask("POST", "/v1/membership/tokens", {})["token"]
        second.ask("POST", "/v1/membership/join", {"center": f"https://127.0.0.1:{first.port}", "token": token})
        began = time.perf_counter()
        second.until("/v1/nodes", lambda found: len(found.get("items", ())) == 2)
        caught_up = time.perf_counter() - began
        second.until("/v1/membership", lambda found: found["voters"] == 2)
        votes = time.perf_counter() - began
        state = second.root / "var/lib/girginosvm/db/state.db"
        mib, copied = state.stat().st_size / 2**20, _copied_s(state, folder / "copy")
        beside = f"{mib:,.0f} MiB, whose plain copy with fsync takes {copied:,.1f} s"
        line(f"{crowd.COUNT:,} machines: a node joins by snapshot", f"{caught_up:,.1f} s to its lists",
             f"{votes:,.1f} s until it votes; {beside}")  # fmt: skip
    finally:
        for one in filter(None, (first, second)):
            one.remove()


def _copied_s(source: Path, to: Path) -> float:
    began = time.perf_counter()
    shutil.copyfile(source, to)
    with to.open("rb+") as file:
        os.fsync(file.fileno())
    return time.perf_counter() - began


def measure(folder: Path) -> None:
    """Both."""
    folder.mkdir()
    creates(folder / "creates")
    joins(folder / "joins")
