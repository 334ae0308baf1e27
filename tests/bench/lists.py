"""The API over TLS with keep-alive clients: a list of 50 machines, and commits."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import ssl
import subprocess
import sys
import time
from typing import Any

import aiohttp

from tests.bench.table import line, ratio
from tests.ports import free_port
from tests.scenarios.node import Node

TOKEN = "bench-token-of-this-run-only"
BARE = """
import ssl, sys
from aiohttp import web
body = open(sys.argv[1], "rb").read()
async def rows(_):
    return web.Response(body=body, content_type="application/json")
app = web.Application()
app.router.add_get("/", rows)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.minimum_version = ssl.TLSVersion.TLSv1_3
context.load_cert_chain(sys.argv[2])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[3]), ssl_context=context, print=None)
"""
_numbers = itertools.count()


def answers(port: int, seconds: float = 20) -> None:
    """Until something listens there."""
    end = time.perf_counter() + seconds
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.perf_counter() < end, f"nothing listens on port {port}"
        time.sleep(0.05)


async def per_s(url: str, tls: ssl.SSLContext, clients: int, *, post: bool = False, seconds: float = 3.0) -> float:
    """Requests a second of so many keep-alive clients, each with one at a time."""
    done = 0
    end = time.perf_counter() + seconds
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls, limit=clients), headers=headers
    ) as session:

        async def client() -> None:
            nonlocal done
            while time.perf_counter() < end:
                body: Any = {"name": f"t{next(_numbers)}", "role": "viewer"} if post else None
                async with session.request("POST" if post else "GET", url, json=body) as answer:
                    await answer.read()
                    assert answer.status in (200, 201), answer.status
                done += 1

        await asyncio.gather(*(client() for _ in range(clients)))
    return done / seconds


def measure(node: Node) -> None:
    """50 rows beside a bare handler with the same bytes; commits at 1, 8 and 64 clients."""
    for number in range(50):
        body = {"name": f"m{number}", "image": "tiny", "memory_mb": 64, "start": False}
        assert "vm" in node.ask("POST", "/v1/vms", body, key=f"m{number}")
    node.until("/v1/vms?limit=50", lambda found: {row["state"] for row in found["items"]} == {"stopped"})
    pki = node.root / "var/lib/girginosvm/pki"
    tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    rows = node.root / "rows.json"
    rows.write_text(json.dumps(node.ask("GET", "/v1/vms?limit=50")))
    port = free_port()
    bare = subprocess.Popen([sys.executable, "-c", BARE, str(rows), str(pki / "server.pem"), str(port)])
    try:
        answers(port)
        ours = asyncio.run(per_s(f"https://localhost:{node.port}/v1/vms?limit=50", tls, 8))
        plain = asyncio.run(per_s(f"https://localhost:{port}/", tls, 8))
    finally:
        bare.terminate()
        bare.wait()
    line("50 machines over TLS, 8 clients", f"{ours:,.0f} requests/s",
         f"bare aiohttp, same bytes: {plain:,.0f} ({ratio(ours, plain)})")  # fmt: skip
    for clients in (1, 8, 64):
        commits = asyncio.run(per_s(f"https://localhost:{node.port}/v1/tokens", tls, clients, post=True))
        line(
            f"commits through the API over TLS, {clients} clients", f"{commits:,.0f} /s", "in-process figures: commits"
        )
