"""Behind the socket of a node that has no state yet: it says what it waits for, and takes one request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from girginosvm.core.action import Stream
from girginosvm.core.errors import Problem
from girginosvm.core.log import Log
from girginosvm.http import decode
from girginosvm.http.api import body_of, shown
from girginosvm.http.desk import Answer
from girginosvm.http.server import answers


def application(
    why: Callable[[], Awaitable[Problem]], taken: type[Stream], take: Callable[[Any], Awaitable[Answer]], log: Log
) -> web.Application:
    """``take`` answers a request of the kind ``taken``; any other has the problem that ``why`` says. Only for a socket
    that nobody else may open: nobody is asked who they are."""
    app = web.Application(middlewares=[answers(log)])

    async def one(request: web.Request) -> web.StreamResponse:
        decode.no_query(request.query)
        answer = await take(decode.struct(taken, {}, await body_of(request), lax=False))
        return shown(request, answer, msgspec.to_builtins(answer.value), taken.action.status)

    async def rest(_: web.Request) -> web.StreamResponse:
        raise await why()

    app.router.add_route(taken.action.method, taken.action.path, one)
    app.router.add_route("*", "/{path:.*}", rest)
    return app
