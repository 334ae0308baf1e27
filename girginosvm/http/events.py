"""The live stream: one Server-Sent Event per log entry, resumed by id without a gap, or one ``reset``.

The hub keeps in memory which tables the last entries changed. Who comes with an id that they reach back to gets every
entry after it; anybody else gets ``reset``: read everything anew, then go on from the id that came with it. An entry's
lines of history are read when somebody is told of it, once for all who are.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from girginosvm.core.action import Stream
from girginosvm.core.errors import Busy, Invalid, Problem
from girginosvm.http.desk import Caller, Desk
from girginosvm.http.session import Welcome
from girginosvm.http.static import SECURITY

HEARTBEAT_S: Final = 15.0
_QUEUE: Final = 256
_MOST: Final = 200  # streams at once
_WRITE_S: Final = 10.0
_FRAMES: Final = 256
_ID: Final = re.compile(r"([A-Za-z0-9-]{1,64})\.([0-9]{1,18})\.([0-9]{1,9})")


class Change(msgspec.Struct, frozen=True):
    """Which tables one log entry changed."""

    index: int
    tables: tuple[str, ...]


class _Told(msgspec.Struct, frozen=True):
    """As a listener gets it: with the entry's lines of history in their public form."""

    index: int
    tables: tuple[str, ...]
    events: tuple[Any, ...]


Lines = Callable[[int], Awaitable[tuple[Any, ...]]]


async def _none(index: int) -> tuple[Any, ...]:
    return ()


class Listener:
    """A bounded queue: who reads too slowly is closed, and resumes."""

    def __init__(self, room: int) -> None:
        self.waiting: asyncio.Queue[Change] = asyncio.Queue(room)
        self.too_slow = False

    def offer(self, change: Change) -> None:
        """Put it in the queue, or mark the listener for closing."""
        try:
            self.waiting.put_nowait(change)
        except asyncio.QueueFull:
            self.too_slow = True


class Hub:
    """Where the daemon says what was applied, once per entry and in order. ``lines`` reads an entry's lines of history,
    in their public form."""

    def __init__(
        self,
        incarnation: str,
        index: int,
        *,
        keep: int = 4096,
        room: int = _QUEUE,
        look_s: float = HEARTBEAT_S,
        lines: Lines = _none,
    ) -> None:
        # How often a stream says that it is alive, and whether its caller may still have it is asked.
        self.look_s = look_s
        self.incarnation = incarnation
        self.index = index
        self._room = room
        self._ring: deque[Change] = deque(maxlen=keep)
        # The index after which the ring holds everything.
        self._floor = index
        self._listeners: set[Listener] = set()
        self._lines = lines
        self._frames: dict[int, bytes] = {}  # of the last entries that somebody was told of

    def publish(self, change: Change) -> None:
        """An entry was applied here. One at or below the last is dropped (a reconnect repeats)."""
        if change.index <= self.index:
            return
        if len(self._ring) == self._ring.maxlen and self._ring:
            self._floor = self._ring[0].index
        self._ring.append(change)
        self.index = change.index
        for listener in self._listeners:
            listener.offer(change)

    def restart(self, incarnation: str, index: int) -> None:
        """What was missed is unknown (the database was restored, or the line to it was cut): everybody reads anew."""
        self.incarnation, self.index, self._floor = incarnation, index, index
        self._ring.clear()
        self._frames.clear()
        self.stop()

    def stop(self) -> None:
        """The door closes: every stream ends, and comes back with its last id."""
        for listener in self._listeners:
            listener.too_slow = True
            listener.offer(Change(self.index, ()))

    def open(self) -> Listener:
        """A new listener; Busy when there are too many."""
        if len(self._listeners) >= _MOST:
            raise Busy("too-many-listeners", f"{_MOST} live streams are open on this node", retry_after_s=5)
        listener = Listener(self._room)
        self._listeners.add(listener)
        return listener

    def close(self, listener: Listener) -> None:
        """The listener left."""
        self._listeners.discard(listener)

    def after(self, mark: str) -> list[Change] | None:
        """Every change after the id ``mark``, or None when the ring does not reach back to it."""
        found = _ID.fullmatch(mark)
        if found is None:
            raise Invalid("event-id-invalid", "an event id looks like incarnation.index.n")
        incarnation, index = found[1], int(found[2])
        if incarnation != self.incarnation or not self._floor <= index <= self.index:
            return None
        return [change for change in self._ring if change.index > index]

    def mark(self, index: int) -> str:
        """The SSE id of an entry."""
        return f"{self.incarnation}.{index}.0"

    async def follow(self, request: web.Request, stream: Stream, caller: Caller, desk: Desk) -> web.StreamResponse:
        """``GET /v1/events/stream``: resume by ``Last-Event-ID`` or ``?since=``."""
        assert caller.actor is not None
        await desk.permit(stream, caller.actor)
        mark = request.headers.get("Last-Event-ID") or str(getattr(stream, "since", ""))
        # Nothing is awaited between these two, so no entry falls between the ring and the queue.
        missed = self.after(mark) if mark else []
        listener = self.open()
        index = self.index
        welcome = Welcome(request, caller, desk, every_s=self.look_s)
        try:
            response = _opened()
            await response.prepare(request)
            first = "reset" if missed is None else "ready"
            await _send(response, _frame(self.mark(index), first, {"index": index}) if not missed else b":\n\n")
            for change in missed or ():
                await _send(response, await self._framed(change))
            await self._live(response, listener, welcome)
        except (TimeoutError, ConnectionError, Problem):
            return response  # the reader is gone, or it or the database too slow: it comes back with its last id
        finally:
            self.close(listener)
        return response

    async def _live(self, response: web.StreamResponse, listener: Listener, welcome: Welcome) -> None:
        while not listener.too_slow:
            try:
                async with asyncio.timeout(self.look_s):
                    change = await listener.waiting.get()
            except TimeoutError:
                change = None
            if not await welcome.lasts():
                return
            if change is None:
                await _send(response, b": alive\n\n")
            elif not listener.too_slow:
                await _send(response, await self._framed(change))

    async def _framed(self, change: Change) -> bytes:
        if change.index in self._frames:
            return self._frames[change.index]
        mark, life = self.mark(change.index), self.incarnation
        lines = await self._lines(change.index) if "event" in change.tables else ()
        frame = _frame(mark, "change", _Told(change.index, change.tables, lines))
        if life == self.incarnation:  # in another one the entry of this number may be another
            if len(self._frames) >= _FRAMES:
                self._frames.clear()
            self._frames[change.index] = frame
        return frame


def _opened() -> web.StreamResponse:
    headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return web.StreamResponse(headers={**headers, **SECURITY})


def _frame(mark: str, kind: str, value: Any) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (mark.encode(), kind.encode(), msgspec.json.encode(value))


async def _send(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(_WRITE_S):
        await response.write(data)
