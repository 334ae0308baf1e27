"""Files that go missing or bad under a real journal and a real database: the same rows again, or a clear refusal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from girginosvm.core import codec
from girginosvm.core.clock import SystemChance, SystemClock, new_request_id
from girginosvm.core.errors import HostFault
from girginosvm.core.log import Log
from girginosvm.raft.alone import Alone
from girginosvm.raft.disk import RealDisk
from girginosvm.raft.journal import Journal
from girginosvm.state import db as dbs
from girginosvm.state.fingerprint import Fingerprint, fingerprint
from girginosvm.state.machine import Machine
from tests.floors.state.bench import Bench
from tests.floors.state.toyroom import REGISTRY, HalfToy, MakeToy

LOG = Log(level="error")


class Files:
    """One node's files below a directory."""

    def __init__(self, root: Path) -> None:
        self.db = root / "db/state.db"
        self.journal = root / "journal"
        self._bench = Bench(root / "words.db")  # only makes envelopes

    @asynccontextmanager
    async def up(self, **words: int) -> AsyncIterator[Alone]:
        """The node, migrated, as the raft process composes it."""
        disk = RealDisk(self.journal)
        machine = Machine(self.db, REGISTRY, LOG, incarnation="one")
        try:
            node = Alone(
                Journal(disk, segment_bytes=4096, applied=machine.applied_index()),
                machine,
                SystemClock(),
                LOG,
                node="n1",
                **words,
            )
        except BaseException:
            machine.close()
            disk.close()
            raise
        await node.start()
        migration = machine.migration(new_request_id(SystemClock(), SystemChance()), "n1")
        if migration is not None:
            await node.propose(migration)
        yield node
        await node.stop()
        machine.close()

    async def work(self, node: Alone, *names: str) -> None:
        """Toys, and a refusal beside each."""
        for name in names:
            for command in (MakeToy(name=name), HalfToy(name=name)):
                request_id = new_request_id(SystemClock(), SystemChance())
                await node.propose(codec.encode(self._bench.envelope(command, request_id=request_id)))

    def fingerprint(self) -> Fingerprint:
        db = dbs.open_reader(self.db)
        try:
            return fingerprint(db)
        finally:
            db.close()

    def lose_database(self) -> None:
        for file in self.db.parent.iterdir():
            file.unlink()

    def close(self) -> None:
        self._bench.close()


@pytest.fixture
def files(tmp_path: Path):
    one = Files(tmp_path)
    yield one
    one.close()


async def test_a_lost_database_is_built_again_from_the_journal(files: Files) -> None:
    async with files.up() as node:
        await files.work(node, *(f"toy{n}" for n in range(20)))
    before = files.fingerprint()
    files.lose_database()
    async with files.up() as node:
        assert node.status().applied_index == before.index
        assert files.fingerprint() == before
        await files.work(node, "later")
    assert files.fingerprint().index > before.index


async def test_a_lost_database_beside_a_compacted_journal_is_refused(files: Files) -> None:
    async with files.up(compact_entries=10) as node:
        await files.work(node, *(f"toy{n}" for n in range(60)))
        assert node.status().first_index > 1
    files.lose_database()
    with pytest.raises(HostFault, match="stands at entry 0, the journal begins at") as caught:
        async with files.up():
            pass
    assert caught.value.code == "database-behind"


async def test_the_last_record_going_bad_on_disk_is_seen_because_the_database_has_applied_it(files: Files) -> None:
    """By itself it looks like the torn end of a write that nobody was told of."""
    async with files.up() as node:
        await files.work(node, "top")
    segment = sorted(files.journal.iterdir())[-1]
    data = bytearray(segment.read_bytes())
    data[len(data.rstrip(b"\0")) - 5] ^= 0x40
    segment.write_bytes(data)
    with pytest.raises(HostFault, match="acknowledged entries are missing from the journal") as caught:
        async with files.up():
            pass
    assert caught.value.code == "journal-behind"
    assert segment.read_bytes() == bytes(data), "what is left of it is kept for whoever mends it"
