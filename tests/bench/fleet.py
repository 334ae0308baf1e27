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
import msgspec

from girginosvm import __version__
from girginosvm.core import codec
from girginosvm.core.access import Actor, Role
from girginosvm.core.clock import SystemChance, SystemClock, new_request_id
from girginosvm.core.codec import Envelope
from girginosvm.core.levels import SUPPORTED, said_at
from girginosvm.core.log import Log
from girginosvm.features.vm.commands import CreateVm
from girginosvm.hypervisor.fake.state import State
from girginosvm.raft.changes import Change
from girginosvm.raft.client import Client
from tests.bench import crowd
from tests.bench.lists import TOKEN
from tests.bench.rest import of_nodes, shares, three
from tests.bench.table import line
from tests.ports import free_port
from tests.scenarios.node import Node, qcow2

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


def _proposals(node: Node) -> list[bytes]:
    """So many creates as they travel to the log."""
    ids_of = {kind: node.ask("GET", f"/v1/{kind}")["items"] for kind in ("images", "networks", "pools")}
    image, pool = ids_of["images"][0]["id"], ids_of["pools"][0]["id"]
    network = next(one["id"] for one in ids_of["networks"] if one["name"] == "wide")
    root = Actor(kind="local", id="local", name="root", role=Role.ADMIN)
    made = []
    for number in range(CREATES):
        create = CreateVm(name=f"c{number}", image=image, network=network, pool=pool, memory_mb=64, start=False)
        said = said_at(create, SUPPORTED)
        request = new_request_id(SystemClock(), SystemChance())
        body = msgspec.Raw(said.body)
        made.append(codec.encode(Envelope(request, root, "", "CreateVm", said.version, body, level=said.needs)))
    return made


async def _committed(node: Node, proposals: list[bytes]) -> float:
    """Seconds until the raft process of a node has answered all of them: agreement and applying, without HTTP."""
    connected, left = asyncio.Event(), iter(proposals)

    def heard(change: Change | None) -> None:
        if change is None:
            connected.set()

    client = Client(node.root / "run/girginosvm/raft.sock", release=__version__, changed=heard, log=Log(level="error"))

    async def caller() -> None:
        for one in left:
            outcome = codec.outcome(await client.propose(one))
            assert outcome.problem is None, outcome.problem

    line_to_it = asyncio.create_task(client.run())
    await connected.wait()
    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CLIENTS)))
    took = time.perf_counter() - began
    line_to_it.cancel()
    return took


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
        meter = of_nodes(nodes)
        meter.begin()
        took = asyncio.run(_created(first))
        meter.end()
        found = first.ask("GET", "/v1/vms?limit=1000&fields=node")["items"]
        spread = sorted(Counter(one["node"] for one in found).values())
        line(f"{CREATES} creates on three nodes, {CLIENTS} clients", f"{took:,.1f} s",
             f"{CREATES / took:,.0f} /s; {'/'.join(map(str, spread))} on a node")  # fmt: skip
        each = meter.each(CREATES)
        line("  processor time of one create, all processes", f"{sum(each):.2f} ms", f"of each node: {shares(each)}")
        took = asyncio.run(_committed(first, _proposals(first)))
        line(
            f"  {CREATES} more, commits only, {CLIENTS} callers",
            f"{took:,.1f} s",
            f"{CREATES / took:,.0f} /s (aim: 1 s)",
        )


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
