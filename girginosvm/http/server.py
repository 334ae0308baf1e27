"""What is behind the doors: routes, the panel's files, and an answer for whatever goes wrong."""

from __future__ import annotations

import asyncio
import secrets
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

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


def application(registry: Registry, desk: Desk, hub: Hub, log: Log, *, assets: Path) -> web.Application:
    """Routes of the registry, the documents made from it, problem pages, and the panel's files under ``assets``."""
    files = static.load(assets / "web")
    app = web.Application(middlewares=[answers(log)])
    app.router.add_routes(Api(registry, desk, streams.handlers(hub)).routes())
    app.router.add_get("/v1/peer/images/{image}", partial(streams.image, desk))
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


def answers(log: Log) -> Any:
    """Whatever goes wrong is an answer."""

    @web.middleware
    async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
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

    return answered


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
