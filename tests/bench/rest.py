"""Writes through both HTTP APIs, by the same client: ours of three daemons, and etcd's JSON gateway. Both over TLS to
the client, and mutual TLS between the members.

Ours is the whole way: sign-in by token, schema, permissions, Idempotency, the raft process and SQLite on three nodes.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import aiohttp

from tests.bench.crowds import ROUNDS, SECONDS, Write, crowd
from tests.bench.etcd import Etcd, unpacked
from tests.bench.lists import TOKEN
from tests.bench.processes import Meter
from tests.bench.table import line, ratio, times
from tests.floors.raft.pki import Authority
from tests.ports import free_port
from tests.scenarios.node import Node

_numbers = itertools.count()
Client = Callable[[aiohttp.ClientSession], Awaitable[None]]


@contextlib.contextmanager
def three(folder: Path, *, module: str = "girginosvm", **environment: str) -> Iterator[list[Node]]:
    """Daemons on fake hosts that have joined each other."""
    nodes: list[Node] = []
    try:
        for name in ("n1", "n2", "n3"):
            root = folder / name
            root.mkdir(parents=True)
            nodes.append(
                Node(root, module=module, GIRGINOSVM_ADDRESS="127.0.0.1", GIRGINOSVM_RAFT_PORT=str(free_port()),
                     GIRGINOSVM_NODE_NAME=name, **({} if nodes else {"GIRGINOSVM_TOKEN": TOKEN}), **environment)
            )  # fmt: skip
            nodes[-1].ready()
        for node in nodes[1:]:
            token = nodes[0].ask("POST", "/v1/membership/tokens", {})["token"]
            node.ask("POST", "/v1/membership/join", {"center": f"https://127.0.0.1:{nodes[0].port}", "token": token})
            node.until("/v1/membership", lambda found: sum(one["state"] == "member" for one in found["members"]) > 1)
        nodes[0].until("/v1/membership", lambda found: found["voters"] == 3)
        yield nodes
    finally:
        for node in nodes:
            node.remove()


def ours(url: str) -> Client:
    async def write(session: aiohttp.ClientSession) -> None:
        body = {"name": f"t{next(_numbers)}", "role": "viewer"}
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with session.post(f"{url}/v1/tokens", json=body, headers=headers) as answer:
            await answer.read()
            assert answer.status == 201, await answer.text()

    return write


def theirs(url: str) -> Client:
    value = base64.b64encode(bytes(256)).decode()

    async def write(session: aiohttp.ClientSession) -> None:
        key = base64.b64encode(f"t{next(_numbers)}".encode()).decode()
        async with session.post(f"{url}/v3/kv/put", json={"key": key, "value": value}) as answer:
            await answer.read()
            assert answer.status == 200, await answer.text()

    return write


async def clients(client: Client, count: int, tls: ssl.SSLContext, meter: Meter | None = None) -> list[float]:
    """What each write took, ms: so many keep-alive connections, each with one write at a time."""
    async with contextlib.AsyncExitStack() as stack:

        async def one() -> Write:
            connector = aiohttp.TCPConnector(ssl=tls, limit=1)
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            await client(session)  # the handshake is not what is measured
            return lambda number: client(session)

        callers = [await one() for _ in range(count)]
        meter = meter or Meter([])
        meter.begin()
        took = await crowd(callers)
        meter.end()
        return took


def of_nodes(nodes: Sequence[Node]) -> Meter:
    """Their raft processes, and then their agents."""
    return Meter([node.pid(name) for name in ("raft", "agent") for node in nodes])


def shares(each: Sequence[float]) -> str:
    """What ``of_nodes`` found, by process and node."""
    half = len(each) // 2
    return ", ".join(
        f"{name} {'/'.join(f'{one:.2f}' for one in part)}"
        for name, part in (("raft", each[:half]), ("agent", each[half:]))
    )


async def _measure(nodes: list[Node], etcd: Etcd) -> None:
    tls = ssl.create_default_context(cafile=str(nodes[0].root / "var/lib/girginosvm/pki/ca.crt"))
    for count in (1, 8, 64):
        mine: list[float] = []
        other: list[float] = []
        meter, their_meter = of_nodes(nodes), Meter(etcd.pids())
        for _ in range(ROUNDS):
            mine += await clients(ours(f"https://127.0.0.1:{nodes[0].port}"), count, tls, meter)
            other += await clients(theirs(etcd.url(etcd.leader())), count, etcd.tls or tls, their_meter)
        rate, their_rate = len(mine) / SECONDS / ROUNDS, len(other) / SECONDS / ROUNDS
        beside = f"etcd's gateway {their_rate:,.0f} /s, {times(other)}: {ratio(rate, their_rate)}"
        line(f"HTTP, three nodes, {count} clients", f"{rate:,.0f} /s", f"{times(mine)}; {beside}")
        each, theirs_each = meter.each(len(mine)), sum(their_meter.each(len(other)))
        line("  processor time of one write, all processes", f"{sum(each):.2f} ms",
             f"of each node: {shares(each)}; etcd's {theirs_each:.2f} ms")  # fmt: skip


def measure(folder: Path) -> None:
    """All of it, under ``folder``."""
    folder.mkdir()
    program = unpacked(folder / "package")
    if isinstance(program, str):
        line("HTTP, three nodes", "not measured", program)
        return
    etcd = Etcd(program, folder / "etcd", Authority(folder), tls=True)

    async def both() -> None:
        async with etcd.running():
            await _measure(nodes, etcd)

    with three(folder / "nodes") as nodes:
        asyncio.run(both())
