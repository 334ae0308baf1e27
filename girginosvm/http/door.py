"""The doors: TLS on the node's port, and a Unix socket for root. Bounded in connections, headers and patience.

A connection counts from the moment that the kernel gives it to us, before its handshake; one address gets a part of
them, and root's socket is not counted with them: whoever fills the port does not lock the host's owner out. Nor anybody
else: where there is no room, whoever has waited longest without saying what it wants makes some.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
import ssl
from asyncio import sslproto
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import web

# A header line, all headers of a request, idle seconds before and between requests.
_LINE: Final = 8190
_HEADERS: Final = 100
_HEADER_S: Final = 10.0
_KEEPALIVE_S: Final = 75.0
_HANDSHAKE_S: Final = 10.0
_CONNECTIONS: Final = 1024
_CONNECTIONS_EACH: Final = 256
_BACKLOG: Final = 128
# aiohttp writes a trace for each request that is none: a stranger would fill the log. Our own faults are answered, and
# written, by the application.
_SILENT: Final = logging.getLogger("girginosvm.strangers")
_SILENT.setLevel(logging.CRITICAL + 1)
# What asyncio reads from a TLS connection at once, and has allocated for it from the first packet on (256 KiB without
# this, a quarter of a gigabyte for as many strangers as may come). A record of TLS has 16 KiB.
sslproto.SSLProtocol.max_size = 32 * 1024
# How long nobody is let in when the process has no file left for one more.
_EXHAUSTED_S: Final = 0.2


def _bound(path: Path) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        end.bind(str(path))
    finally:
        os.umask(before)
    return end


class _Guarded(asyncio.Protocol):
    """An HTTP connection that has to send its first whole header within ``header_s``: it is a stranger until then.
    ``known`` is called when it has, and ``left`` once, at its end."""

    def __init__(
        self, inner: asyncio.Protocol, header_s: float, known: Callable[[_Guarded], None],
        left: Callable[[_Guarded], None],
    ) -> None:  # fmt: skip
        self._inner = inner
        self._header_s = header_s
        self._known = known
        self._left: Callable[[_Guarded], None] | None = left
        self._tail = b""
        self._timer: asyncio.TimerHandle | None = None
        self._end: Callable[[], object] | None = None
        self.made = False

    def greet(self, connection: socket.socket) -> None:
        """The handshake begins: it fails when nothing can come any more (shutdown(2)), started or not."""
        self._end = partial(connection.shutdown, socket.SHUT_RDWR)

    def leave(self) -> None:
        """It counts no more."""
        left, self._left = self._left, None
        if left is not None:
            left(self)

    def end(self) -> None:
        """Now, whatever it is at."""
        self.leave()
        if self._end is not None:
            with contextlib.suppress(OSError):  # it has ended by itself
                self._end()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made = True
        self._end = getattr(transport, "abort", transport.close)
        self._timer = asyncio.get_running_loop().call_later(self._header_s, self._end)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._timer is not None:
            seen = self._tail + data
            if b"\r\n\r\n" in seen:
                self._timer.cancel()
                self._timer = None
                self._known(self)
            self._tail = seen[-3:]
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.leave()
        self._inner.connection_lost(exc)


class Door:
    """Listening ends around one application. ``open`` connections by TLS are counted against ``most``, those of one
    address (one /64 of IPv6) against ``most_each``. Of what is too many the oldest stranger is ended; where all have
    said what they want, the newest is closed before a byte of it is read."""

    def __init__(
        self, app: web.Application, *, most: int = _CONNECTIONS, most_each: int = _CONNECTIONS_EACH,
        header_s: float = _HEADER_S,
    ) -> None:  # fmt: skip
        self.open = 0
        self._by: Counter[str] = Counter()
        self._strangers: dict[_Guarded, str] = {}  # and whose they are; the oldest first
        self._most = most
        self._most_each = most_each
        self._header_s = header_s
        self._runner = web.AppRunner(
            app, access_log=None, logger=_SILENT,
            keepalive_timeout=_KEEPALIVE_S, max_line_size=_LINE, max_field_size=_LINE,
            max_headers=_HEADERS, auto_decompress=False, lingering_time=2.0, shutdown_timeout=3.0,
        )  # fmt: skip
        self._servers: list[asyncio.Server] = []
        self._ends: dict[int, tuple[socket.socket, asyncio.Task[None]]] = {}  # by port
        self._tasks: set[asyncio.Task[None]] = set()

    async def tcp(self, host: str, port: int, context: Callable[[], ssl.SSLContext]) -> int:
        """Listen with TLS; answers the port (for port 0). OSError when it is taken. ``context`` is asked for each
        connection: a CA that is trusted no more cannot be taken out of one."""
        inner = await self._inner()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        end = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        end.setblocking(False)
        opened = int(end.getsockname()[1])
        self._ends[opened] = (end, self._begin(self._accept(end, context, inner)))
        return opened

    def shut(self, port: int) -> None:
        """Let nobody in at ``port`` any more; who is in stays until the connection ends."""
        end, task = self._ends.pop(port)
        task.cancel()
        end.close()

    async def unix(self, path: Path) -> None:
        """Listen on a socket file that only its owner may open; one left by a crash is replaced."""
        inner = await self._inner()

        def guarded() -> _Guarded:
            return _Guarded(inner(), self._header_s, lambda _: None, lambda _: None)

        self._servers.append(await asyncio.get_running_loop().create_unix_server(guarded, sock=_bound(path)))

    async def close(self) -> None:
        """Stop listening, let requests end for 3 s, close."""
        for task in self._tasks:
            task.cancel()
        for server in self._servers:
            server.close()
        for end, _ in self._ends.values():
            end.close()
        await self._runner.cleanup()

    async def _inner(self) -> Callable[[], asyncio.Protocol]:
        if self._runner.server is None:
            await self._runner.setup()
        assert self._runner.server is not None
        return self._runner.server

    def _begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(
        self, end: socket.socket, context: Callable[[], ssl.SSLContext], inner: Callable[[], asyncio.Protocol]
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, place = await loop.sock_accept(end)
            except OSError:  # no file or memory for one more, or it is gone already (accept(2))
                await asyncio.sleep(_EXHAUSTED_S)
                continue
            who = _whose(place[0])
            if not self._has_room(who):
                connection.close()
                continue
            self._count(who, 1)
            guarded = _Guarded(inner(), self._header_s, self._known, partial(self._lost, who))
            self._strangers[guarded] = who
            guarded.greet(connection)
            self._begin(self._greet(connection, context(), guarded))

    async def _greet(self, connection: socket.socket, context: ssl.SSLContext, guarded: _Guarded) -> None:
        try:
            with contextlib.suppress(OSError):  # no TLS of ours, or none in time
                await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: guarded, connection, ssl=context, ssl_handshake_timeout=_HANDSHAKE_S,
                    ssl_shutdown_timeout=2.0,
                )  # fmt: skip
        finally:
            if not guarded.made:
                guarded.leave()

    def _has_room(self, who: str) -> bool:
        """For one more of this address; the oldest stranger, where one of its own counts too many, makes some."""
        crowded = self._by[who] >= self._most_each
        if not crowded and self.open < self._most:
            return True
        oldest = next((one for one, whose in self._strangers.items() if whose == who or not crowded), None)
        if oldest is None:
            return False
        oldest.end()
        return True

    def _known(self, guarded: _Guarded) -> None:
        self._strangers.pop(guarded, None)

    def _lost(self, who: str, guarded: _Guarded) -> None:
        self._known(guarded)
        self._count(who, -1)

    def _count(self, who: str, change: int) -> None:
        self.open += change
        self._by[who] += change
        if not self._by[who]:
            del self._by[who]


def _whose(address: str) -> str:
    """What counts as one address: a host has a whole /64 of IPv6 to itself (RFC 6177)."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv4Address):
        return address
    return str(found.ipv4_mapped or ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
