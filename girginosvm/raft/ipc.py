"""Between the raft process and its agent, on one host: closed msgpack frames on a local socket, 4 bytes of length
before each.

The first frame each way is a ``Hello`` with the release; another release is refused by name.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any, Final, Literal

import msgspec

from girginosvm.core.entries import Change as MemberChange
from girginosvm.core.errors import ProblemBody
from girginosvm.raft.changes import Change
from girginosvm.raft.recovery import Wish
from girginosvm.raft.standing import Status

MAX_FRAME: Final = 1024 * 1024
HELLO_S: Final = 5.0
_LENGTH: Final = 4


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


class Anew(msgspec.Struct, frozen=True, tag="anew"):
    """Read everything anew: a snapshot took the place of entries."""


Request = Propose | Ask | Alter | HandOver | Prefer | Barrier | Turn
FromAgent = Hello | Request
FromRaft = Hello | Answer | Changed | Anew
_from_agent: Final[msgspec.msgpack.Decoder[FromAgent]] = msgspec.msgpack.Decoder(FromAgent)
_from_raft: Final[msgspec.msgpack.Decoder[FromRaft]] = msgspec.msgpack.Decoder(FromRaft)


def from_agent(data: bytes) -> FromAgent:
    """Decoded strictly; msgspec.MsgspecError when it is none of these."""
    return _from_agent.decode(data)


def from_raft(data: bytes) -> FromRaft:
    """Decoded strictly; msgspec.MsgspecError when it is none of these."""
    return _from_raft.decode(data)


def frame(message: FromAgent | FromRaft) -> bytes:
    """The message with its length before it."""
    data = msgspec.msgpack.encode(message)
    return len(data).to_bytes(_LENGTH) + data


async def receive(reader: asyncio.StreamReader) -> bytes:
    """One frame, for whoever looks once. ValueError: too long; asyncio.IncompleteReadError: the line has gone."""
    size = _size(await reader.readexactly(_LENGTH))
    return await reader.readexactly(size)


def _size(head: bytes | bytearray) -> int:
    size = int.from_bytes(head)
    if size > MAX_FRAME:
        raise ValueError(f"a frame of {size} bytes")
    return size


class Line(asyncio.Protocol, ABC):
    """One connection. What is written in one round of the event loop leaves in one piece, since the outcomes of a batch
    come together. Subclasses hear frames, and why the line has ended."""

    def __init__(self) -> None:
        self._inward = bytearray()
        self._outward: list[bytes] = []
        self._ended = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None

    @abstractmethod
    def heard(self, data: bytes) -> None:
        """A whole frame. msgspec.MsgspecError or ValueError ends the line."""

    @abstractmethod
    def garbage(self, fault: Exception) -> None:
        """What came is no frame of ours; the line ends."""

    @property
    def waiting_bytes(self) -> int:
        """What was written and has not left."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """A frame, soon."""
        if not self._outward:
            self._loop.call_soon(self._flush)
        self._outward.append(data)

    def close(self) -> None:
        """What was written leaves, and then nothing more; nothing is heard any more."""
        self._ended = True
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        outward, self._outward = self._outward, []
        if outward and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(outward))

    # asyncio's side.

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._inward += data
        at = 0
        try:
            while len(self._inward) - at >= _LENGTH and not self._ended:
                size = _size(self._inward[at : at + _LENGTH])
                if len(self._inward) - at - _LENGTH < size:
                    break
                at += _LENGTH + size
                self.heard(bytes(self._inward[at - size : at]))
        except (msgspec.MsgspecError, ValueError) as fault:
            self.garbage(fault)
            self.close()
        del self._inward[:at]
