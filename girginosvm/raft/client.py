"""The agent's end of the local socket. A lost connection while a proposal is under way is ``Unknown``: the same bytes
(the same request id) are safe to send again."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import msgspec

from girginosvm.core.entries import Change as MemberChange
from girginosvm.core.errors import Busy, Conflict, Invalid, Unknown, problem_of
from girginosvm.core.log import Log
from girginosvm.core.points import reach
from girginosvm.raft.changes import Change
from girginosvm.raft.ipc import (
    HELLO_S,
    MAX_FRAME,
    Alter,
    Anew,
    Answer,
    Ask,
    Barrier,
    Changed,
    FromAgent,
    FromRaft,
    HandOver,
    Hello,
    Line,
    Prefer,
    Propose,
    Turn,
    frame,
    from_raft,
    receive,
)
from girginosvm.raft.recovery import Wish
from girginosvm.raft.standing import Status

_PAUSE_S: Final = 0.05
# Both processes start together; one that is away for longer is worth a line in the log.
_AWAY_S: Final = 3.0


async def glance(path: Path, *, release: str) -> Status | None:
    """How the raft process behind ``path`` stands, for whoever looks once; None when it does not say."""
    try:
        async with asyncio.timeout(HELLO_S):
            reader, writer = await asyncio.open_unix_connection(str(path))
            with contextlib.closing(writer):
                writer.write(frame(Hello(release)) + frame(Ask(1)))
                while True:
                    said = from_raft(await receive(reader))
                    if isinstance(said, Answer):
                        return said.status
    except (OSError, asyncio.IncompleteReadError, TimeoutError, msgspec.MsgspecError, ValueError):
        return None


class _Heard(Line):
    """The connection. ``hello`` is the first frame, ``ended`` is set when it is over: with why, if something is."""

    def __init__(self, tell: Callable[[FromRaft], None]) -> None:
        super().__init__()
        self._tell = tell
        self.hello: asyncio.Future[Hello] = self._loop.create_future()
        self.ended: asyncio.Future[None] = self._loop.create_future()

    def heard(self, data: bytes) -> None:
        message = from_raft(data)
        if self.hello.done():
            self._tell(message)
        elif isinstance(message, Hello):
            self.hello.set_result(message)
        else:
            raise ValueError("no hello came first")

    def garbage(self, fault: Exception) -> None:
        self._end(fault)

    def connection_lost(self, fault: Exception | None) -> None:
        self._end(fault or ConnectionResetError("the raft process has closed the line"))

    def _end(self, fault: Exception) -> None:
        for waits in (self.hello, self.ended):
            if not waits.done():
                waits.set_exception(fault)
                waits.exception()  # whoever waits has it, and nobody may


class Client:
    """One connection, kept up. ``changed`` is called for each change, and with None when everything has to be read
    anew: after each new connection, and when a snapshot took the place of entries."""

    def __init__(self, path: Path, *, release: str, changed: Callable[[Change | None], None], log: Log) -> None:
        self._path = path
        self._release = release
        self._changed = changed
        self._log = log
        self._numbers = itertools.count(1)
        self._under_way: dict[int, asyncio.Future[Answer]] = {}
        self._line: _Heard | None = None
        self._pause_s = _PAUSE_S
        self._gone = asyncio.Event()
        self.member = ""

    async def run(self) -> None:
        """Connect, listen, connect again; until cancelled. Conflict when the raft process is another release."""
        loop = asyncio.get_running_loop()
        seen, said = loop.time(), False
        while True:
            try:
                await self._connection()
            except (OSError, TimeoutError, msgspec.MsgspecError, ValueError) as fault:
                if self._line is not None:
                    seen, said = loop.time(), False
                elif not said and loop.time() - seen > _AWAY_S:
                    said = True
                    self._log.warning("raft.away", socket=str(self._path), fault=repr(fault))
            finally:
                self._lost()
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(self._pause_s * 2, 1.0)

    async def propose(self, command: bytes, *, deadline_s: float = 15.0) -> bytes:
        """The outcome's bytes. Invalid, Busy: not sent; Unknown: sent, and no answer came."""
        reach("propose:before")
        outcome = (await self._asked(lambda number: Propose(number, command), deadline_s)).outcome
        reach("propose:after")
        return outcome

    async def status(self) -> Status:
        """How the raft process stands."""
        answer = await self._asked(Ask, 5.0)
        if answer.status is None:
            raise Busy("raft-away", "the raft process gave no status", retry_after_s=1)
        return answer.status

    async def change(self, change: MemberChange) -> None:
        """Change who belongs to the cluster; returns when that is committed. Busy, Conflict: not done."""
        await self._asked(lambda number: Alter(number, change), 15.0)

    async def transfer(self, peer: str) -> None:
        """If this node leads: let ``peer`` lead. ``status`` tells whether it does."""
        await self._asked(lambda number: HandOver(number, peer), 5.0)

    async def prefer(self, rank: int) -> None:
        """How good this member is to lead: 0 for the best, 2 for the last. ``Status.rank`` tells what counts."""
        await self._asked(lambda number: Prefer(number, rank), 5.0)

    async def read_barrier(self) -> None:
        """Returns when a local read sees every write acknowledged before the call. Busy: nobody confirmed it."""
        await self._asked(Barrier, 5.0)

    async def turn(self, to: Literal["open", "again"], address: str = "") -> None:
        """Have the raft process begin another life; it answers before it does."""
        await self._asked(lambda number: Turn(number, to, address), 5.0)

    async def recover(self, wish: Wish) -> None:
        """Have the raft process go on alone; it answers once that is on its disk. Unsafe ``recover-...``: not so."""
        await self._asked(lambda number: Turn(number, "recover", wish=wish), 15.0)

    async def left(self) -> None:
        """Until the raft process of this connection has gone."""
        await self._gone.wait()

    async def _asked(self, message: Callable[[int], FromAgent], deadline_s: float) -> Answer:
        line = self._line
        if line is None:
            raise Busy("raft-away", "the raft process of this node does not answer", retry_after_s=1)
        number = next(self._numbers)
        data = frame(message(number))
        if len(data) > MAX_FRAME:
            raise Invalid("command-too-large", f"a frame of {len(data):,} bytes; {MAX_FRAME:,} fit")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._under_way[number] = future
        try:
            line.write(data)
            reach("propose:sent")
            async with asyncio.timeout(deadline_s):
                answer = await future
        except TimeoutError as fault:
            raise Unknown("no-answer", f"the raft process did not answer within {deadline_s:g} s") from fault
        finally:
            self._under_way.pop(number, None)
        if answer.problem is not None:
            raise problem_of(answer.problem)
        return answer

    async def _connection(self) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(HELLO_S):
            _, line = await loop.create_unix_connection(lambda: _Heard(self._heard), str(self._path))
        try:
            async with asyncio.timeout(HELLO_S):
                line.write(frame(Hello(self._release)))
                hello = await line.hello
            if hello.release != self._release:
                theirs = hello.release
                raise Conflict("release-differs", f"the raft process is release {theirs}, this agent {self._release}")
            self.member, self._line, self._pause_s = hello.member, line, _PAUSE_S
            self._gone.clear()
            self._changed(None)
            await line.ended
        finally:
            line.close()

    def _heard(self, message: FromRaft) -> None:
        match message:
            case Answer():
                future = self._under_way.get(message.id)
                if future is not None and not future.done():
                    future.set_result(message)
            case Changed():
                self._changed(message.change)
            case Anew():
                self._changed(None)
            case Hello():
                pass  # said once

    def _lost(self) -> None:
        self._line = None
        self._gone.set()
        for future in self._under_way.values():
            if not future.done():
                future.set_exception(
                    Unknown("connection-lost", "the raft process went away with the request under way")
                )
