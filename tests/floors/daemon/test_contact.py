"""The age that every read carries: true, cheap, and growing while nobody answers."""

from __future__ import annotations

import asyncio

import pytest
from floors.raft.book import FakeClock

from girginosvm.core.errors import Busy
from girginosvm.daemon.contact import FRESH_MS, Contact
from girginosvm.features.node.plan import AWAY_MS
from girginosvm.raft.standing import Status


class RaftProcess:
    """What the socket would answer."""

    def __init__(self) -> None:
        self.age_ms: int | None = 0
        self.away = False
        self.asked = 0
        self.goes = asyncio.Event()
        self.goes.set()

    async def status(self) -> Status:
        self.asked += 1
        await self.goes.wait()
        if self.away:
            raise Busy("raft-away", "the raft process of this node does not answer")
        return Status("n1", 1, 1, 1, 1, 0, "", 0, leader_age_ms=self.age_ms)


@pytest.fixture
def raft() -> RaftProcess:
    return RaftProcess()


@pytest.fixture
def clock() -> FakeClock:
    clock = FakeClock()
    clock.mono = 50_000
    return clock


async def test_the_raft_process_is_asked_once_in_a_while_and_counted_on_from(raft: RaftProcess, clock: FakeClock):
    contact = Contact(raft.status, clock)
    raft.age_ms = 30
    assert await contact.age_ms() == 30
    clock.mono += FRESH_MS - 1
    assert await contact.age_ms() == 30 + FRESH_MS - 1
    assert raft.asked == 1
    clock.mono += 1
    raft.age_ms = 5
    assert await contact.age_ms() == 5
    assert raft.asked == 2


async def test_many_reads_at_once_are_one_question(raft: RaftProcess, clock: FakeClock):
    contact = Contact(raft.status, clock)
    assert await asyncio.gather(*(contact.age_ms() for _ in range(50))) == [0] * 50
    assert raft.asked == 1


async def test_the_age_grows_while_the_raft_process_is_away(raft: RaftProcess, clock: FakeClock):
    contact = Contact(raft.status, clock)
    await contact.age_ms()
    raft.away = True
    clock.mono += 9_000
    assert await contact.age_ms() == 9_000
    clock.mono += 1_000
    assert await contact.age_ms() == 10_000


async def test_a_raft_process_that_hangs_holds_up_one_read_for_a_moment_and_no_other(
    raft: RaftProcess, clock: FakeClock
):
    contact = Contact(raft.status, clock)
    await contact.age_ms()
    raft.goes.clear()
    clock.mono += 9_000
    async with asyncio.timeout(2):
        assert await contact.age_ms() == 9_000
    clock.mono += 1_000
    async with asyncio.timeout(0.1):
        assert [await contact.age_ms() for _ in range(100)] == [10_000] * 100
    raft.goes.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await contact.age_ms() == 0


async def test_without_any_contact_there_is_no_number(raft: RaftProcess, clock: FakeClock):
    contact = Contact(raft.status, clock)
    raft.age_ms = None
    assert await contact.age_ms() is None


async def test_a_raft_process_that_began_anew_does_not_make_older_contact_undone(raft: RaftProcess, clock: FakeClock):
    contact = Contact(raft.status, clock)
    await contact.age_ms()
    raft.age_ms = None
    clock.mono += 4_000
    assert await contact.age_ms() == 4_000


async def test_a_node_is_cut_off_once_no_leader_was_heard_for_some_seconds(raft: RaftProcess, clock: FakeClock):
    contact = Contact(raft.status, clock)
    assert not await contact.cut_off()
    raft.away = True
    clock.mono += AWAY_MS - 1
    assert not await contact.cut_off()
    clock.mono += 1
    assert await contact.cut_off()


async def test_a_node_that_has_heard_no_leader_yet_is_cut_off(raft: RaftProcess, clock: FakeClock):
    raft.age_ms = None
    assert await Contact(raft.status, clock).cut_off()
