"""A disk that does not answer: said in the status, and nobody waits behind it."""

from __future__ import annotations

import asyncio
import threading

import pytest
from floors.raft.book import LOG, Book, FakeClock
from floors.raft.power import PowerLossDisk

from girginosvm.core.errors import Busy
from girginosvm.raft.alone import Alone
from girginosvm.raft.journal import Journal


class HangingDisk(PowerLossDisk):
    """Its flush comes back when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.goes = threading.Event()
        self.goes.set()

    def flush(self, name: str) -> None:
        self.goes.wait()
        super().flush(name)


class Stand:
    """A node on it that calls three hundredths of a second too long."""

    def __init__(self) -> None:
        self.disk, self.book = HangingDisk(), Book()
        self.node = Alone(Journal(self.disk), self.book, FakeClock(), LOG, node="n1", stall_s=0.03)


@pytest.fixture
async def stand():
    one = Stand()
    await one.node.start()
    yield one
    one.disk.goes.set()
    await one.node.stop()


async def refused(node: Alone, command: bytes) -> Busy:
    """How a command is sent away, while it would wait for ever."""
    with pytest.raises(Busy) as caught:
        async with asyncio.timeout(5):
            await node.propose(command)
    return caught.value


async def hang(stand: Stand) -> asyncio.Task[bytes]:
    """A command in the flush that does not come back, and the refusal of the one behind it."""
    stand.disk.goes.clear()
    first = asyncio.create_task(stand.node.propose(b"first"))
    await asyncio.sleep(0)  # it is taken before the next one comes
    await asyncio.sleep(0)
    assert (await refused(stand.node, b"behind")).code == "disk-stalled"
    return first


async def test_what_waits_behind_a_hanging_flush_is_refused_and_never_done(stand: Stand) -> None:
    first = await hang(stand)
    assert "the journal's flush has been running for" in (await refused(stand.node, b"later")).detail
    assert not first.done()
    stand.disk.goes.set()
    assert await first == b"did first"
    assert stand.book.commands == [b"first"]


async def test_the_status_says_it_while_it_lasts_and_no_longer(stand: Stand) -> None:
    first = await hang(stand)
    assert "the journal's flush has been running for" in stand.node.status().trouble
    assert stand.node.status().waiting == 0
    stand.disk.goes.set()
    await first
    assert stand.node.status().trouble == ""
    assert await stand.node.propose(b"again") == b"did again"


async def test_a_database_that_hangs_is_told_from_a_journal_that_does(stand: Stand) -> None:
    goes = threading.Event()
    apply = stand.book.apply
    stand.book.apply = lambda entry: (goes.wait(), apply(entry))[1]
    first = asyncio.create_task(stand.node.propose(b"first"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    try:
        assert "applying entry 1 has been running for" in (await refused(stand.node, b"behind")).detail
    finally:
        goes.set()
    assert await first == b"did first"
