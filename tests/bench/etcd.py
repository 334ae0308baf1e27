"""Debian's etcd-server as it comes, some members on the loopback, asked over gRPC: what our figures stand beside.

The package is unpacked into the folder of the run: nothing is installed. Its members speak mutual TLS to each other as
ours do, and both flush before they answer. The client is ours, since etcd's own benchmark tool is not packaged: one
connection per caller, unary calls by hand (HTTP/2, RFC 9113; gRPC over HTTP/2) without TLS, as our callers have a local
socket, so that it costs little beside a call.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import ssl
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

from tests.floors.raft.pki import Authority
from tests.ports import free_port

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GO_AWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_PUT = "/etcdserverpb.KV/Put"
_MOVE = "/etcdserverpb.Maintenance/MoveLeader"


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def _text(value: str) -> bytes:
    return bytes((len(value),)) + value.encode()


def _headers(path: str) -> bytes:
    """HPACK without its tables' changes (RFC 7541): POST, http, and four literals."""
    return (
        b"\x83\x86" + b"\x04" + _text(path) + b"\x01" + _text("etcd") + b"\x0f\x10" + _text("application/grpc")
        + b"\x00" + _text("te") + _text("trailers")
    )  # fmt: skip


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


class Refused(Exception):
    """No answer, or one without a message."""


class Link:
    """One connection, one call at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._number = -1

    async def put(self, key: str, value: bytes) -> None:
        """Refused when it is not acknowledged."""
        message = b"\x0a" + _varint(len(key)) + key.encode() + b"\x12" + _varint(len(value)) + value
        await self.call(_PUT, message)

    async def move_leader(self, member: int) -> None:
        await self.call(_MOVE, b"\x08" + _varint(member))

    async def call(self, path: str, message: bytes) -> None:
        """A unary call. Refused, or OSError."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            self._streams[1].write(
                _PREFACE + _frame(_SETTINGS, 0, 0, b"") + _frame(_WINDOW, 0, 0, (2**30).to_bytes(4))
            )  # fmt: skip
            self._number = -1
        reader, writer = self._streams
        self._number += 2
        body = b"\0" + len(message).to_bytes(4) + message
        writer.write(
            _frame(_HEADERS, _END_HEADERS, self._number, _headers(path))
            + _frame(_DATA, _END_STREAM, self._number, body)
        )
        answered = False
        while True:
            try:
                head = await reader.readexactly(9)
                payload = await reader.readexactly(int.from_bytes(head[:3]))
            except asyncio.IncompleteReadError as fault:
                raise Refused("the connection has ended") from fault
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:])
            if kind in (_SETTINGS, _PING) and not flags & _ACK:
                writer.write(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
            elif kind in (_RESET, _GO_AWAY):
                raise Refused(f"the server ends it: {payload!r}")
            elif stream == self._number:
                answered = answered or kind == _DATA
                if flags & _END_STREAM and kind in (_DATA, _HEADERS):
                    break
        if not answered:
            raise Refused(f"{path} was refused")

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def unpacked(folder: Path) -> Path | str:
    """The program, installed or unpacked under ``folder``; or why there is none."""
    found = shutil.which("etcd")
    if found:
        return Path(found)
    folder.mkdir()
    fetch = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", "etcd-server"]
    try:
        subprocess.run(fetch, cwd=folder, check=True, capture_output=True, timeout=120)
        (package,) = folder.glob("etcd-server_*.deb")
        subprocess.run(["dpkg", "-x", package, folder], check=True, capture_output=True)
    except (OSError, subprocess.SubprocessError, ValueError) as fault:
        return f"Debian's etcd-server cannot be had: {fault}"
    return folder / "usr/bin/etcd"


class Etcd:
    """So many members under ``folder``, with mutual TLS between them. ``tls``: to their clients, too."""

    def __init__(self, program: Path, folder: Path, authority: Authority, count: int = 3, *, tls: bool = False) -> None:
        self._program = program
        self._credentials = authority.credentials("etcd")
        self.tls = ssl.create_default_context(cafile=self._credentials.ca) if tls else None
        self._folder = folder
        self.names = [f"e{number}" for number in range(1, count + 1)]
        self.ports = {name: free_port() for name in self.names}
        self._peers = {name: free_port() for name in self.names}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """A member, for the first time or again."""
        client, peer = self.url(name), f"https://127.0.0.1:{self._peers[name]}"
        cluster = ",".join(f"{one}=https://127.0.0.1:{port}" for one, port in self._peers.items())
        ca, own = self._credentials.ca, self._credentials.own
        tls = ["--cert-file", own, "--key-file", own] if self.tls else []
        with open(self._folder / f"{name}.log", "ab") as log:
            self._processes[name] = subprocess.Popen(
                [self._program, "--name", name, "--data-dir", self._folder / name, "--logger", "zap",
                 "--log-level", "error", "--listen-client-urls", client, "--advertise-client-urls", client,
                 "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster,
                 "--peer-cert-file", own, "--peer-key-file", own, "--peer-trusted-ca-file", ca,
                 "--peer-client-cert-auth", *tls],
                stdout=log, stderr=log,
            )  # fmt: skip

    def url(self, name: str) -> str:
        """Where a member listens for clients."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.ports[name]}"

    def kill(self, name: str) -> None:
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def pids(self) -> list[int]:
        return [process.pid for process in self._processes.values()]

    def status(self, name: str) -> tuple[int, int]:
        """The member's id and its leader's; 0 when it knows none. OSError when it does not answer."""
        asked = urllib.request.Request(f"{self.url(name)}/v3/maintenance/status", b"{}")
        with urllib.request.urlopen(asked, timeout=2, context=self.tls) as answer:
            found = json.load(answer)
        return int(found["header"]["member_id"]), int(found.get("leader", 0))

    def leader(self) -> str:
        """Who leads; TimeoutError after 20 s."""
        end_s = time.monotonic() + 20
        while time.monotonic() < end_s:
            for name in self._processes:
                with contextlib.suppress(OSError):
                    member, leader = self.status(name)
                    if member == leader:
                        return name
            time.sleep(0.01)
        raise TimeoutError("nobody leads etcd")

    def reached(self, name: str) -> None:
        """Once a member that was started again knows its leader; TimeoutError after 20 s."""
        end_s = time.monotonic() + 20
        while time.monotonic() < end_s:
            with contextlib.suppress(OSError):
                if self.status(name)[1]:
                    return
            time.sleep(0.01)
        raise TimeoutError(f"{name} does not come back")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Etcd]:
        """All up and led, until the block ends."""
        self._folder.mkdir()
        try:
            for name in self.names:
                self.start(name)
            self.leader()
            yield self
        finally:
            for name in list(self._processes):
                self.kill(name)
