"""Between members of a cluster: mutual TLS on the API's port, each side looks at whom the other's certificate names.

A node hands on in a person's name what another one has (the serial output of its machine), and fetches images. The
caller is HTTP/1.0: one request, and the end of the connection is the end of the answer.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from aiohttp import web

from girginosvm.core.access import Actor
from girginosvm.core.errors import Busy, Forbidden, HostFault, ProblemBody, problem_of
from girginosvm.core.ids import member_of
from girginosvm.core.peers import Call

# In whose name a node asks; believed from members only.
ACTOR: Final = "X-Girginosvm-Actor"
_CONNECT_S: Final = 5.0
_MEET_S: Final = 3.0
_IDLE_S: Final = 30.0
_HEAD_BYTES: Final = 32 * 1024
_PROBLEM_BYTES: Final = 64 * 1024
_PIECE: Final = 256 * 1024


def certificate(request: web.Request) -> dict[str, Any] | None:
    """What the other end has shown, verified against the cluster's CA; None for a browser."""
    found: dict[str, Any] | None = request.transport.get_extra_info("peercert") if request.transport else None
    return found or None


def actor_of(header: str) -> Actor:
    """The person in whose name a member asks; Forbidden ``peer-unreadable``."""
    try:
        return msgspec.json.decode(base64.b64decode(header, validate=True), type=Actor)
    except (ValueError, msgspec.MsgspecError) as fault:
        raise Forbidden("peer-unreadable", f"no name of a person: {fault}") from fault


class Members:
    """See ``core.peers.Peers``. ``where`` answers a member's IP:port; ``context`` is ours, with our certificate."""

    def __init__(self, where: Callable[[str], Awaitable[str]], context: Callable[[], ssl.SSLContext], *, cluster: str):
        self._where = where
        self._context = context
        self._cluster = cluster

    async def fetch_image(self, node: str, image: str, into: Path, offset: int, came: Callable[[int], None]) -> None:
        """See ``Peers``. A node that is silent for 30 s is given up."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        async with self._asked(node, f"/v1/peer/images/{image}", headers, idle_s=_IDLE_S) as pieces:
            with await asyncio.to_thread(open, into, "ab") as out:
                async for piece in pieces:
                    await asyncio.to_thread(out.write, piece)
                    offset += len(piece)
                    came(offset)

    def forward(self, node: str, call: Call) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """See ``Peers``."""
        person = base64.b64encode(msgspec.json.encode(call.actor)).decode()
        return self._asked(node, call.path, {ACTOR: person}, idle_s=None)

    async def meet(self, node: str, place: str = "") -> Literal["itself", "another", "silent", "nobody"]:
        """Who is where a member was (or at ``place``, IP:port): the member by its certificate, somebody who shows
        another one, somebody who takes the connection and says nothing, or nobody."""
        try:
            host, _, port = (place or await self._where(node)).rpartition(":")
            async with asyncio.timeout(_MEET_S):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except (OSError, TimeoutError, Busy):
            return "nobody"
        try:
            async with asyncio.timeout(_MEET_S):
                await writer.start_tls(self._context())
        except ssl.SSLError:
            return "another"
        except (OSError, TimeoutError):
            return "silent"
        else:
            shown = member_of(writer.get_extra_info("peercert"), self._cluster)
            return "itself" if shown == node else "another"
        finally:
            writer.close()

    @asynccontextmanager
    async def _asked(
        self, node: str, path: str, headers: dict[str, str], *, idle_s: float | None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        place = await self._where(node)
        host, _, port = place.rpartition(":")
        try:
            async with asyncio.timeout(_CONNECT_S):
                reader, writer = await asyncio.open_connection(
                    host.strip("[]"), int(port), ssl=self._context(), limit=_HEAD_BYTES
                )
        except (OSError, TimeoutError) as fault:
            raise _away(place, fault) from fault
        try:
            shown = member_of(writer.get_extra_info("peercert"), self._cluster)
            if shown != node:
                raise HostFault("node-strange", f"{place} is {shown or 'no member'}, not {node}")
            head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": place, **headers}.items())
            writer.write(f"GET {path} HTTP/1.0\r\n{head}\r\n".encode())
            length = await _begun(place, reader, bool(headers.get("Range")))
            yield _pieces(place, reader, length, idle_s)
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):  # what was read is whole or has said why not
                async with asyncio.timeout(1):
                    await writer.wait_closed()


def _away(place: str, fault: BaseException) -> Busy:
    return Busy("node-unreachable", f"{place} is not reached: {fault or type(fault).__name__}", retry_after_s=2)


async def _begun(place: str, reader: asyncio.StreamReader, partial: bool) -> int | None:
    """The length of the body that begins, None for one that ends with the connection; the problem it is, raised."""
    try:
        async with asyncio.timeout(_IDLE_S):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as fault:
        raise _away(place, fault) from fault
    first, *rest = head.split("\r\n")
    version, _, said = first.partition(" ")
    status = said.partition(" ")[0] if version.startswith("HTTP/1.") else ""
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    if status == ("206" if partial else "200"):
        length = headers.get("content-length", "")
        return int(length) if length.isdecimal() else None
    async with asyncio.timeout(_IDLE_S):
        body = await reader.read(_PROBLEM_BYTES)
    try:
        found = msgspec.json.decode(body, type=dict[str, Any])
        code = str(found.get("type", "")).rpartition("/")[2]
        problem = msgspec.convert({"retry_after_s": 0, **found, "code": code}, ProblemBody, strict=False)
    except msgspec.MsgspecError as fault:
        raise HostFault("node-strange", f"{place} answers {status or 'no HTTP'}") from fault
    raise problem_of(problem)


async def _pieces(
    place: str, reader: asyncio.StreamReader, length: int | None, idle_s: float | None
) -> AsyncIterator[bytes]:
    have = 0
    while True:
        try:
            async with asyncio.timeout(idle_s):
                piece = await reader.read(_PIECE)
        except (OSError, TimeoutError) as fault:
            raise _away(place, fault) from fault
        if not piece:
            break
        have += len(piece)
        yield piece
    if length is not None and have < length:
        raise Busy("node-unreachable", f"{place}: the line broke after {have:,} of {length:,} bytes", retry_after_s=2)
