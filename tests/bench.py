"""``make bench``: our figures beside what they are compared with, in one run. Medians; printed, never asserted.

The node is a fake host under its own supervisor, so what is measured is the platform and not the guest.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp

from tests.scenarios.node import Node, qcow2

RUNS = 20


def median_ms(deed: Callable[[], object], runs: int = RUNS) -> float:
    """Median wall time of ``runs`` calls."""
    took = []
    for _ in range(runs):
        began = time.perf_counter()
        deed()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def line(what: str, ours: str, beside: str) -> None:
    print(f"{what:<46} {ours:>24}   {beside}", flush=True)


def command(*words: str) -> Callable[[], object]:
    argv = [sys.executable, "-m", "girginosvm", *words]
    return lambda: subprocess.run(argv, check=True, capture_output=True)


def fsyncs_per_s(folder: Path, seconds: float = 2.0) -> float:
    """One writer, 200 bytes and fdatasync each: what this disk gives."""
    handle = os.open(folder / "probe", os.O_WRONLY | os.O_CREAT, 0o600)
    os.posix_fallocate(handle, 0, 1 << 24)
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        os.pwrite(handle, b"x" * 200, (count % 50_000) * 256)
        os.fdatasync(handle)
        count += 1
    os.close(handle)
    return count / seconds


async def requests_per_s(url: str, headers: dict[str, str], tls: ssl.SSLContext, seconds: float = 3.0) -> float:
    """Eight keep-alive clients on one connection each."""
    done = 0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, limit=8), headers=headers) as session:
        end = time.perf_counter() + seconds

        async def client() -> None:
            nonlocal done
            while time.perf_counter() < end:
                async with session.get(url) as answer:
                    await answer.read()
                    assert answer.status == 200
                done += 1

        await asyncio.gather(*(client() for _ in range(8)))
    return done / seconds


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


def fill(node: Node) -> None:
    """50 stopped machines of one uploaded image."""

    node.upload("tiny", qcow2(node.root / "image.qcow2"))
    for number in range(50):
        body = {"name": f"m{number}", "image": "tiny", "memory_mb": 64, "start": False}
        assert "vm" in node.ask("POST", "/v1/vms", body, key=f"m{number}")
    node.until("/v1/vms?limit=50", lambda found: {row["state"] for row in found["items"]} == {"stopped"})


def lists(node: Node, token: str, port: int) -> None:
    """50 rows over TLS, beside a bare handler that sends the same bytes."""
    pki = node.root / "var/lib/girginosvm/pki"
    tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    rows = node.root / "rows.json"
    rows.write_text(json.dumps(node.ask("GET", "/v1/vms?limit=50")))
    bare = subprocess.Popen([sys.executable, "-c", BARE, str(rows), str(pki / "server.pem"), str(port + 1)])
    try:
        answers(port + 1)
        ours = asyncio.run(
            requests_per_s(f"https://localhost:{port}/v1/vms?limit=50", {"Authorization": f"Bearer {token}"}, tls)
        )
        plain = asyncio.run(requests_per_s(f"https://localhost:{port + 1}/", {}, tls))
    finally:
        bare.terminate()
        bare.wait()
    line(
        "a list of 50 machines over TLS",
        f"{ours:,.0f} requests/s",
        f"bare aiohttp, same bytes: {plain:,.0f} ({ours / plain:.2f}x)",
    )


def answers(port: int, seconds: float = 20) -> None:
    """Until something listens there."""
    end = time.perf_counter() + seconds
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.perf_counter() < end, f"nothing listens on port {port}"
        time.sleep(0.1)


def idle(node: Node) -> None:
    """Memory and processor of each process, over 5 s of nothing to do."""
    for name in ("raft", "agent"):
        pids = subprocess.run(
            ["pgrep", "-f", f"girginosvm {name} --root {node.root} "], capture_output=True, text=True, check=True
        ).stdout.split()
        for pid in pids[:1]:
            stat = Path(f"/proc/{pid}/stat")
            before = sum(int(part) for part in stat.read_text().rsplit(")", 1)[1].split()[11:13])
            time.sleep(5)
            after = sum(int(part) for part in stat.read_text().rsplit(")", 1)[1].split()[11:13])
            kib = next(
                int(row.split()[1])
                for row in Path(f"/proc/{pid}/status").read_text().splitlines()
                if row.startswith("VmRSS")
            )
            line(
                f"idle: {name}",
                f"{kib / 1024:.0f} MiB, {(after - before) / 5:.1f} % CPU",
                "aim: raft 70 MB, agent 100 MB, 3 % together",
            )


def main() -> int:
    root = Path(tempfile.mkdtemp(prefix="girginosvm-bench-", dir="/var/tmp"))
    node = Node(root, GIRGINOSVM_TOKEN="bench-token-of-this-run-only")
    try:
        node.until("/v1/pools", lambda found: found["items"] and found["items"][0]["capacity_bytes"])
        port = next(json.loads(row)["port"] for row in (root / "log").read_text().splitlines() if '"agent.up"' in row)
        line(
            "--version",
            f"{median_ms(command('--version')):.0f} ms",
            f"python -c pass: {median_ms(lambda: subprocess.run([sys.executable, '-c', 'pass'], check=True)):.0f} ms",
        )
        line("vm list", f"{median_ms(command('--root', str(root), 'vm', 'list')):.0f} ms", "aim (compiled): 150 ms")
        began, count = time.perf_counter(), 200
        for number in range(count):
            node.ask("POST", "/v1/tokens", {"name": f"t{number}", "role": "viewer"})
        one = count / (time.perf_counter() - began)
        line(
            "commits, one client, a connection each, API",
            f"{one:,.0f} /s",
            f"one fdatasync at a time on this disk: {fsyncs_per_s(root):,.0f} /s",
        )
        fill(node)
        lists(node, "bench-token-of-this-run-only", port)
        idle(node)
    finally:
        node.stop()
        shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
