"""The socket between the raft process and its agent: closed msgpack frames, 4 bytes of length before each.

The first frame each way is a ``Hello`` with the release; another release is refused by name. A lost connection while
a proposal is under way is ``Unknown``: the same bytes (the same request id) are safe to send again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from girginosvm.core.entries import Change as MemberChange
from girginosvm.core.errors import Busy, Conflict, Invalid, Problem, ProblemBody, Unknown, problem_of
from girginosvm.core.log import Log
from girginosvm.core.points import reach
from girginosvm.raft.changes import Change
from girginosvm.raft.recovery import Wish
from girginosvm.raft.standing import Status

MAX_FRAME: Final = 1024 * 1024
_HELLO_S: Final = 5.0
_PAUSE_S: Final = 0.05
# Both processes start together; one that is away for longer is worth a line in the log.
_AWAY_S: Final = 3.0


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """Who speaks."""

    release: str
    member: str = ""


class Propose(msgspec.Struct, frozen=True, tag="propose"):
    """A command for the log."""

    id: int
    command: bytes


class Ask(msgspec.Struct, frozen=True, tag="status"):
    """How does it stand?"""

    id: int


class Alter(msgspec.Struct, frozen=True, tag="alter"):
    """As leader, change who belongs to the cluster."""

    id: int
    change: MemberChange


class HandOver(msgspec.Struct, frozen=True, tag="hand-over"):
    """As leader, let another voter lead."""

    id: int
    peer: str


class Prefer(msgspec.Struct, frozen=True, tag="prefer"):
    """How good this member is to lead: 0 for the best, 2 for the last."""

    id: int
    rank: int


class Barrier(msgspec.Struct, frozen=True, tag="barrier"):
    """Answer once a local read sees every write acknowledged before."""

    id: int


class Turn(msgspec.Struct, frozen=True, tag="turn"):
    """Begin another life: ``open`` the port for other members, at ``address`` (IP:port); ``again``, as what lies on the
    disk says; or ``recover``, alone, as ``wish`` says."""

    id: int
    to: Literal["open", "again", "recover"]
    address: str = ""
    wish: Wish | None = None


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """An outcome's bytes, a status, or a problem."""

    id: int
    outcome: bytes = b""
    status: Status | None = None
    problem: ProblemBody | None = None


class Changed(msgspec.Struct, frozen=True, tag="changed"):
    """Entries were applied."""

    change: Change


_Request = Propose | Ask | Alter | HandOver | Prefer | Barrier | Turn
_FROM_AGENT: Final = msgspec.msgpack.Decoder(Hello | _Request)
_FROM_RAFT: Final = msgspec.msgpack.Decoder(Hello | Answer | Changed)


async def _receive(reader: asyncio.StreamReader) -> bytes:
    size = int.from_bytes(await reader.readexactly(4))
    if size > MAX_FRAME:
        raise ValueError(f"a frame of {size} bytes")
    return await reader.readexactly(size)


def _frame(message: object) -> bytes:
    data = msgspec.msgpack.encode(message)
    return len(data).to_bytes(4) + data


class _Pen:
    """Writes frames to one connection. What is written in one turn of the loop leaves in one piece, since the outcomes
    of a batch come together."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._frames: list[bytes] = []

    async def write(self, frame: bytes) -> None:
        """Soon; waits while the other end does not read."""
        if not self._frames:
            asyncio.get_running_loop().call_soon(self.flush)
        self._frames.append(frame)
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    def flush(self) -> None:
        """Now."""
        frames, self._frames = self._frames, []
        with contextlib.suppress(ConnectionError):
            self._writer.write(b"".join(frames))

    def close(self) -> None:
        """What was written leaves, and then nothing more."""
        self.flush()
        self._writer.close()


class Agreement(Protocol):
    """What the server serves."""

    async def propose(self, command: bytes) -> bytes: ...

    def changes(self) -> AsyncIterator[Change]: ...

    def status(self) -> Status: ...

    async def change(self, change: MemberChange) -> None: ...

    def transfer(self, peer: str) -> None: ...

    async def read_barrier(self) -> None: ...


def _stays(turn: Turn) -> None:
    raise Busy("no-turn", f"this raft process cannot turn to {turn.to!r}")


async def serve(
    path: Path, agreement: Agreement, *, release: str, member: str, log: Log, turn: Callable[[Turn], None] = _stays,
    heard: Callable[[], None] = lambda: None, prefer: Callable[[int], None] = lambda rank: None,
) -> asyncio.AbstractServer:  # fmt: skip
    """Listen on ``path`` (0600). Every connection hears of changes from its Hello on. ``turn`` is told what the process
    is to become; it answers at once, or raises a problem. ``heard`` is called for each message, ``prefer`` with how
    good a member this is to lead (0 to 2 for the last)."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks: set[asyncio.Task[None]] = set()
        try:
            async with asyncio.timeout(_HELLO_S):
                hello = _FROM_AGENT.decode(await _receive(reader))
            writer.write(_frame(Hello(release, member)))
            if not isinstance(hello, Hello) or hello.release != release:
                log.warning("raft.socket-refused", theirs=getattr(hello, "release", "?"), ours=release)
                return
            pen = _Pen(writer)
            tasks.add(asyncio.create_task(_tell(pen, agreement)))
            while True:
                message = _FROM_AGENT.decode(await _receive(reader))
                heard()
                task = asyncio.create_task(_serve_one(message, pen, agreement, turn, prefer))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            return
        except (msgspec.MsgspecError, ValueError) as fault:
            log.warning("raft.socket-garbage", fault=str(fault))
        finally:
            for task in list(tasks):
                task.cancel()
            with contextlib.suppress(ConnectionError):
                writer.close()

    os.makedirs(path.parent, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    before = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(connected, path)
    finally:
        os.umask(before)


async def _tell(pen: _Pen, agreement: Agreement) -> None:
    async for change in agreement.changes():
        await pen.write(_frame(Changed(change)))
    pen.close()


async def _served(
    message: _Request, agreement: Agreement, turn: Callable[[Turn], None], prefer: Callable[[int], None]
) -> Answer:
    try:
        match message:
            case Propose(number, command):
                return Answer(number, outcome=await agreement.propose(command))
            case Alter(number, change):
                await agreement.change(change)
            case HandOver(number, peer):
                agreement.transfer(peer)
            case Prefer(rank=rank):
                prefer(rank)
            case Barrier(number):
                await agreement.read_barrier()
            case Turn(number):
                turn(message)
    except Problem as problem:
        return Answer(message.id, problem=problem.body())
    return Answer(message.id, status=agreement.status())


async def _serve_one(
    message: object, pen: _Pen, agreement: Agreement, turn: Callable[[Turn], None],
    prefer: Callable[[int], None],
) -> None:  # fmt: skip
    if not isinstance(message, _Request):
        return
    answer = await _served(message, agreement, turn, prefer)
    frame = _frame(answer)
    if len(frame) > MAX_FRAME:
        lost = Unknown("answer-too-long", f"the request was served, and its answer of {len(frame):,} bytes is too long")
        frame = _frame(Answer(answer.id, problem=lost.body()))
    await pen.write(frame)


async def glance(path: Path, *, release: str) -> Status | None:
    """How the raft process behind ``path`` stands, for whoever looks once; None when it does not say."""
    try:
        async with asyncio.timeout(_HELLO_S):
            reader, writer = await asyncio.open_unix_connection(str(path))
            with contextlib.closing(writer):
                writer.write(_frame(Hello(release)) + _frame(Ask(1)))
                while True:
                    said = _FROM_RAFT.decode(await _receive(reader))
                    if isinstance(said, Answer):
                        return said.status
    except (OSError, asyncio.IncompleteReadError, TimeoutError, msgspec.MsgspecError, ValueError):
        return None


class Client:
    """The agent's end: one connection, kept up; ``changed`` is called for each change, and with None after each new
    connection (read everything anew)."""

    def __init__(
        self, path: Path, *, release: str, changed: Callable[[Change | None], Awaitable[None]], log: Log
    ) -> None:
        self._path = path
        self._release = release
        self._changed = changed
        self._log = log
        self._numbers = itertools.count(1)
        self._under_way: dict[int, asyncio.Future[Answer]] = {}
        self._writer: asyncio.StreamWriter | None = None
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
            except (OSError, asyncio.IncompleteReadError, TimeoutError, msgspec.MsgspecError, ValueError) as fault:
                if self._writer is not None:
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

    async def _asked(self, message: Callable[[int], object], deadline_s: float) -> Answer:
        writer = self._writer
        if writer is None:
            raise Busy("raft-away", "the raft process of this node does not answer", retry_after_s=1)
        number = next(self._numbers)
        frame = _frame(message(number))
        if len(frame) > MAX_FRAME:
            raise Invalid("command-too-large", f"a frame of {len(frame):,} bytes; {MAX_FRAME:,} fit")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._under_way[number] = future
        try:
            writer.write(frame)
            reach("propose:sent")
            async with asyncio.timeout(deadline_s):
                answer = await future
        except TimeoutError as fault:
            raise Unknown("no-answer", f"the raft process did not answer within {deadline_s:g} s") from fault
        except ConnectionError as fault:
            raise Unknown("connection-lost", "the raft process went away with the request under way") from fault
        finally:
            self._under_way.pop(number, None)
        if answer.problem is not None:
            raise problem_of(answer.problem)
        return answer

    async def _connection(self) -> None:
        async with asyncio.timeout(_HELLO_S):
            reader, writer = await asyncio.open_unix_connection(str(self._path))
        try:
            async with asyncio.timeout(_HELLO_S):
                writer.write(_frame(Hello(self._release)))
                hello = _FROM_RAFT.decode(await _receive(reader))
            if not isinstance(hello, Hello) or hello.release != self._release:
                theirs = getattr(hello, "release", "?")
                raise Conflict("release-differs", f"the raft process is release {theirs}, this agent {self._release}")
            self.member, self._writer, self._pause_s = hello.member, writer, _PAUSE_S
            self._gone.clear()
            await self._changed(None)
            while True:
                await self._heard(_FROM_RAFT.decode(await _receive(reader)))
        finally:
            writer.close()

    async def _heard(self, message: Hello | Answer | Changed) -> None:
        if isinstance(message, Changed):
            await self._changed(message.change)
        elif isinstance(message, Answer):
            future = self._under_way.get(message.id)
            if future is not None and not future.done():
                future.set_result(message)

    def _lost(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        self._gone.set()
        for future in self._under_way.values():
            if not future.done():
                future.set_exception(
                    Unknown("connection-lost", "the raft process went away with the request under way")
                )
