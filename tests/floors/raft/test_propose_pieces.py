"""How outcomes leave the raft process: those of a batch together."""

import asyncio
from pathlib import Path
from typing import Any, cast

import msgspec
from floors.raft.book import LOG

from girginosvm.raft.propose import Agreement, Answer, Hello, Propose, _frame, _receive, serve

CALLERS = 5


class Together:
    """An agreement that answers nobody before all have asked."""

    def __init__(self) -> None:
        self._asked = 0
        self._all = asyncio.Event()

    async def propose(self, command: bytes) -> bytes:
        self._asked += 1
        if self._asked == CALLERS:
            self._all.set()
        await self._all.wait()
        return command

    async def changes(self) -> Any:
        await asyncio.Event().wait()
        yield


async def test_the_outcomes_of_a_batch_leave_in_one_piece(tmp_path: Path, monkeypatch: Any) -> None:
    pieces: list[bytes] = []
    write = asyncio.StreamWriter.write
    path = tmp_path / "raft.sock"
    server = await serve(path, cast(Agreement, Together()), release="1", member="n1", log=LOG)
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(_frame(Hello("1")))
    await _receive(reader)
    for number in range(CALLERS):
        writer.write(_frame(Propose(number, b"x%d" % number)))
    monkeypatch.setattr(asyncio.StreamWriter, "write", lambda self, data: (pieces.append(data), write(self, data)))
    async with asyncio.timeout(20):
        told = [msgspec.msgpack.decode(await _receive(reader), type=Answer) for _ in range(CALLERS)]
    assert {one.id: one.outcome for one in told} == {number: b"x%d" % number for number in range(CALLERS)}
    assert len(pieces) == 1
    writer.close()
    server.close()
