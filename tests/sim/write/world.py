"""The whole write path in virtual time: on each host an agent with the real executor, the real raft node, the real
state machine on SQLite. Virtual are the clock, the network, the disks, and the socket between agent and raft process.
"""

from __future__ import annotations

import asyncio
import math
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from sim.raft.timeline import Chance
from sim.raft.world import Host, World
from sim.write.database import Database
from sim.write.ledger import Ledger

from girginosvm.core import codec
from girginosvm.core.access import Actor, Role
from girginosvm.core.action import Command
from girginosvm.core.clock import new_request_id
from girginosvm.core.entries import Applied, Entry
from girginosvm.core.errors import Busy, Problem, Unknown
from girginosvm.daemon.execute import Answer, Executor
from girginosvm.daemon.secrets import ClusterKey
from girginosvm.daemon.voice import Voice
from girginosvm.features.registry import REGISTRY
from girginosvm.state.reader import Readers
from tests.sim.world import SimLoop

MEMORY = Path("/dev/shm")  # where a flush costs nothing
DEADLINE_S = 15.0  # as long as an agent waits for its raft process


class Gone(Exception):
    """The agent that was asked has died: whoever asked it knows nothing."""


class Agent:
    """One life of a host's agent. It outlives its raft process, not the power."""

    def __init__(self, host: WriteHost) -> None:
        self.host = host
        self._under_way: dict[asyncio.Future[bytes], None] = {}  # in order: a set has the order of addresses
        self._tasks: dict[asyncio.Task[Answer], None] = {}
        world = host.world
        self._readers = Readers(host.database.path)
        self._executor = Executor(
            REGISTRY, self._readers, self._propose, key=ClusterKey(b"k" * 32, chance=Chance(world)), hash_password=str,
            clock=host.clock, chance=Chance(world), fresh=self._fresh,
        )  # fmt: skip
        node = Actor(kind="node", id=f"node:{host.name}", name=host.name, role=Role.ADMIN)
        self.voice = Voice(lambda command: self.ask(command, node))
        self.voice.begin(host.memory.applied_index())

    async def ask(self, command: Command, actor: Actor, *, key: str = "", why: str = "") -> Answer:
        """What the front desk does with a request. Gone, or what the executor raises."""
        if not self.host.database.ready:  # an agent opens no door before
            raise Gone
        task = asyncio.get_running_loop().create_task(self._executor.command(command, actor, key=key, why=why))
        self._tasks[task] = None
        await asyncio.wait([task])
        self._tasks.pop(task, None)
        if task.cancelled():
            raise Gone
        return task.result()

    async def migrate(self) -> None:
        """The tables, as the raft process brings them about before it serves anybody."""
        database, chance = self.host.database, Chance(self.host.world)
        request_id = new_request_id(self.host.clock, chance, not_before_ms=database.last_stamp_ms())
        command = database.machine.migration(request_id, self.host.name)
        if command is not None:
            outcome = codec.outcome(await self._propose(command))
            assert outcome.problem is None, outcome.problem

    def lost(self) -> None:
        """The raft process has gone."""
        for future in self._under_way:
            if not future.done():
                future.set_exception(Unknown("connection-lost", "the raft process went away"))

    def die(self) -> None:
        """Everything that it was doing ends where it is."""
        for task in self._tasks:
            task.cancel()
        self._readers.close()

    async def _propose(self, command: bytes) -> bytes:
        return await self._asked(lambda answer: self.host.member.propose(command, answer))

    async def _fresh(self) -> None:
        await self._asked(lambda answer: self.host.member.read(lambda problem: answer(problem or b"")))

    async def _asked(self, question: Callable[[Callable[[bytes | Problem], None]], None]) -> bytes:
        if not self.host.up:
            raise Busy("raft-away", "the raft process of this node does not answer", retry_after_s=1)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._under_way[future] = None

        def answer(outcome: bytes | Problem) -> None:
            if not future.done() and isinstance(outcome, Problem):
                future.set_exception(outcome)
            elif not future.done():
                assert isinstance(outcome, bytes)
                future.set_result(outcome)

        question(answer)
        self.host.wake()
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await future
        except TimeoutError as fault:
            raise Unknown("no-answer", "the raft process did not answer in time") from fault
        finally:
            self._under_way.pop(future, None)


class WriteHost(Host):
    """A host with its agent."""

    world: WriteWorld
    agent: Agent

    @property
    def database(self) -> Database:
        assert isinstance(self.memory, Database)
        return self.memory

    def start(self) -> None:
        super().start()
        if not hasattr(self, "agent"):
            self.agent = Agent(self)

    def stop(self, *, power: bool) -> None:
        was_up = self.up
        if was_up:
            self.agent.lost()
        also = was_up and (power or self.world.chance.random() < 0.3)
        if also:
            self.agent.die()
        super().stop(power=power)
        if also:
            self.agent = Agent(self)


class WriteWorld(World):
    """Hosts, their databases in a folder that ``close`` takes away, and what their state machines did (``ledger``)."""

    hosts: dict[str, WriteHost]  # type: ignore[assignment]

    def __init__(self, seed: int, *, voters: int = 3, observers: int = 0) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="girginosvm-sim-", dir=MEMORY if MEMORY.is_dir() else None))
        self.ledger = Ledger()
        super().__init__(seed, voters=voters, observers=observers)
        self.loop = WorldLoop(self)

    def host(self, name: str) -> Host:
        return WriteHost(self, name)

    def memory(self, name: str) -> Database:  # type: ignore[override]
        def watch(database: Database, entry: Entry, applied: Applied) -> None:
            self.ledger.write(name, entry, applied, database.fingerprint)

        return Database(self._home / name, watch)

    def complete(self, story: Coroutine[Any, Any, None]) -> None:
        """The story, to its end."""
        with self.core_clock():
            self.loop.run_until_complete(story)

    def close(self) -> None:
        """Everything ends, also after a break in the middle."""
        self.forget()
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.wait(left))
        for host in self.hosts.values():
            host.agent.die()
            host.database.close()
        self.loop.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def pass_ms(self, most: int) -> None:
        """The next thing that happens within ``most`` ms; otherwise so much time passes."""
        until = self.now + most
        if not self.happen(until):
            self.now = until


class WorldLoop(SimLoop):
    """An event loop in the world's time: while no task can run, the world goes on."""

    def __init__(self, world: WriteWorld) -> None:
        self._world = world
        super().__init__()

    def _pass(self, seconds: float) -> None:
        self._world.pass_ms(math.ceil(seconds * 1000 - 1e-6))

    def time(self) -> float:
        return self._world.now / 1000
