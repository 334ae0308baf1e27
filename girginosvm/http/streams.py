"""Hand-written bodies of streams: the upload of a file, a growing output. The live events have a file of their own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web

from girginosvm.core.action import Stream
from girginosvm.core.errors import Invalid, Unknown, disk_fault
from girginosvm.core.points import reach
from girginosvm.http.api import StreamHandler, printable, shown
from girginosvm.http.desk import Caller, Desk, Upload
from girginosvm.http.events import Hub
from girginosvm.http.peers import certificate
from girginosvm.http.session import Welcome
from girginosvm.http.static import SECURITY

_IDLE_S: Final = 60.0
_WRITE_S: Final = 10.0
_PIECE: Final = 256 * 1024


def handlers(hub: Hub) -> dict[str, StreamHandler]:
    """By the struct's name in the registry."""
    return {"FollowEvents": hub.follow, "UploadImage": upload, "SerialOutput": partial(output, look_s=hub.look_s)}


async def upload(request: web.Request, stream: Stream, caller: Caller, desk: Desk) -> web.StreamResponse:
    """The body into a file of its own, bounded, hashed on the way; deleted again unless it arrived whole."""
    assert caller.actor is not None
    stream = await desk.permit(stream, caller.actor)
    key, why = printable(request, "Idempotency-Key"), printable(request, "X-Why")
    with desk.upload_room(stream, request.content_length) as (path, limit):
        try:
            size, digest = await _written(request, path, limit)
            whole = Upload(path=path, size_bytes=size, sha256=digest)
            answer = await desk.receive(stream, caller.actor, whole, key=key, why=why)
        finally:
            path.unlink(missing_ok=True)
    return shown(request, answer, msgspec.to_builtins(answer.value), stream.action.status)


async def _written(request: web.Request, path: Path, limit: int) -> tuple[int, str]:
    try:
        return await _copied(request, path, limit)
    except ConnectionError:
        raise
    except OSError as fault:
        raise disk_fault("upload-failed", "the upload could not be kept", fault) from fault


async def _copied(request: web.Request, path: Path, limit: int) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    loop = asyncio.get_running_loop()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    reach("upload.write:before")
    with os.fdopen(handle, "wb") as file:
        while True:
            try:
                async with asyncio.timeout(_IDLE_S):
                    piece = await request.content.read(_PIECE)
            except TimeoutError as fault:
                raise Unknown(
                    "upload-stalled", f"nothing came for {_IDLE_S:g} s; {size:,} bytes are dropped"
                ) from fault
            if not piece:
                break
            size += len(piece)
            if size > limit:
                raise Invalid("body-too-large", f"the file is larger than the {limit:,} bytes that are accepted")
            digest.update(piece)
            await loop.run_in_executor(None, file.write, piece)
        file.flush()
        await loop.run_in_executor(None, os.fsync, file.fileno())
    reach("upload.write:after")
    if not size:
        raise Invalid("body-empty", "the body has to be the file")
    return size, digest.hexdigest()


async def output(
    request: web.Request, stream: Stream, caller: Caller, desk: Desk, *, look_s: float
) -> web.StreamResponse:
    """Bytes as they come, as plain text that no browser takes for a page. Every ``look_s`` it is asked whether
    somebody still listens, and may: an output that is silent tells of neither."""
    assert caller.actor is not None
    stream = await desk.permit(stream, caller.actor)
    pieces = await desk.output(stream, caller.actor, by_node=caller.by_node)
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/plain; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
            **SECURITY,
        }
    )
    await response.prepare(request)
    welcome = Welcome(request, caller, desk, every_s=look_s)
    try:
        async with contextlib.aclosing(_watched(pieces, look_s)) as watched:
            async for piece in watched:
                if request.transport is None or request.transport.is_closing() or not await welcome.lasts():
                    break
                if piece:
                    async with asyncio.timeout(_WRITE_S):
                        await response.write(piece)
    except (TimeoutError, ConnectionError):
        return response  # gone, or too slow
    return response


async def image(desk: Desk, request: web.Request) -> web.StreamResponse:
    """An image's file for another member, from where its Range says (RFC 9110 14.2)."""
    await desk.member(certificate(request))
    path = await desk.image_file(request.match_info["image"])
    return web.FileResponse(path, headers={"Content-Type": "application/octet-stream", "Cache-Control": "no-store"})


async def _watched(pieces: AsyncIterator[bytes], look_s: float) -> AsyncGenerator[bytes, None]:
    """The pieces as they come, and an empty one whenever none came for ``look_s``."""
    coming: asyncio.Task[bytes] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(_next(pieces))
            await asyncio.wait({coming}, timeout=look_s)
            if not coming.done():
                yield b""
                continue
            piece, coming = coming.result(), None
            if not piece:
                return
            yield piece
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.wait({coming})


async def _next(pieces: AsyncIterator[bytes]) -> bytes:
    return await anext(pieces, b"")
