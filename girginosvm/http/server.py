"""The doors: TLS on the node's port, and a Unix socket for root. Bounded in connections, headers and patience."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import ssl
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from girginosvm import __version__
from girginosvm.core.errors import Bug, Invalid, Problem
from girginosvm.core.log import Log
from girginosvm.core.manifest import Registry
from girginosvm.http import leaflets, openapi, problems, static, streams
from girginosvm.http.api import Api, Handler, etag, missing_route
from girginosvm.http.desk import Desk
from girginosvm.http.events import Hub

# A header line, all headers of a request, idle seconds before and between requests.
_LINE: Final = 8190
_HEADERS: Final = 100
_HEADER_S: Final = 10.0
_KEEPALIVE_S: Final = 75.0
_CONNECTIONS: Final = 1024


def application(registry: Registry, desk: Desk, hub: Hub, log: Log, *, assets: Path) -> web.Application:
    """Routes of the registry, the documents made from it, problem pages, and the panel's files under ``assets``."""
    files = static.load(assets / "web")
    app = web.Application(middlewares=[_answers(log)])
    app.router.add_routes(Api(registry, desk, streams.handlers(hub)).routes())
    document = msgspec.json.encode(openapi.document(registry, version=__version__))
    app.router.add_get("/v1/openapi.json", _document(document))
    app.router.add_get("/v1/schema", _document(msgspec.json.encode(openapi.forms(registry))))
    app.router.add_routes(leaflets.routes(assets / "problems"))

    async def rest(request: web.Request) -> web.StreamResponse:
        found = static.serve(request, files) if request.method in ("GET", "HEAD") else None
        if found is None:
            await _other_methods(request, app)
            raise missing_route(request)
        found.headers["Content-Security-Policy"] = static.CSP
        return found

    app.router.add_route("*", "/{path:.*}", rest)

    async def end_streams(_: web.Application) -> None:
        hub.stop()

    app.on_shutdown.append(end_streams)
    return app


async def _other_methods(request: web.Request, app: web.Application) -> None:
    """405 when the path exists and only the method is wrong; the last resource is the one that takes everything."""
    allowed: set[str] = set()
    for resource in list(app.router.resources())[:-1]:
        allowed |= (await resource.resolve(request))[1]
    if allowed:
        raise web.HTTPMethodNotAllowed(request.method, allowed)


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


def _answers(log: Log) -> Any:
    @web.middleware
    async def answers(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except Problem as problem:
            response = problems.response(problem, instance=request.path)
        except web.HTTPMethodNotAllowed as fault:
            allowed = ", ".join(sorted(fault.allowed_methods))
            wrong = Invalid("method-not-allowed", f"{request.method} is not possible here, only {allowed}")
            response = problems.response(wrong, instance=request.path)
            response.headers["Allow"] = allowed
        except web.HTTPNotFound:
            response = problems.response(missing_route(request), instance=request.path)
        except web.HTTPException as fault:
            wrong = Invalid("request-invalid", f"{fault.status} {fault.reason}")
            response = problems.response(wrong, instance=request.path)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as fault:
            response = _bug(request, fault, log)
        if not response.prepared:
            response.headers.update(static.SECURITY)
            response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        return response

    return answers


def _bug(request: web.Request, fault: Exception, log: Log) -> web.Response:
    """Our fault: the person gets a number, the log gets the rest."""
    reference = secrets.token_hex(4)
    trail = "".join(traceback.format_exception(fault))[-4000:]
    log.error("http.bug", reference=reference, method=request.method, path=request.path, trail=trail)
    detail = f"a fault of ours; the log of this node has it under reference {reference}"
    return problems.response(Bug("internal-error", detail), instance=request.path)


def _document(body: bytes) -> Callable[[web.Request], Awaitable[web.Response]]:
    mark = etag(body)

    async def document(request: web.Request) -> web.Response:
        headers = {"ETag": mark, "Cache-Control": "no-cache"}
        if mark in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type="application/json", headers=headers)

    return document


class _Guarded(asyncio.Protocol):
    """An HTTP connection that has to send its first whole header within ``header_s``, and is counted."""

    def __init__(self, inner: asyncio.Protocol, door: Door) -> None:
        self._inner = inner
        self._door = door
        self._tail = b""
        self._timer: asyncio.TimerHandle | None = None
        self._admitted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._door.open >= self._door.most:
            transport.close()
            return
        self._admitted = True
        self._door.open += 1
        abort = getattr(transport, "abort", transport.close)
        self._timer = asyncio.get_running_loop().call_later(self._door.header_s, abort)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if not self._admitted:
            return
        if self._timer is not None:
            seen = self._tail + data
            if b"\r\n\r\n" in seen:
                self._timer.cancel()
                self._timer = None
            self._tail = seen[-3:]
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._admitted else None

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._admitted:
            self._door.open -= 1
            self._inner.connection_lost(exc)


class Door:
    """One listening server around an application. ``open`` connections are counted against ``most``."""

    def __init__(self, app: web.Application, *, most: int = _CONNECTIONS, header_s: float = _HEADER_S) -> None:
        self.open = 0
        self.most = most
        self.header_s = header_s
        self._runner = web.AppRunner(
            app, access_log=None, keepalive_timeout=_KEEPALIVE_S, max_line_size=_LINE, max_field_size=_LINE,
            max_headers=_HEADERS, auto_decompress=False, lingering_time=2.0, shutdown_timeout=3.0,
        )  # fmt: skip
        self._servers: list[asyncio.Server] = []

    async def tcp(self, host: str, port: int, context: ssl.SSLContext) -> int:
        """Listen with TLS; answers the port (for port 0)."""
        server = await asyncio.get_running_loop().create_server(
            await self._factory(), host, port, ssl=context, ssl_handshake_timeout=10.0, ssl_shutdown_timeout=2.0
        )
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def unix(self, path: Path) -> None:
        """Listen on a socket file that only its owner may open; one left by a crash is replaced."""
        server = await asyncio.get_running_loop().create_unix_server(await self._factory(), sock=_bound(path))
        self._servers.append(server)

    async def close(self) -> None:
        """Stop listening, let requests end for 3 s, close."""
        for server in self._servers:
            server.close()
        await self._runner.cleanup()

    async def _factory(self) -> Callable[[], asyncio.Protocol]:
        if self._runner.server is None:
            await self._runner.setup()
        inner = self._runner.server
        assert inner is not None
        return lambda: _Guarded(inner(), self)
