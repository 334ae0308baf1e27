"""Snapshots between real processes: a member joins after the log was compacted, and dies on the way, at every step."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from pathlib import Path

import pytest

from girginosvm.core.errors import Problem, Unknown
from tests.floors.raft import deaths
from tests.floors.raft.pki import Authority
from tests.floors.raft.trio import Trio


@pytest.fixture
def trio(tmp_path: Path) -> Trio:
    return Trio(Authority(tmp_path), tmp_path, joiners=1)


async def compacted(trio: Trio) -> int:
    """Write until nobody has the log's beginning any more; answers where the leader stands."""
    for number in range(140):
        await trio.propose("n1", b"%d" % number)
    async with asyncio.timeout(30):
        while True:
            found = [await trio.status(name) for name in trio.voters]
            if all(one is not None and one.first_index > 60 for one in found):
                return max(one.applied_index for one in found if one is not None)
            await asyncio.sleep(0.01)


async def test_a_fourth_member_joins_after_the_log_was_compacted_and_gets_a_vote(trio: Trio) -> None:
    async with trio.running():
        index = await compacted(trio)
        await trio.change("add", "n4")
        trio.start("n4")
        status = await trio.reaches("n4", index)
        assert status.first_index > 60
        await trio.change("nominate", "n4")
        await trio.change("promote", "n4")
        assert await trio.propose("n4", b"from the fourth") == b"did from the fourth"
        tally = await trio.tally()
        assert {tally[str(number)] for number in range(140)} == {1}
        trio.kill(await trio.leader())
        await trio.leader()
        assert (await trio.tally())["from the fourth"] == 1


async def dies(trio: Trio, name: str, step: str) -> None:
    """A process reaches a step, and is killed there."""
    trio.fuse.write_text(f"{name}/{step}")
    trio.start(name)
    process = trio.processes.pop(name)
    assert await asyncio.to_thread(process.wait, 60) == -signal.SIGKILL, step


async def fresh(trio: Trio) -> str:
    """Who leads now, and has made no snapshot yet."""
    old = await trio.leader()
    trio.kill(old)
    found = await trio.leader()
    trio.start(old)
    return found


async def makes(trio: Trio, step: str, index: int) -> str:
    """The leader is killed while it makes a snapshot for n4: which; empty when n4 has come to have one all the same."""
    leader = await fresh(trio)
    trio.fuse.write_text(f"{leader}/{step}")
    trio.start("n4")
    async with asyncio.timeout(60):
        while trio.processes[leader].poll() is None:
            status = await trio.status("n4")
            if status is not None and status.applied_index >= index:
                return ""
            await asyncio.sleep(0.02)
    assert trio.processes.pop(leader).returncode == -signal.SIGKILL
    return leader


async def unfinished(trio: Trio, index: int, step: str) -> set[str]:
    """n4 comes back, catches up, and takes part; what is left of the snapshot that it was taking in."""
    trio.start("n4")
    await trio.reaches("n4", index)
    for name in ("n4", "n1"):
        command = f"{step} {name}"[-20:].encode()
        assert await trio.propose(name, command) == b"did " + command[:16]
    await trio.reaches("n4", index + 2)
    left = incoming(trio, "n4")
    trio.kill("n4")
    shutil.rmtree(trio.folder / "n4")  # it has never voted: it may come again under its name
    return left


def incoming(trio: Trio, name: str) -> set[str]:
    return {one.name for one in (trio.folder / name / "snapshots").iterdir() if one.name.startswith("in")}


async def test_a_process_killed_at_any_step_of_a_snapshot_comes_back_and_it_is_finished(trio: Trio) -> None:
    async with trio.running():
        await compacted(trio)
        await trio.change("add", "n4")
        for step in deaths.MAKING:
            index = (await trio.reaches("n1", 0)).applied_index
            while (leader := await makes(trio, step, index)) == "":
                trio.kill("n4")  # another has led meanwhile, and sent it one
                shutil.rmtree(trio.folder / "n4")
            trio.start(leader)
            await trio.reaches(leader, index)
            trio.kill("n4")
            assert await unfinished(trio, index, step) == set(), step
        for step in deaths.INSTALLING:
            index = (await trio.reaches("n1", 0)).applied_index
            await dies(trio, "n4", step)
            assert await unfinished(trio, index, step) == set(), step
        for step in deaths.STARTING:
            index = (await trio.reaches("n1", 0)).applied_index
            await dies(trio, "n4", "machine.install:after")
            await dies(trio, "n4", step)
            assert await unfinished(trio, index, step) == set(), step


def lose(trio: Trio, name: str) -> None:
    """A member ends; its database is gone, and its journal begins after it."""
    trio.kill(name)
    (trio.folder / name / "tally.json").unlink()
    assert min(int(one.name.partition("-")[0]) for one in (trio.folder / name / "journal").iterdir()) > 1


async def whole_again(trio: Trio, name: str, index: int) -> bool:
    """It lacks nothing, has what the others have, and takes part."""
    status = await trio.reaches(name, index)
    try:
        assert await trio.propose(name, b"here again") == b"did here again"
    except Unknown:  # the line to a process ends once a snapshot has taken the place of entries, whoever asks meanwhile
        assert await trio.propose(name, b"here again") == b"did here again"
    mine, theirs = [
        json.loads(await trio.propose(one, b"tally")) for one in (name, next(iter(set(trio.processes) - {name})))
    ]
    assert {str(number) for number in range(140)} <= set(mine)
    assert {one: mine[one] for one in mine if one != "tally"} == {one: theirs[one] for one in mine if one != "tally"}
    assert incoming(trio, name) == set()
    return (status.lacking, status.halted) == ("", "")


@pytest.mark.parametrize("led", [False, True], ids=["a-follower", "the-leader"])
async def test_a_member_whose_database_is_gone_fetches_the_state_and_takes_part(trio: Trio, led: bool) -> None:
    async with trio.running():
        index = await compacted(trio)
        leader = await trio.leader()
        name = leader if led else next(one for one in trio.voters if one != leader)
        lose(trio, name)
        trio.start(name)
        assert await whole_again(trio, name, index)


async def test_of_two_members_the_one_with_the_longer_log_leads_until_it_has_the_state_from_the_other(
    trio: Trio,
) -> None:
    """The other one cannot be elected, and there is nobody else to ask."""
    async with trio.running():
        index = await compacted(trio)
        leader = await trio.leader()
        other, third = (one for one in trio.voters if one != leader)
        trio.kill(third)
        await trio.propose(leader, b"both have it")
        trio.processes[other].send_signal(signal.SIGSTOP)
        before = await trio.status(leader)
        with pytest.raises(Problem):
            await trio.clients[leader].propose(b"one has it", deadline_s=2.0)
        after = await trio.status(leader)
        assert before is not None
        assert after is not None
        assert after.last_index > before.last_index
        lose(trio, leader)
        trio.processes[other].send_signal(signal.SIGCONT)
        trio.start(leader)
        assert await whole_again(trio, leader, index)
        assert "one has it" in json.loads(await trio.propose(other, b"tally"))


async def test_a_member_killed_at_any_step_of_fetching_the_state_finishes_it(trio: Trio) -> None:
    async with trio.running():
        index = await compacted(trio)
        for step in deaths.INSTALLING:
            leader = await trio.leader()
            name = next(one for one in trio.voters if one != leader)
            lose(trio, name)
            await dies(trio, name, step)
            trio.start(name)
            assert await whole_again(trio, name, index)
