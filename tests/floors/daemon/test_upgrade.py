"""What a raft process says of its release, and when it takes its cluster on: alone at its start, as leader later."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from features.engine import ADMIN, FACTS
from floors.raft.book import FakeClock
from floors.raft.power import PowerLossDisk

from girginosvm import __version__
from girginosvm.core import codec, ids
from girginosvm.core.action import Command
from girginosvm.core.clock import SystemChance
from girginosvm.core.codec import Envelope
from girginosvm.core.entries import Entry
from girginosvm.core.errors import Busy
from girginosvm.core.levels import said_at
from girginosvm.core.log import Log
from girginosvm.core.manifest import Migration, Registry
from girginosvm.daemon.upgrade import Upgrade
from girginosvm.features.node.commands import ReportNode, ReportRelease
from girginosvm.features.registry import REGISTRY
from girginosvm.raft.alone import Alone
from girginosvm.raft.journal import Journal
from girginosvm.raft.standing import Status
from girginosvm.state import db as dbs
from girginosvm.state.machine import Machine
from tests.scenarios.next_release import REGISTRY as NEXT

QUIET = Log(level="error")
HOUR_MS = 3_600_000


def broken() -> Registry:
    """The next release with a migration that cannot be done."""
    rooms = {room.name: room for room in NEXT.rooms}
    *before, last = rooms["node"].migrations
    steps = (*before, Migration(last.number, "CREATE TABLE node (n)", level=2))
    rooms["node"] = msgspec.structs.replace(rooms["node"], migrations=steps)
    return Registry(rooms.values(), level=2)


class One:
    """A cluster of one whose processes come and go."""

    def __init__(self, home: Path) -> None:
        self.path, self.disk, self.clock = home / "state.db", PowerLossDisk(), FakeClock()
        self.clock.wall = 1_800_000_000_000

    async def life(self, registry: Registry) -> Machine:
        """One start, and one end; the database stays to be looked at."""
        machine = Machine(self.path, registry, QUIET, incarnation="test")
        journal = Journal(self.disk, segment_bytes=1 << 16)
        agreement = Alone(journal, machine, self.clock, QUIET, node="n1")
        await agreement.start()
        upgrade = Upgrade(agreement, machine, self.path, "n1", self.clock, SystemChance(), QUIET)
        await upgrade.begin()
        upgrade.close()
        await agreement.stop()
        machine.close()
        return machine

    def rows(self, sql: str) -> list[dbs.Row]:
        reader = dbs.open_reader(self.path)
        try:
            return dbs.rows(reader, sql)
        finally:
            reader.close()


async def test_a_cluster_of_one_goes_on_at_its_start_with_its_tables(tmp_path: Path) -> None:
    one = One(tmp_path)
    first = await one.life(REGISTRY)
    assert (first.level, first.applied_index()) == (1, 2)  # the tables, and which release this is
    assert (await one.life(REGISTRY)).applied_index() == 2  # nothing new to say
    assert one.rows("SELECT release, level FROM node_release") == [{"release": __version__, "level": 1}]
    after = await one.life(NEXT)
    assert after.level == 2
    assert one.rows("SELECT count(*) AS notes FROM node_note") == [{"notes": 0}]
    assert one.rows("SELECT level FROM node_release") == [{"level": 2}]
    assert (await one.life(NEXT)).applied_index() == after.applied_index()


async def test_a_new_cluster_is_at_once_at_the_level_of_its_release(tmp_path: Path) -> None:
    one = One(tmp_path)
    assert (await one.life(NEXT)).level == 2
    ran = [row["number"] for row in one.rows("SELECT number FROM migration WHERE room = 'node' ORDER BY number")]
    assert ran == [step.number for room in NEXT.rooms if room.name == "node" for step in room.migrations]


async def test_a_level_whose_migration_fails_is_left_and_the_node_starts(tmp_path: Path) -> None:
    one = One(tmp_path)
    await one.life(REGISTRY)
    assert (await one.life(broken())).level == 1
    assert one.rows("SELECT level FROM node_release") == [{"level": 2}]  # it would, if it could
    assert (await one.life(NEXT)).level == 2  # the next build has mended it


class Leading:
    """A leader among others, from the side: what it proposes is applied; the others' words are said for them."""

    def __init__(self, home: Path, registry: Registry) -> None:
        self.path, self.clock = home / "state.db", FakeClock()
        self.clock.wall = self.now_ms = 1_800_000_000_000
        self.machine = Machine(self.path, registry, QUIET, incarnation="test")
        self.standing = Status(
            "n1", 3, 0, 0, 1, 0, "", 0, role="leader", leader="n1", voters=("n1", "n2", "n3"), reached=("n2", "n3")
        )
        self.said: list[str] = []
        self.refuses = ""
        migration = self.machine.migration(ids.uuid7(self.now_ms, bytes(10)), "n1")
        assert migration is not None
        self.apply(migration)
        self.upgrade = Upgrade(self, self.machine, self.path, "n1", self.clock, SystemChance(), QUIET)  # type: ignore[arg-type]

    def apply(self, command: bytes, node: str = "n1") -> bytes:
        entry = Entry(self.machine.applied_index() + 1, 3, self.now_ms, node, (command,))
        return self.machine.apply(entry).outcomes[0]

    def say(self, command: Command, node: str) -> None:
        said = said_at(command, self.machine.level)
        number = self.machine.applied_index().to_bytes(10)
        self.apply(
            codec.encode(
                Envelope(ids.uuid7(self.now_ms, number), ADMIN, "", type(command).__name__, said.version,
                         msgspec.Raw(said.body))
            ),
            node,
        )  # fmt: skip

    def peers(self, level: int, *names: str) -> None:
        for name in names:
            self.say(ReportRelease(node=name, release=f"0.{level}.0", level=level), name)

    # What the raft floor answers.

    async def propose(self, command: bytes) -> bytes:
        if self.refuses:
            raise Busy(self.refuses, "not now")
        self.said.append(codec.envelope(command).name)
        return self.apply(command)

    async def read_barrier(self) -> None:
        return

    def status(self) -> Status:
        return self.standing

    def become(self, **words: Any) -> None:
        self.standing = msgspec.structs.replace(self.standing, **words)

    async def look(self, *, after_ms: int = 1000) -> list[str]:
        """What is said at the next look."""
        self.clock.mono += after_ms
        self.clock.wall += after_ms
        self.now_ms += after_ms
        self.machine.apply(Entry(self.machine.applied_index() + 1, 3, self.now_ms, "n2", ()))  # life goes on
        self.said = []
        await self.upgrade._look()
        return self.said

    def close(self) -> None:
        self.upgrade.close()
        self.machine.close()


@pytest.fixture
async def leading(tmp_path: Path) -> AsyncIterator[Leading]:
    one = Leading(tmp_path, NEXT)
    yield one
    one.close()


async def test_a_leader_waits_for_the_last_voter_and_then_for_no_one(leading: Leading) -> None:
    assert await leading.look() == ["ReportRelease"]
    leading.peers(2, "n2")
    leading.peers(1, "n3")
    assert await leading.look(after_ms=20_000) == []
    leading.peers(2, "n3")
    assert await leading.look() == ["RaiseLevel"]
    assert leading.machine.level == 2
    assert await leading.look() == []


async def test_a_leader_that_has_just_come_hears_first_who_is_there(leading: Leading) -> None:
    leading.become(voters=("n1",), reached=())
    leading.say(ReportNode(node="n4", name="n4", facts=FACTS), "n4")
    leading.peers(1, "n4")
    assert await leading.look(after_ms=30 * HOUR_MS) == ["ReportRelease"]  # nobody was heard of since
    assert await leading.look(after_ms=9_000) == []
    leading.become(reached=("n4",))  # it comes just in time
    assert await leading.look(after_ms=2_000) == []
    leading.become(term=4, reached=())  # another election: from the start
    assert await leading.look(after_ms=9_000) == []
    assert await leading.look(after_ms=9_000) == []
    assert await leading.look(after_ms=2_000) == ["RaiseLevel"]


async def test_only_a_leader_raises_and_a_node_that_applies_nothing_says_nothing(leading: Leading) -> None:
    leading.peers(2, "n2", "n3")
    leading.become(role="follower", leader="n2")
    assert await leading.look() == ["ReportRelease"]
    assert await leading.look(after_ms=60_000) == []
    leading.become(role="leader", halted="upgrade this node")
    assert await leading.look(after_ms=7 * HOUR_MS) == []


async def test_a_release_is_said_again_every_six_hours(leading: Leading) -> None:
    leading.become(role="follower")
    assert await leading.look() == ["ReportRelease"]
    said = [await leading.look(after_ms=HOUR_MS // 2) for _ in range(24)]
    assert said.count(["ReportRelease"]) == 2
    assert said.count([]) == 22


async def test_what_is_refused_is_tried_again_but_not_at_once(leading: Leading) -> None:
    await leading.look()
    leading.peers(2, "n2", "n3")
    leading.refuses = "too-many-waiting"
    assert await leading.look(after_ms=20_000) == []
    leading.refuses = ""
    assert await leading.look(after_ms=29_000) == []
    assert await leading.look(after_ms=2_000) == ["RaiseLevel"]


async def test_a_report_that_did_not_get_through_is_said_at_the_next_look(leading: Leading) -> None:
    leading.refuses = "no-leader"
    assert await leading.look() == []
    leading.refuses = ""
    assert await leading.look() == ["ReportRelease"]


async def test_before_the_log_has_tables_nothing_is_said(tmp_path: Path) -> None:
    one = Leading(tmp_path, NEXT)
    empty = Machine(tmp_path / "empty.db", NEXT, QUIET, incarnation="test")
    upgrade = Upgrade(one, empty, tmp_path / "empty.db", "n9", one.clock, SystemChance(), QUIET)  # type: ignore[arg-type]
    one.become(role="observer", member="n9")
    await upgrade._look()
    assert one.said == []
    upgrade.close()
    empty.close()
    one.close()
