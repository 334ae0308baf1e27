"""Many want the last one of something, on several nodes at once: one gets it, and everybody knows who."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
from sim.write import audit
from sim.write.people import ADMIN, Reporter, founded
from sim.write.world import Gone, WriteHost, WriteWorld

from girginosvm.core.action import Command
from girginosvm.core.errors import Problem
from girginosvm.features.network.commands import AddNetwork
from girginosvm.features.vm.commands import CreateVm, DestroyVm
from girginosvm.features.vm.reports import ReportVm

ROUNDS = 100
CREATES = 200


@pytest.fixture
def world() -> Iterator[WriteWorld]:
    one = WriteWorld(1)
    yield one
    one.close()


def complete(world: WriteWorld, story: Coroutine[Any, Any, None]) -> None:
    async def whole() -> None:
        await founded(world)
        await story

    world.complete(whole())


async def asked(host: WriteHost, command: Command, key: str) -> str:
    """The machine, or the code of what is against it; asked again with the same key while that is not known."""
    while True:
        try:
            return str((await host.agent.ask(command, ADMIN, key=key, why=key)).value["vm"])
        except Gone:
            pass
        except Problem as problem:
            if problem.status < 500:
                return problem.code
        await asyncio.sleep(0.05)
        host = host.world.chance.choice(list(host.world.hosts.values()))


async def level(world: WriteWorld) -> None:
    """Once all have applied the same."""
    hosts = list(world.hosts.values())
    while len({host.memory.applied_index() for host in hosts}) > 1:  # noqa: ASYNC110 - time is virtual
        await asyncio.sleep(0.01)


# Two addresses, and the gateway has one.
LAST = AddNetwork(name="last", bridge="br-last", cidr="10.0.0.0/30", gateway="10.0.0.1")


def test_two_proposers_on_two_nodes_want_the_same_last_address_a_hundred_times(world: WriteWorld) -> None:
    wins: dict[str, int] = {}

    async def story() -> None:
        await world.hosts["n1"].agent.ask(LAST, ADMIN)
        # The leader is nearer to the log than anybody: the two are as far from it as each other.
        wins.update({name: 0 for name, host in world.hosts.items() if host is not world.leader()})
        for number in range(ROUNDS):
            await level(world)
            names = {f"{host}-{number}": world.hosts[host] for host in world.chance.sample(list(wins), 2)}
            answers = await asyncio.gather(*(asked(host, wish(name), name) for name, host in names.items()))
            await level(world)
            (made,) = (answer for answer in answers if answer != "addresses-exhausted")
            for host in world.hosts.values():
                (lease,) = host.database.rows(
                    "SELECT vm, name FROM lease JOIN vm ON vm.id = vm WHERE text = '10.0.0.2'"
                )
                assert lease["vm"] == made
            wins[lease["name"].partition("-")[0]] += 1
            await gone(world, made)

        await level(world)
        audit.replicas(world)

    complete(world, story())
    assert sum(wins.values()) == ROUNDS
    assert min(wins.values()) > ROUNDS // 10  # neither is the one that always wins


def wish(name: str) -> CreateVm:
    return CreateVm(name=name, image="tiny", memory_mb=64, network="last")


async def gone(world: WriteWorld, vm: str) -> None:
    """Destroyed, and taken apart by its node."""
    answer = await world.hosts["n1"].agent.ask(DestroyVm(vm=vm, purge=True, force=True), ADMIN)
    node = world.hosts[answer.value["node"]]
    report = ReportVm(vm=vm, node=node.name, state="gone", reached=2)
    assert await Reporter(world, node, 0).say(report) == {"vm": vm}


@pytest.mark.parametrize("change", ["kill", "power", "hand over", "cut off"])
def test_two_hundred_creates_for_the_last_address_make_one_machine_while_the_leader_changes(
    world: WriteWorld, change: str
) -> None:
    async def story() -> None:
        await world.hosts["n1"].agent.ask(LAST, ADMIN)
        await level(world)
        leader = world.leader()
        assert isinstance(leader, WriteHost)
        hosts = list(world.hosts.values())
        tasks = [
            asyncio.create_task(asked(hosts[number % 3], wish(f"m{number}"), f"m{number}")) for number in range(CREATES)
        ]
        world.later(world.chance.randrange(1, 3), lambda: depose(world, leader, change))  # before all is answered
        answers = await asyncio.gather(*tasks)
        await level(world)
        made = [answer for answer in answers if answer != "addresses-exhausted"]
        assert len(made) == 1
        async with asyncio.timeout(10):
            while world.leader() in (None, leader):  # noqa: ASYNC110 - all may be answered before another leads
                await asyncio.sleep(0.01)
        await level(world)  # its first entry, too
        for host in hosts:
            (lease,) = host.database.rows("SELECT vm FROM lease WHERE text = '10.0.0.2'")
            assert lease["vm"] == made[0]
            assert host.database.rows("SELECT count(*) AS n FROM vm") == [{"n": 1}]
        audit.replicas(world)
        audit.rows(hosts[0].database)

    complete(world, story())


def depose(world: WriteWorld, leader: WriteHost, how: str) -> None:
    """In the middle of it all; after a while it is back."""
    following = next(name for name in world.voters if name != leader.name)
    if how == "hand over":
        leader.member.hand_over(following)
        leader.wake()
    elif how == "cut off":
        for peer in world.hosts:
            world.network.part(leader.name, peer)
        world.later(1500, world.network.heal)
    else:
        leader.stop(power=how == "power")
        world.later(1500, leader.start)
