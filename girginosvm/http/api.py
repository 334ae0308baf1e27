"""Routes out of the registry, and the conventions that every one of them keeps."""

from __future__ import annotations

import asyncio
import hashlib
import re
import typing
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec
from aiohttp import web

from girginosvm.core.access import Actor
from girginosvm.core.action import Command, Condition, Page, Query, Request, Stream
from girginosvm.core.errors import Busy, Fault, Invalid, Missing, Stale
from girginosvm.core.manifest import Registry
from girginosvm.http import decode, session
from girginosvm.http.desk import Answer, Caller, Desk
from girginosvm.http.problems import invalid_header

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# A hand-written body: gets the request, the decoded struct (names not yet ids), the caller, the desk.
StreamHandler = Callable[[web.Request, Stream, Caller, Desk], Awaitable[web.StreamResponse]]

_PRINTABLE: Final = re.compile(r"[\x20-\x7e]{1,200}")
_BODY_S: Final = 30.0
_MAX_WAIT_S: Final = 300
_PUBLIC_BODY_BYTES: Final = 16 * 1024


class Api:
    """One handler per action; ``streams`` maps a Stream's struct name to its hand-written body, any other Stream
    has JSON on both sides."""

    def __init__(self, registry: Registry, desk: Desk, streams: Mapping[str, StreamHandler]) -> None:
        self._registry = registry
        self._desk = desk
        self._streams = streams
        self._shows = {kind.action.path: kind for kind in registry.queries.values()}

    def routes(self) -> list[web.RouteDef]:
        """Every route, literal paths before those with fields, so that ``/v1/images/pull`` is no image's name."""
        kinds = sorted(self._registry.actions, key=lambda kind: len(kind.action.path_fields))
        return [web.route(kind.action.method, kind.action.path, self._handler(kind)) for kind in kinds]

    def _handler(self, kind: type[Request]) -> Handler:
        if issubclass(kind, Command):
            return partial(self._command, kind)
        if issubclass(kind, Query):
            return partial(self._query, kind)
        if issubclass(kind, Stream):
            return partial(self._stream, kind)
        raise TypeError(f"{kind.__name__} is no command, query or stream")

    async def _who(self, request: web.Request, kind: type[Request]) -> Caller:
        return await session.who(request, self._desk, public=kind.action.public, permission=kind.action.permission)

    async def _query(self, kind: type[Query], request: web.Request) -> web.Response:
        caller = await self._who(request, kind)
        own = kind.__struct_fields__
        taken = tuple(name for name in ("fresh", "fields") if name not in own)
        fields = decode.flat(request.query, taken=taken)
        query = decode.struct(kind, request.match_info, fields, lax=True)
        answer = await self._desk.query(
            query, _actor(caller), min_index=_min_index(request), fresh=request.query.get("fresh") == "1"
        )
        value = projected(answer.value, request.query.get("fields", ""), kind.action.answers)
        return shown(request, answer, value, kind.action.status, leader_age_ms=await self._desk.leader_age_ms())

    async def _command(self, kind: type[Command], request: web.Request) -> web.Response:
        caller = await self._who(request, kind)
        decode.no_query(request.query)
        command = decode.struct(kind, request.match_info, await body_of(request), lax=False)
        actor = _actor(caller)
        condition = self._condition(request, kind)
        key, why = key_of(request, kind), printable(request, "X-Why")
        answer = await self._desk.command(command, actor, key=key, why=why, condition=condition)
        response = shown(request, answer, msgspec.to_builtins(answer.value), kind.action.status)
        return await self._waited(request, response, answer, actor)

    async def _stream(self, kind: type[Stream], request: web.Request) -> web.StreamResponse:
        caller = await self._who(request, kind)
        key, why = key_of(request, kind), printable(request, "X-Why")
        written = self._streams.get(kind.__name__)
        if written is not None:
            fields = decode.flat(request.query)
            return await written(request, decode.struct(kind, request.match_info, fields, lax=True), caller, self._desk)
        lax = kind.action.method == "GET"
        # A stranger may send little, unless the action says how much it needs.
        limit = getattr(kind, "body_bytes", _PUBLIC_BODY_BYTES) if kind.action.public else decode.MAX_BODY_BYTES
        fields = decode.flat(request.query) if lax else await body_of(request, limit=limit)
        stream = decode.struct(kind, request.match_info, fields, lax=lax)
        answer = await self._desk.perform(stream, caller, key=key, why=why)
        age_ms = await self._desk.leader_age_ms() if lax else None
        return shown(request, answer, msgspec.to_builtins(answer.value), kind.action.status, leader_age_ms=age_ms)

    def _condition(self, request: web.Request, kind: type[Command]) -> Condition | None:
        """``If-Match`` (RFC 9110 13.1.1): the thing that the path names is still as its GET showed it."""
        wanted = request.headers.get("If-Match")
        if wanted is None or wanted == "*":
            return None
        path = kind.action.path
        while path and path not in self._shows:
            path = path.rpartition("/")[0]
        show = self._shows.get(path)
        if show is None or issubclass(show, Page) or show.action.path_fields != kind.action.path_fields:
            raise Invalid("if-match-meaningless", f"{kind.action.path} changes nothing that has an ETag")
        expected = [tag.strip() for tag in wanted.split(",")]

        def check(value: Any) -> None:
            now = etag(msgspec.json.encode(value))
            if now not in expected:
                raise Stale("etag-mismatch", f"it has changed since: it is {now} now, {wanted[:200]} was expected")

        return Condition(decode.struct(show, request.match_info, {}, lax=True), check)

    async def _waited(self, request: web.Request, response: web.Response, answer: Answer, actor: Actor) -> web.Response:
        """202 with Location for long work; with ``Prefer: wait=N`` (RFC 7240 4.3) the ended operation instead."""
        value = answer.value
        operation = value.get("operation", "") if isinstance(value, dict) else getattr(value, "operation", "")
        if response.status != 202 or not operation:
            return response
        response.headers["Location"] = f"/v1/operations/{operation}"
        wait_s = _wait(request)
        if wait_s:
            ended = await self._desk.finished(operation, actor, wait_s=wait_s)
            if ended is not None:
                response = shown(request, ended, msgspec.to_builtins(ended.value), 200)
                response.headers["Content-Location"] = f"/v1/operations/{operation}"
            response.headers["Preference-Applied"] = f"wait={wait_s}"
        return response


async def body_of(request: web.Request, *, limit: int = decode.MAX_BODY_BYTES) -> dict[str, Any]:
    """The request's JSON object, read within 30 s and ``limit`` bytes."""
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    # Most come along with their header; to wait for one takes longer than to read it.
    data = request.content.read_nowait() if request.content.is_eof() else await _body(request, limit)
    if len(data) > limit:
        raise _too_large(limit)
    content_type = request.content_type if "Content-Type" in request.headers else ""
    return decode.parsed(data, content_type)


async def _body(request: web.Request, limit: int) -> bytes:
    data = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            async for piece in request.content.iter_any():
                data += piece
                if len(data) > limit:
                    raise _too_large(limit)
    except TimeoutError as fault:
        raise Busy("body-slow", f"the body did not arrive within {_BODY_S:g} s") from fault
    return bytes(data)


def _too_large(limit: int) -> Invalid:
    return Invalid("body-too-large", f"the body is larger than {limit:,} bytes")


def etag(body: bytes) -> str:
    """A strong tag of a body's bytes."""
    return f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'


def shown(
    request: web.Request, answer: Answer, value: Any, status: int, *, leader_age_ms: int | None = None
) -> web.Response:
    """The answer as JSON; a GET has an ETag, and is 304 when the caller has it (RFC 9110 13.1.2, weak compare), and
    says how long ago this node heard of a leader, if it ever did."""
    headers = {"X-Applied-Index": str(answer.index), "Cache-Control": "no-store"}
    if leader_age_ms is not None:
        headers["X-Leader-Age-Ms"] = str(leader_age_ms)
    if answer.repeated:
        headers["Idempotency-Replayed"] = "true"
    if value is None:
        return web.Response(status=204, headers=headers)
    body = msgspec.json.encode(value)
    if request.method in ("GET", "HEAD"):
        headers["ETag"] = etag(body)
        headers["Cache-Control"] = "private, no-cache"
        known = [tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")]
        if headers["ETag"] in known:
            return web.Response(status=304, headers=headers)
    return web.Response(
        body=body, status=answer.status or status, content_type="application/json", charset="utf-8", headers=headers
    )


def projected(value: Any, wanted: str, answers: Any) -> Any:
    """Only the fields named in ``wanted`` (joined by commas), of each item for lists; Invalid names unknown ones."""
    if not wanted:
        return value
    names = [name for name in wanted.split(",") if name]
    hints = typing.get_type_hints(answers) if isinstance(answers, type) and issubclass(answers, msgspec.Struct) else {}
    item = typing.get_args(hints["items"])[0] if "items" in hints else answers
    if isinstance(item, type) and issubclass(item, msgspec.Struct):
        strange = [name for name in names if name not in item.__struct_fields__]
        if strange:
            known = ", ".join(item.__struct_fields__)
            detail = f"no field {', '.join(strange)[:200]}; one of {known}"
            raise Invalid("fields-unknown", detail, faults=(Fault("/fields", detail),))
    plain = msgspec.to_builtins(value)
    if "items" in hints:
        return {**plain, "items": [{name: row[name] for name in names if name in row} for row in plain["items"]]}
    return {name: plain[name] for name in names if name in plain}


def missing_route(request: web.Request) -> Missing:
    """Nothing lives at this path."""
    return Missing(
        "route-missing", f"nothing is at {request.path[:200]}", hint="GET /v1/openapi.json says what there is"
    )


def _actor(caller: Caller) -> Actor:
    if caller.actor is None:
        raise TypeError("a public command or query has no actor: make it a stream")
    return caller.actor


def _min_index(request: web.Request) -> int:
    text = request.headers.get("X-Min-Index", "0")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise invalid_header("X-Min-Index", "has to be a log index")
    return int(text)


def printable(request: web.Request, name: str) -> str:
    """The header's text, "" without one; Invalid ``header-invalid`` for what no log line could show."""
    text = request.headers.get(name)
    if text is None:
        return ""
    if not _PRINTABLE.fullmatch(text):
        raise invalid_header(name, "1 to 200 printable ASCII characters")
    return text


def key_of(request: web.Request, kind: type[Request]) -> str:
    """The Idempotency-Key, "" without one; Invalid ``key-meaningless`` for a change that nobody would know again by it,
    since ignoring the key would do it twice."""
    key = printable(request, "Idempotency-Key")
    if key and not kind.keyed and kind.action.method != "GET":
        detail = f"{kind.action.method} {kind.action.path} does not know a request again by its Idempotency-Key"
        raise Invalid("key-meaningless", detail, hint="send it without, and look at what is there before a repeat")
    return key


def _wait(request: web.Request) -> int:
    found = re.search(r"(?:^|[,;\s])wait=([0-9]{1,6})", request.headers.get("Prefer", ""))
    return min(int(found[1]), _MAX_WAIT_S) if found else 0
