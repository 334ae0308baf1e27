"""How outcomes leave the raft process: those of a batch together."""

import asyncio
from asyncio import selector_events
from pathlib import Path
from typing import Any, cast

import msgspec
from floors.raft.book import LOG

from girginosvm.raft.changes import Change, Listener
from girginosvm.raft.client import Client
from girginosvm.raft.ipc import Answer, Hello, Propose, frame, receive
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
