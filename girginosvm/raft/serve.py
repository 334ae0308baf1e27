"""The raft process's end of the local socket: what the agent asks is handed to the agreement, and every change told."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import msgspec

from girginosvm.core.entries import Change as MemberChange
from girginosvm.core.errors import Busy, Problem, Unknown
from girginosvm.core.log import Log
from girginosvm.raft import proposals
from girginosvm.raft.changes import Change, Listener
from girginosvm.raft.ipc import (
    HELLO_S,
    MAX_FRAME,
    Alter,
    Anew,
    Answer,
    Ask,
    Barrier,
    Changed,
    HandOver,
    Hello,
    Line,
    Prefer,
    Propose,
    Request,
    Turn,
    frame,
    from_agent,
)
from girginosvm.raft.standing import Status

# An agent that reads so much too late reads everything anew.
_BEHIND_BYTES: Final = 8 * MAX_FRAME


class Agreement(Protocol):
    """What is served."""

    def submit(self, command: bytes, answer: proposals.Answer) -> None: ...

    def listen(self, listener: Listener) -> Callable[[], None]: ...

    def status(self) -> Status: ...

    async def change(self, change: MemberChange) -> None: ...

    def transfer(self, peer: str) -> None: ...

    async def read_barrier(self) -> None: ...


class Hooks(msgspec.Struct, frozen=True):
    """What the process itself does. ``turn`` is told what it is to become; it answers at once, or raises a problem.
    ``heard`` is called for each message, ``prefer`` with how good a member this is to lead (0 to 2 for the last)."""

    turn: Callable[[Turn], None]
    heard: Callable[[], None]
    prefer: Callable[[int], None]


def _stays(turn: Turn) -> None:
    raise Busy("no-turn", f"this raft process cannot turn to {turn.to!r}")


async def serve(
    path: Path, agreement: Agreement, *, release: str, member: str, log: Log, turn: Callable[[Turn], None] = _stays,
    heard: Callable[[], None] = lambda: None, prefer: Callable[[int], None] = lambda rank: None,
) -> asyncio.AbstractServer:  # fmt: skip
    """Listen on ``path`` (0600). Every connection hears of changes from its Hello on. The last three are ``Hooks``."""
    os.makedirs(path.parent, exist_ok=True)
    path.unlink(missing_ok=True)
    hooks, hello = Hooks(turn, heard, prefer), Hello(release, member)
    before = os.umask(0o177)
    try:
        loop = asyncio.get_running_loop()
        return await loop.create_unix_server(lambda: _Served(agreement, hooks, hello, log), path)
    finally:
        os.umask(before)


class _Served(Line):
    """One agent."""

    def __init__(self, agreement: Agreement, hooks: Hooks, hello: Hello, log: Log) -> None:
        super().__init__()
        self._agreement, self._hooks, self._hello, self._log = agreement, hooks, hello, log
        self._greeted = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._patience = self._loop.call_later(HELLO_S, self.close)
        self._deaf: Callable[[], None] = lambda: None

    def connection_lost(self, _: Exception | None) -> None:
        self._patience.cancel()
        self._deaf()
        for task in self._tasks:
            task.cancel()

    def garbage(self, fault: Exception) -> None:
        self._log.warning("raft.socket-garbage", fault=str(fault))

    def heard(self, data: bytes) -> None:
        message = from_agent(data)
        if not self._greeted:
            self._greet(message)
        elif isinstance(message, Propose):
            self._hooks.heard()
            self._propose(message)
        elif not isinstance(message, Hello):
            self._hooks.heard()
            task = asyncio.create_task(self._serve(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _greet(self, message: Hello | Request) -> None:
        self.write(frame(self._hello))
        if not isinstance(message, Hello) or message.release != self._hello.release:
            theirs = getattr(message, "release", "?")
            self._log.warning("raft.socket-refused", theirs=theirs, ours=self._hello.release)
            self.close()
            return
        self._greeted = True
        self._patience.cancel()
        self._deaf = self._agreement.listen(self)

    # What it hears of the agreement.

    def changed(self, change: Change) -> None:
        if self.waiting_bytes > _BEHIND_BYTES:
            self.close()
        else:
            self.write(frame(Changed(change)))

    def anew(self) -> None:
        self.write(frame(Anew()))

    def ended(self) -> None:
        self.close()

    # What it asks.

    def _propose(self, message: Propose) -> None:
        answer = partial(self._outcome, message.id)
        try:
            self._agreement.submit(message.command, answer)
        except Problem as problem:
            answer(problem)

    def _outcome(self, number: int, outcome: bytes | Problem) -> None:
        if isinstance(outcome, Problem):
            self._answer(Answer(number, problem=outcome.body()))
        else:
            self._answer(Answer(number, outcome=outcome))

    def _answer(self, answer: Answer) -> None:
        data = frame(answer)
        if len(data) > MAX_FRAME:
            detail = f"the request was served, and its answer of {len(data):,} bytes is too long"
            data = frame(Answer(answer.id, problem=Unknown("answer-too-long", detail).body()))
        self.write(data)

    async def _serve(self, message: Request) -> None:
        try:
            match message:
                case Alter(change=change):
                    await self._agreement.change(change)
                case HandOver(peer=peer):
                    self._agreement.transfer(peer)
                case Prefer(rank=rank):
                    self._hooks.prefer(rank)
                case Barrier():
                    await self._agreement.read_barrier()
                case Turn():
                    self._hooks.turn(message)
                case Ask():
                    pass  # every answer has the status
        except Problem as problem:
            self._answer(Answer(message.id, problem=problem.body()))
        else:
            self._answer(Answer(message.id, status=self._agreement.status()))
