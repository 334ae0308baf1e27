"""One seed: people and nodes on the whole write path, the storms of the raft floor, and what has to hold at the end."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from sim.raft.faults import Faults
from sim.raft.invariants import Broken
from sim.write import audit
from sim.write.people import ADMIN, Book, Person, Reporter, founded
from sim.write.world import WriteWorld

from girginosvm.core.errors import Problem
from girginosvm.features.vm.commands import CreateVm

PEOPLE = 4
CALM_MS = 3000
STORM_MS = 4000
AFTER_MS = 20_000  # at most; longer than anybody insists


class Tally(NamedTuple):
    """What happened in a storm, in numbers."""

    acknowledged: int
    refused: int
    doubted: int
    repeated: int
    terms: int


def weather(seed: int) -> Tally:
    """One storm. Broken, with how to see it again."""
    one = WriteStorm(seed)
    try:
        one.run()
    except Exception as fault:
        faults = fault.exceptions if isinstance(fault, ExceptionGroup) else [fault]
        raise Broken(f"SEEDS=1 FIRST={seed}: {list(faults)!r}; faults: {'; '.join(one.faults)}") from fault
    book, terms = one.book, len(one.world.invariants.leaders)
    return Tally(len(book.done), len(book.refused), len(book.doubted), one.world.ledger.repeated, terms)


class WriteStorm(Faults):
    """``run`` raises Broken when anything that must hold does not."""

    world: WriteWorld

    def __init__(self, seed: int) -> None:
        self.book = Book()
        super().__init__(WriteWorld(seed, voters=3, observers=seed % 2), CALM_MS + STORM_MS)

    def run(self) -> None:
        try:
            self.world.complete(self._story())
        finally:
            self.world.close()

    def _clock(self) -> None:
        """By less than the 24 h that requests are remembered: a leader that starts with a clock beyond that would take
        a key for a new one, as documented."""
        self._some().clock.wall_offset_ms += self.world.chance.choice([-(10**7), 10**7, -5000, 5000])

    def trace(self) -> str:
        """Equal for equal runs."""
        book = self.book
        told = (sorted(book.done), sorted(book.refused.items()), sorted(book.unknown), sorted(book.undone))
        return f"{self.world.trace()} {self.world.ledger.last} {told}"

    async def _story(self) -> None:
        world = self.world
        await founded(world)
        self.world.later(50, self.strike)
        async with asyncio.TaskGroup() as group:
            for number in range(PEOPLE):
                group.create_task(Person(world, self.book, f"p{number}", self.until_ms).run())
            for host in world.hosts.values():
                group.create_task(Reporter(world, host, self.until_ms).run())
            group.create_task(self._calmed())
        await self._level()
        audit.replicas(world)
        audit.books(self.book, world.ledger)
        audit.rows(world.hosts["n1"].database)

    async def _calmed(self) -> None:
        await asyncio.sleep((self.until_ms - self.world.now) / 1000)
        self.calm()

    async def _level(self) -> None:
        """After the storm a write is possible, and everybody has it."""
        world = self.world
        end_ms = world.now + AFTER_MS
        command = CreateVm(name="after", image="missing")
        while True:
            try:
                await world.hosts["n1"].agent.ask(command, ADMIN, why="after")
            except Problem as problem:
                if problem.code == "image-missing":
                    break
            if world.now > end_ms:
                raise Broken("no write is possible after the storm")
            await asyncio.sleep(0.05)
        while len({host.memory.applied_index() for host in world.hosts.values()}) > 1:
            if world.now > end_ms:
                indexes = {name: host.memory.applied_index() for name, host in world.hosts.items()}
                raise Broken(f"some stay behind: {indexes}")
            await asyncio.sleep(0.05)
