"""Three real processes, mutual TLS, real disks."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from girginosvm.core.errors import Busy, NoQuorum, Problem, Unknown
from tests.floors.raft.pki import Authority
from tests.floors.raft.trio import Trio


class Killed(Trio):
    """The leader's process is killed."""

    def strike(self, leader: str) -> None:
        self.kill(leader)


class Unplugged(Trio):
    """All three lose power, and what was not flushed with it, in pieces; two come back at once."""

    module = "tests.floors.raft.losing"

    def strike(self, leader: str) -> None:
        for name in list(self.processes):
            self.kill(name)
        for name in self.names:
            if name != leader:
                self.start(name)


@pytest.fixture
def trio(tmp_path: Path) -> Trio:
    return Trio(Authority(tmp_path), tmp_path)


class Caller:
    """Proposes one command after the other, each once, wherever a member is up; keeps what became of each."""

    def __init__(self, trio: Trio, number: int) -> None:
        self.trio = trio
        self.number = number
        self.did: list[str] = []
        self.refused: list[str] = []
        self.unknown: list[str] = []

    async def run(self) -> None:
        for count in itertools.count():
            names = sorted(self.trio.processes)
            client = self.trio.clients[names[count % len(names)]]
            command = f"{self.number}.{count}"
            try:
                outcome = await client.propose(command.encode())
                assert outcome == b"did " + command.encode()
                self.did.append(command)
            except Unknown:
                self.unknown.append(command)
            except (Busy, NoQuorum):
                self.refused.append(command)
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.soak)])
@pytest.mark.parametrize("kind", [Killed, Unplugged])
async def test_killed_leaders_lose_no_acknowledged_write_and_no_command_runs_twice(
    tmp_path: Path, kind: type[Killed | Unplugged], kills: int
) -> None:
    trio = kind(Authority(tmp_path), tmp_path)
    async with trio.running():
        callers = [Caller(trio, number) for number in range(8)]
        tasks = [asyncio.create_task(caller.run()) for caller in callers]
        for _ in range(kills):
            before = sum(len(caller.did) for caller in callers)
            leader = await trio.leader()
            trio.strike(leader)
            async with asyncio.timeout(20):
                while sum(len(caller.did) for caller in callers) < before + 50:  # noqa: ASYNC110 - a bounded look
                    await asyncio.sleep(0.01)
            trio.start(leader)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        times = await trio.tally()
    did = [command for caller in callers for command in caller.did]
    assert len(did) > 50 * kills
    assert {times.get(command, 0) for command in did} == {1}
    assert {times.get(command, 0) for caller in callers for command in caller.refused} <= {0}
    assert {times.get(command, 0) for caller in callers for command in caller.unknown} <= {0, 1}


async def test_without_a_majority_nothing_is_written_and_that_is_said(trio: Trio) -> None:
    async with trio.running():
        alive = await trio.leader()
        for name in trio.names:
            if name != alive:
                trio.kill(name)
        with pytest.raises(Problem) as caught:
            await trio.clients[alive].propose(b"alone")
        assert isinstance(caught.value, NoQuorum | Unknown)
        status = await trio.status(alive)
        assert status is not None
        assert (status.role, status.reached) == ("follower", ())
        for name in trio.names:
            if name != alive:
                trio.start(name)
        times = await trio.tally()
        assert times.get("alone", 0) <= 1


async def test_every_member_takes_writes_and_tells_of_them(trio: Trio) -> None:
    async with trio.running():
        for name in trio.names:
            await trio.rejoined(name)
        for name in trio.names:
            assert await trio.clients[name].propose(b"from " + name.encode()) == b"did from " + name.encode()
        assert await trio.tally() == {"from n1": 1, "from n2": 1, "from n3": 1, "tally": 1}
        leader = await trio.leader()
        statuses = [await trio.status(name) for name in trio.names]
        assert {one.member for one in statuses if one and one.role == "leader"} <= {leader}
        assert sorted(one.role for one in statuses if one and one.member != leader) == ["follower", "follower"]
        assert {one.voters for one in statuses if one} == {("n1", "n2", "n3")}
