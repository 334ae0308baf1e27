"""A cluster of one: acknowledged means flushed and applied."""

import asyncio
import itertools
import random
from pathlib import Path

import pytest
from floors.raft.book import LOG, Book, FakeClock, alone
from floors.raft.power import PowerLossDisk

from girginosvm.core.entries import Entry
from girginosvm.core.errors import Busy, Conflict, HostFault, Unknown
from girginosvm.raft.alone import Alone, Stamps
from girginosvm.raft.changes import Change
from girginosvm.raft.client import Client
from girginosvm.raft.journal import Journal
from girginosvm.raft.serve import serve


@pytest.mark.parametrize("seed", range(10))
async def test_every_acknowledged_command_survives_a_power_loss_once(seed: int) -> None:
    disk, book = PowerLossDisk(), Book()
    node = alone(disk, book)
    await node.start()
    acknowledged: list[bytes] = []

    async def caller(number: int) -> None:
        command = f"c{number}".encode()
        assert await node.propose(command) == b"did " + command
        acknowledged.append(command)

    tasks = [asyncio.create_task(caller(number)) for number in range(50)]
    while len(acknowledged) < 20:  # noqa: ASYNC110 - each turn of the loop is the step
        await asyncio.sleep(0)
    after = disk.lose_power(random.Random(seed))
    kept = list(acknowledged)
    await asyncio.gather(*tasks)
    await node.stop()
    book = Book()
    restarted = alone(after, book)
    assert set(kept) <= set(book.commands)
    assert len(book.commands) == len(set(book.commands))
    await restarted.stop()


async def test_commands_that_wait_share_a_flush() -> None:
    disk, book = PowerLossDisk(), Book()
    node = alone(disk, book)
    await node.start()
    await asyncio.gather(*(node.propose(b"x%d" % number) for number in range(200)))
    await node.stop()
    assert len(book.entries) < 50


async def test_a_halt_stops_applying_and_says_why() -> None:
    book = Book()
    book.halt_at = 1
    node = alone(PowerLossDisk(), book)
    await node.start()
    with pytest.raises(Unknown, match="told to"):
        await node.propose(b"x")
    with pytest.raises(Busy, match="told to"):
        await node.propose(b"y")
    await node.stop()


async def test_a_full_disk_refuses_and_the_next_try_works() -> None:
    disk, book = PowerLossDisk(), Book()
    node = Alone(Journal(disk, segment_bytes=4096), book, FakeClock(), LOG, node="n1")
    await node.start()
    await node.propose(b"a")
    disk.room = 0
    with pytest.raises(Busy, match="nothing was changed") as caught:
        await node.propose(b"b" * 5000)
    assert caught.value.code == "journal-full"
    disk.room = 1 << 30
    await node.propose(b"c")
    assert book.commands == [b"a", b"c"]
    await node.stop()


async def test_a_database_ahead_of_its_journal_is_refused() -> None:
    book = Book()
    book.entries.append(Entry(9, 1, 1, "n1", ()))
    with pytest.raises(HostFault, match="missing from the journal"):
        alone(PowerLossDisk(), book)


def test_stamps_never_go_back_and_follow_the_wall_clock_slowly() -> None:
    clock = FakeClock()
    stamps = Stamps(clock, 0)
    seen = [stamps.next()]
    for jump in (0, 3_600_000, -7_200_000, 0, 0):
        clock.wall += 1000 + jump
        clock.mono += 1000
        seen.append(stamps.next())
    steps = [later - earlier for earlier, later in itertools.pairwise(seen)]
    assert all(900 <= step <= 1100 for step in steps)


async def test_the_socket_carries_proposals_changes_and_refusals(tmp_path: Path) -> None:
    node = alone(PowerLossDisk(), Book())
    await node.start()
    path = tmp_path / "raft.sock"
    server = await serve(path, node, release="1", member="n1", log=LOG)
    heard: list[Change | None] = []
    news = asyncio.Event()

    def changed(change: Change | None) -> None:
        heard.append(change)
        news.set()

    client = Client(path, release="1", changed=changed, log=LOG)
    task = asyncio.create_task(client.run())
    async with asyncio.timeout(5):
        await news.wait()
        news.clear()
        assert await client.propose(b"x") == b"did x"
        assert (await client.status()).applied_index == 1
        await news.wait()
    assert path.stat().st_mode & 0o777 == 0o600
    assert heard[0] is None
    assert isinstance(heard[1], Change)
    assert (heard[1].index, heard[1].tables) == (1, ("vm",))
    with pytest.raises(Conflict, match="release"):
        await Client(path, release="2", changed=changed, log=LOG).run()
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\xff\xff\xff\xff", b"\0\0\0\2\x80\x04"):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(garbage)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
    task.cancel()
    server.close()
    await node.stop()
