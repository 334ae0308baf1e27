"""Deaths and faults at the moments that a plain power loss does not reach."""

import asyncio
import contextlib
import errno
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from floors.raft.book import LOG, Book, FakeClock, alone
from floors.raft.power import Dark, PowerLossDisk

from girginosvm.core.entries import Applied, Entry, Halt
from girginosvm.core.errors import Busy, HostFault, Invalid, Unknown
from girginosvm.raft.alone import Alone, Stamps
from girginosvm.raft.client import Client
from girginosvm.raft.disk import RealDisk
from girginosvm.raft.ipc import MAX_FRAME, Hello, Propose
from girginosvm.raft.journal import Journal, Vote
from girginosvm.raft.serve import serve

SMALL = 8192


async def finish(node: Alone) -> None:
    async with asyncio.timeout(5):
        await node.stop()


def test_what_a_killed_process_left_unflushed_is_made_durable_before_it_counts() -> None:
    disk = PowerLossDisk()
    Journal(disk, segment_bytes=SMALL).append(Entry(1, 1, 5, "n1", (b"x",)))
    # kill -9 here: the page cache lives on, so the next process finds the entry, applies it and answers for it.
    assert Journal(disk, segment_bytes=SMALL).last_index == 1
    assert Journal(disk.lose_power(Dark()), segment_bytes=SMALL).last_index == 1


def test_a_vote_survives_a_death_right_after_a_segment_was_made() -> None:
    disk = PowerLossDisk()
    journal = Journal(disk, segment_bytes=SMALL)
    journal.set_vote(Vote(7, "n3"))
    for index in range(1, 11):
        journal.append(Entry(index, 7, index, "n1", (bytes(700),)))
    journal.flush()
    while len(disk.durable) == 1:  # the next segment is created; what is written into it never reaches the platter
        journal.append(Entry(journal.last_index + 1, 7, 1, "n1", (bytes(700),)))
    dark = disk.lose_power(Dark())
    again = Journal(dark, segment_bytes=SMALL)
    while len(dark.durable) < 3:
        again.append(Entry(again.last_index + 1, 7, 1, "n1", (bytes(700),)))
    again.flush()
    names = dark.names()
    assert again.drop_through(again.last_index) == 2
    assert dark.names() == names[2:]
    assert Journal(dark, segment_bytes=SMALL).vote == Vote(7, "n3")
    # And when the segment that was made in vain is the oldest that stays.
    dark = disk.lose_power(Dark())
    vain = Journal(dark, segment_bytes=SMALL)
    vain.drop_through(vain.last_index)
    assert Journal(dark.lose_power(Dark()), segment_bytes=SMALL).vote == Vote(7, "n3")


def test_a_file_that_is_no_segment_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "old copy.seg").write_bytes(b"")
    with pytest.raises(HostFault, match="old copy"):
        Journal(RealDisk(tmp_path))


class Broken(Book):
    """Fails in ways that its promise does not have."""

    def __init__(self, fault: Exception, where: str) -> None:
        super().__init__()
        self.fault, self.where = fault, where

    def apply(self, entry: Entry) -> Applied:
        if self.where == "apply":
            raise self.fault
        return super().apply(entry)

    def checkpoint(self) -> int:
        if self.where == "checkpoint":
            raise self.fault
        return super().checkpoint()


@pytest.mark.parametrize("fault", [OSError(errno.EIO, "Input/output error"), RuntimeError("no such thing")])
async def test_a_fault_while_tidying_up_is_no_answer_to_a_command_that_was_done(fault: Exception) -> None:
    book = Broken(fault, "checkpoint")
    node = Alone(Journal(PowerLossDisk()), book, FakeClock(), LOG, node="n1", compact_entries=1)
    await node.start()
    async with asyncio.timeout(5):
        assert await node.propose(b"x") == b"did x"
        assert await node.propose(b"y") == b"did y"
    assert book.commands == [b"x", b"y"]
    await finish(node)


@pytest.mark.parametrize("fault", [OSError(errno.EIO, "Input/output error"), RuntimeError("a bug")])
async def test_any_fault_of_apply_halts_visibly_and_leaves_nobody_waiting(fault: Exception) -> None:
    node = alone(PowerLossDisk(), Broken(fault, "apply"))
    await node.start()
    async with asyncio.timeout(5):
        with pytest.raises(Unknown):
            await node.propose(b"x")
        with pytest.raises(Busy):
            await node.propose(b"y")
    assert node.status().halted
    await finish(node)


async def test_a_command_beyond_the_batch_is_refused_before_it_reaches_the_log() -> None:
    book = Book()
    node = alone(PowerLossDisk(), book)
    await node.start()
    async with asyncio.timeout(5):
        with pytest.raises(Invalid, match="bytes"):
            await node.propose(bytes(5 * 1024 * 1024))
        assert await node.propose(b"y") == b"did y"
    await finish(node)


class Gate(Book):
    """Holds apply until told, then halts."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.go = threading.Event(), threading.Event()

    def apply(self, entry: Entry) -> Applied:
        self.inside.set()
        self.go.wait(5)
        raise Halt("told to")


async def test_a_halt_while_stopping_is_still_an_answer() -> None:
    book = Gate()
    node = alone(PowerLossDisk(), book)
    await node.start()
    asked = asyncio.create_task(node.propose(b"x"))
    assert await asyncio.to_thread(book.inside.wait, 5)
    stopping = asyncio.create_task(node.stop())
    await asyncio.sleep(0)
    book.go.set()
    async with asyncio.timeout(5):
        await stopping
        with pytest.raises(Unknown, match="told to"):
            await asked


@pytest.mark.parametrize(
    ("ahead_ms", "least", "most"), [(3_600_000, 1090, 1100), (-3_600_000, 900, 910), (0, 1000, 1000)]
)
@pytest.mark.parametrize("every_ms", [1, 3, 7, 9, 20])
def test_busy_stamps_are_steered_by_a_tenth_and_no_more(every_ms: int, ahead_ms: int, least: int, most: int) -> None:
    clock = FakeClock()
    stamps = Stamps(clock, 0)
    first = stamps.next()
    clock.wall += ahead_ms
    seen = [first]
    for _ in range(1000):
        clock.wall += every_ms
        clock.mono += every_ms
        seen.append(stamps.next())
    assert all(later >= earlier for earlier, later in itertools.pairwise(seen))
    assert least * every_ms <= seen[-1] - first <= most * every_ms


@contextlib.asynccontextmanager
async def asked(tmp_path: Path, book: Book) -> AsyncIterator[Client]:
    """A node, and an agent that has a line to it."""
    node = alone(PowerLossDisk(), book)
    await node.start()
    server = await serve(tmp_path / "raft.sock", node, release="1", member="n1", log=LOG)
    news: asyncio.Queue[object] = asyncio.Queue()
    client = Client(tmp_path / "raft.sock", release="1", changed=news.put_nowait, log=LOG)
    task = asyncio.create_task(client.run())
    try:
        async with asyncio.timeout(5):
            await news.get()
            yield client
    finally:
        task.cancel()
        server.close()
        await finish(node)


async def test_a_frame_too_large_is_refused_where_it_is_made_and_harms_no_other(tmp_path: Path) -> None:
    async with asked(tmp_path, Book()) as client:
        with pytest.raises(Invalid, match="frame"):
            await client.propose(bytes(MAX_FRAME))
        assert await client.propose(b"x") == b"did x"


async def test_an_answer_too_large_for_a_frame_is_a_problem_and_not_a_lost_line(tmp_path: Path) -> None:
    class Wordy(Book):
        def apply(self, entry: Entry) -> Applied:
            super().apply(entry)
            return Applied(tuple(bytes(MAX_FRAME) if command == b"long" else b"ok" for command in entry.commands))

    async with asked(tmp_path, Wordy()) as client:
        with pytest.raises(Unknown, match="too long"):
            await client.propose(b"long")
        assert await client.propose(b"x") == b"ok"


async def test_a_line_that_was_up_is_tried_again_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause that kept doubling over eight lost lines would be at a second by the sixth."""
    path, ups, pauses, sleep = tmp_path / "raft.sock", 0, [], asyncio.sleep

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await reader.readexactly(int.from_bytes(await reader.readexactly(4)))
        writer.write(len(hello).to_bytes(4) + hello)
        await writer.drain()
        writer.close()

    def changed(_: object) -> None:
        nonlocal ups
        ups += 1

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    server = await asyncio.start_unix_server(hang_up, path)
    monkeypatch.setattr(asyncio, "sleep", pause)
    task = asyncio.create_task(Client(path, release="1", changed=changed, log=LOG).run())
    async with asyncio.timeout(30):
        while ups < 8:
            await sleep(0.01)
    task.cancel()
    server.close()
    assert set(pauses) == {0.05}


async def filled(disk: PowerLossDisk, count: int) -> Book:
    """A journal of ``count`` entries on ``disk``, and the book that applied them."""
    book = Book()
    node = alone(disk, book)
    await node.start()
    for number in range(count):
        await node.propose(b"c%d" % number)
    await finish(node)
    return book


async def test_a_database_that_is_behind_is_brought_up_and_nothing_is_applied_twice() -> None:
    disk = PowerLossDisk()
    whole = await filled(disk, 9)
    book = Book()
    book.entries = whole.entries[:4]
    node = alone(disk, book)
    assert book.entries == whole.entries
    await node.start()
    await node.propose(b"next")
    assert [entry.index for entry in book.entries] == list(range(1, 11))
    assert book.entries[-1].at_ms >= book.entries[-2].at_ms
    await finish(node)


async def test_a_database_from_before_the_journals_beginning_is_refused() -> None:
    disk = PowerLossDisk()
    await filled(disk, 400)
    journal = Journal(disk, segment_bytes=SMALL)
    while len(disk.durable) < 3:
        journal.append(Entry(journal.last_index + 1, 1, 1, "n1", (bytes(3000),)))
    journal.flush()
    assert journal.drop_through(journal.last_index) > 0
    with pytest.raises(HostFault, match="the journal begins at") as caught:
        alone(disk, Book())
    assert caught.value.code == "database-behind"


def test_a_vote_that_is_not_yet_flushed_is_not_the_only_one_left() -> None:
    disk = PowerLossDisk()
    journal = Journal(disk, segment_bytes=SMALL)
    journal.set_vote(Vote(7, "n3"))
    while len(disk.durable) < 2:
        journal.append(Entry(journal.last_index + 1, 7, 1, "n1", (bytes(700),)))
    assert journal.drop_through(journal.last_index) == 1
    assert Journal(disk.lose_power(Dark()), segment_bytes=SMALL).vote == Vote(7, "n3")


async def test_a_peer_of_another_release_is_told_ours_and_may_ask_nothing(tmp_path: Path) -> None:
    book = Book()
    node = alone(PowerLossDisk(), book)
    await node.start()
    path = tmp_path / "raft.sock"
    server = await serve(path, node, release="1", member="n1", log=LOG)
    reader, writer = await asyncio.open_unix_connection(str(path))
    for message in (Hello("2"), Propose(1, b"x")):
        data = msgspec.msgpack.encode(message)
        writer.write(len(data).to_bytes(4) + data)
    async with asyncio.timeout(5):
        told = await reader.read()
    assert msgspec.msgpack.decode(told[4:], type=Hello) == Hello("1", "n1")
    assert book.entries == []
    writer.close()
    server.close()
    await finish(node)


async def test_a_flush_that_fails_ends_all_acknowledging() -> None:
    class Failing(PowerLossDisk):
        def flush(self, name: str) -> None:
            if self.broken:
                raise OSError(errno.EIO, "Input/output error")
            super().flush(name)

        broken = False

    disk, book = Failing(), Book()
    node = alone(disk, book)
    await node.start()
    await node.propose(b"a")
    disk.broken = True
    with pytest.raises(Unknown, match="could not be flushed"):
        await node.propose(b"b")
    disk.broken = False
    with pytest.raises(Busy, match="could not be flushed"):
        await node.propose(b"c")
    assert book.commands == [b"a"]
    await finish(node)


CHILD = """
import asyncio, sys
from pathlib import Path
from floors.raft.book import LOG, Book, FakeClock
from girginosvm.core import points
from girginosvm.raft.alone import Alone
from girginosvm.raft.disk import RealDisk
from girginosvm.raft.journal import Journal

async def main():
    points.name_process("raft")
    node = Alone(Journal(RealDisk(Path(sys.argv[1])), segment_bytes=8192), Book(), FakeClock(), LOG, node="n1")
    await node.start()
    for number in range(200):
        await node.propose(b"c%03d" % number + bytes(200))
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "point",
    ["journal.write:before#90", "journal.write:after#90", "journal.flush:before#90", "journal.flush:after#90",
     "machine.apply:before#90", "machine.apply:after#90"],
)  # fmt: skip
def test_a_process_killed_at_every_point_of_a_commit_loses_nothing_that_it_answered(tmp_path: Path, point: str) -> None:
    repository = Path(__file__).parents[3]
    path = os.pathsep.join((str(repository), str(repository / "tests")))
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "journal")], capture_output=True, text=True, timeout=30,
        check=False, env={"PYTHONPATH": path, "GIRGINOSVM_POINTS_KILL": f"raft/{point}"},
    )  # fmt: skip
    assert child.returncode == -signal.SIGKILL, child.stderr
    answered = len(child.stdout.split())
    assert answered > 50
    journal = Journal(RealDisk(tmp_path / "journal"), segment_bytes=SMALL)
    assert answered <= len(journal.entries) <= answered + 1
    assert [entry.commands[0][:4] for entry in journal.entries] == [b"c%03d" % n for n in range(len(journal.entries))]
    journal.close()
