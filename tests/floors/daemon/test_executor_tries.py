"""What the executor makes of refusals and silence: nothing that may be done is said not to be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from girginosvm.core.clock import SystemChance, SystemClock
from girginosvm.core.errors import Busy, Missing, NoQuorum, Problem, Unknown
from girginosvm.daemon.execute import Executor
from girginosvm.daemon.secrets import ClusterKey
from girginosvm.features.network.commands import AddNetwork, RemoveNetwork
from girginosvm.features.registry import REGISTRY
from girginosvm.state.reader import Readers
from tests.features.engine import ADMIN, Engine

NETWORK = AddNetwork(name="n1", bridge="br1", cidr="10.1.0.0/29")


class Log:
    """An engine behind an executor. Each try takes the next of ``fates``: a problem to raise, and whether the command
    went into the log before. ``behind`` is what arrives only once somebody asks for the newest."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.fates: list[tuple[bool, Problem]] = []
        self.sent: list[bytes] = []
        self.behind: list[bytes] = []
        self.asked = 0
        self.readers = Readers(self.engine.path)
        self.executor = Executor(
            REGISTRY, self.readers, self._propose, key=ClusterKey(bytes(32), chance=SystemChance()), hash_password=str,
            clock=SystemClock(), chance=SystemChance(), fresh=self._fresh,
        )  # fmt: skip

    async def _propose(self, command: bytes) -> bytes:
        self.sent.append(command)
        done, problem = self.fates.pop(0) if self.fates else (True, None)
        outcome = self.engine.append(command) if done else b""
        if problem is not None:
            raise problem
        return outcome

    async def _fresh(self) -> None:
        self.asked += 1
        for command in self.behind:
            self.engine.append(command)
        self.behind.clear()

    def close(self) -> None:
        self.readers.close()
        self.engine.close()


@pytest.fixture
async def log(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Log]:
    real = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: real(0))
    one = Log()
    yield one
    one.close()


@pytest.mark.parametrize("refusal", [Busy("raft-away", "away"), NoQuorum("no-leader", "no leader")])
async def test_after_a_try_without_an_answer_no_refusal_says_that_nothing_was_done(log: Log, refusal: Problem) -> None:
    log.fates = [(True, Unknown("connection-lost", "lost")), *[(False, refusal)] * 4]
    with pytest.raises(Unknown):
        await log.executor.command(NETWORK, ADMIN)
    assert len(set(log.sent)) == 1  # the same request id each time


@pytest.mark.parametrize("refusal", [Busy("raft-away", "away"), NoQuorum("no-leader", "no leader")])
async def test_the_first_refusal_is_told_at_once(log: Log, refusal: Problem) -> None:
    log.fates = [(False, refusal)]
    with pytest.raises(type(refusal)):
        await log.executor.command(NETWORK, ADMIN)
    assert len(log.sent) == 1


async def test_a_refusal_after_doubt_is_followed_by_the_answer_when_there_is_one(log: Log) -> None:
    log.fates = [(True, Unknown("connection-lost", "lost")), (False, NoQuorum("no-leader", "no leader"))]
    answer = await log.executor.command(NETWORK, ADMIN)
    assert answer.repeated
    assert len(log.engine.rows("SELECT 1 FROM network")) == 1


@pytest.fixture
async def other(log: Log) -> AsyncIterator[Log]:
    """Another node, which has nothing yet of what ``log`` was sent."""
    one = Log()
    one.behind = log.sent
    yield one
    one.close()


async def test_a_node_that_is_behind_looks_again_before_it_says_missing(log: Log, other: Log) -> None:
    await log.executor.command(NETWORK, ADMIN)
    await other.executor.command(RemoveNetwork(network="n1"), ADMIN)
    assert other.asked == 1
    with pytest.raises(Missing):
        await other.executor.command(RemoveNetwork(network="n2"), ADMIN)


async def test_a_node_that_is_behind_finds_the_answer_to_a_request_that_is_done(log: Log, other: Log) -> None:
    await log.executor.command(NETWORK, ADMIN)
    first = await log.executor.command(RemoveNetwork(network="n1"), ADMIN, key="once")
    again = await other.executor.command(RemoveNetwork(network="n1"), ADMIN, key="once")
    assert (again.repeated, again.value, again.index) == (True, first.value, first.index)
    assert other.sent == []
