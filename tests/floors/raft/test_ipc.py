"""The line between the raft process and its agent: frames in any pieces, and outcomes of a batch together."""

import asyncio
import contextlib
from asyncio import selector_events
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from floors.raft.book import LOG

from girginosvm.raft.changes import Change, Listener
from girginosvm.raft.client import Client
from girginosvm.raft.ipc import Answer, Hello, Line, Propose, frame, receive
from girginosvm.raft.proposals import Answer as Outcome
from girginosvm.raft.serve import Agreement, serve

CALLERS = 5


class Together:
    """An agreement that answers nobody before all have asked."""

    def __init__(self) -> None:
        self._asked: list[tuple[bytes, Outcome]] = []

    @property
    def count(self) -> int:
        return len(self._asked)

    def submit(self, command: bytes, answer: Outcome) -> None:
        self._asked.append((command, answer))
        if len(self._asked) == CALLERS:
            for asked, told in self._asked:
                told(asked)

    def listen(self, listener: Listener) -> Any:
        self.listener = listener
        return lambda: None


async def test_the_outcomes_of_a_batch_leave_in_one_piece(tmp_path: Path, monkeypatch: Any) -> None:
    pieces: list[bytes] = []
    write = selector_events._SelectorSocketTransport.write
    path = tmp_path / "raft.sock"
    server = await serve(path, cast(Agreement, Together()), release="1", member="n1", log=LOG)
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(frame(Hello("1")))
    await receive(reader)
    for number in range(CALLERS):
        writer.write(frame(Propose(number, b"x%d" % number)))
    monkeypatch.setattr(
        selector_events._SelectorSocketTransport, "write", lambda self, data: (pieces.append(data), write(self, data))
    )
    async with asyncio.timeout(20):
        told = [msgspec.msgpack.decode(await receive(reader), type=Answer) for _ in range(CALLERS)]
    assert {one.id: one.outcome for one in told} == {number: b"x%d" % number for number in range(CALLERS)}
    assert len(pieces) == 1
    writer.close()
    server.close()


async def test_a_snapshot_is_heard_over_the_same_line_and_what_is_under_way_is_answered(tmp_path: Path) -> None:
    path, together = tmp_path / "raft.sock", Together()
    server = await serve(path, cast(Agreement, together), release="1", member="n1", log=LOG)
    news: asyncio.Queue[Change | None] = asyncio.Queue()
    client = Client(path, release="1", changed=news.put_nowait, log=LOG)
    run = asyncio.create_task(client.run())
    async with asyncio.timeout(20):
        assert await news.get() is None
        first = [asyncio.create_task(client.propose(b"x%d" % number)) for number in range(CALLERS - 1)]
        while together.count < CALLERS - 1:  # noqa: ASYNC110 - a bounded look
            await asyncio.sleep(0)
        together.listener.anew()
        together.listener.changed(change := Change(9, 1, ("vm",)))
        assert [await news.get(), await news.get()] == [None, change]
        assert await client.propose(b"last") == b"last"
        assert await asyncio.gather(*first) == [b"x%d" % number for number in range(CALLERS - 1)]
    run.cancel()
    server.close()


class Hearing(Line):
    """What it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[bytes] = []
        self.fault = ""

    def heard(self, data: bytes) -> None:
        self.frames.append(data)
        if data == b"bad":
            raise ValueError(data)

    def garbage(self, fault: Exception) -> None:
        self.fault = str(fault)


def framed(*frames: bytes) -> bytes:
    return b"".join(len(one).to_bytes(4) + one for one in frames)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 1000])
async def test_frames_are_heard_in_whatever_pieces_they_come(size: int) -> None:
    line, frames = Hearing(), [b"", b"a", bytes(300), b"abc"]
    data = framed(*frames)
    for at in range(0, len(data), size):
        line.data_received(data[at : at + size])
    assert (line.frames, line.fault) == (frames, "")


@pytest.mark.parametrize(
    ("data", "fault"), [(framed(b"bad", b"good"), "bad"), (b"\xff" * 5, "a frame of 4294967295 bytes")]
)
async def test_nothing_is_heard_after_what_is_no_frame(data: bytes, fault: str) -> None:
    line = Hearing()
    line.data_received(framed(b"first") + data)
    line.data_received(framed(b"later"))
    assert line.frames[0] == b"first"
    assert {b"good", b"later"}.isdisjoint(line.frames)
    assert fault in line.fault


async def test_an_agent_that_does_not_read_is_let_go_and_holds_nobody_back(tmp_path: Path) -> None:
    path, together, sent = tmp_path / "raft.sock", Together(), 20_000
    server = await serve(path, cast(Agreement, together), release="1", member="n1", log=LOG)
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(frame(Hello("1")))
    await receive(reader)
    for index in range(sent):
        together.listener.changed(Change(index, 1, ("t" * 1000,)))
        if index % 100 == 0:
            await asyncio.sleep(0)
    heard = 0
    async with asyncio.timeout(30):
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                await receive(reader)
                heard += 1
    assert 8_000 < heard < 12_000  # 8 MiB wait at most, and what the kernel holds
    writer.close()
    server.close()
