"""Which lines there are between real processes, while votes come and go and members die."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from girginosvm.raft.mesh import useful
from tests.floors.raft.pki import Authority
from tests.floors.raft.trio import Trio

WATCHERS = 4


@pytest.fixture
def trio(tmp_path: Path) -> Trio:
    return Trio(Authority(tmp_path), tmp_path, joiners=WATCHERS)


async def woven(trio: Trio, *voters: str) -> None:
    """Once every process reaches those whom the rule says, and nobody else; AssertionError after 30 s."""
    running = sorted(trio.processes)
    wanted = {
        name: tuple(one for one in running if one != name and useful(name, one, frozenset(voters))) for name in running
    }
    found: dict[str, tuple[str, ...] | None] = {}
    with contextlib.suppress(TimeoutError):  # what there is by then is compared below
        async with asyncio.timeout(30):
            while found != wanted:
                statuses = {name: await trio.status(name) for name in running}
                found = {name: one.reached if one is not None else None for name, one in statuses.items()}
                await asyncio.sleep(0.02)
    assert found == wanted


async def unwatched(trio: Trio, name: str) -> tuple[str, ...]:
    status = await trio.status(name)
    assert status is not None
    return status.unwatched


async def test_lines_follow_the_votes_and_observers_have_none_to_each_other(trio: Trio) -> None:
    async with trio.running():
        for name in trio.joiners:
            await trio.change("add", name)
            trio.start(name)
        await woven(trio, "n1", "n2", "n3")
        assert await unwatched(trio, "n4") == ("n5", "n6", "n7")
        await trio.change("nominate", "n5")
        await woven(trio, "n1", "n2", "n3", "n5")  # it may become a voter without anybody's knowing
        await trio.change("promote", "n5")
        await woven(trio, "n1", "n2", "n3", "n5")
        assert await unwatched(trio, "n5") == ()
        index = (await trio.reaches("n5", 0)).commit_index
        for name in trio.joiners:
            await trio.reaches(name, index)
            assert await trio.propose(name, f"from {name}".encode()) == f"did from {name}".encode()
        leader = await trio.leader()
        given = next(name for name in trio.voters if name != leader)
        await trio.change("demote", given)
        await woven(trio, *{*trio.voters, "n5"} - {given})
        assert await unwatched(trio, given) == ("n4", "n6", "n7")


async def test_an_observer_that_was_away_while_another_got_a_vote_is_reached_by_it(trio: Trio) -> None:
    """It knows that one as an observer, and looks for the voters that it knows: the new one looks for it."""
    async with trio.running():
        for name in ("n4", "n5"):
            await trio.change("add", name)
            trio.start(name)
        await woven(trio, "n1", "n2", "n3")
        trio.kill("n4")
        await trio.change("nominate", "n5")
        await trio.change("promote", "n5")
        trio.start("n4")
        await woven(trio, "n1", "n2", "n3", "n5")
        trio.kill(await trio.leader())
        assert await trio.propose("n4", b"after") == b"did after"


async def test_a_voter_that_dies_and_comes_back_is_found_by_everybody_at_once(trio: Trio) -> None:
    async with trio.running():
        for name in trio.joiners:
            await trio.change("add", name)
            trio.start(name)
        await woven(trio, *trio.voters)
        for name in trio.voters:
            trio.kill(name)
            trio.start(name)
            await woven(trio, *trio.voters)
            assert await trio.propose(name, b"back") == b"did back"
