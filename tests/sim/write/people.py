"""Who asks: people who create, start, stop and destroy, on whichever host answers, and nodes that report.

A request that had no answer is said again with its Idempotency-Key, often to another host. Without a key it is not: a
second one could be a second machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sim.raft.invariants import Broken
from sim.write.world import Gone, WriteHost, WriteWorld

from girginosvm.core.access import Actor, Role
from girginosvm.core.action import Command
from girginosvm.core.errors import Busy, NoQuorum, Problem, Unknown
from girginosvm.core.host import Acceleration, HostFacts
from girginosvm.core.units import GIB
from girginosvm.daemon.execute import Answer
from girginosvm.features.cluster.commands import FoundCluster
from girginosvm.features.image.commands import RecordImage, RemoveImage
from girginosvm.features.network.commands import AddNetwork, RemoveNetwork
from girginosvm.features.node.commands import ReportNode
from girginosvm.features.storage.commands import ForgetDisk, ReportPool
from girginosvm.features.vm.commands import CreateVm, DestroyVm
from girginosvm.features.vm.power import RebootVm, StartVm, StopVm
from girginosvm.features.vm.reports import ReportVm

ADMIN = Actor(kind="local", id="local", name="root", role=Role.ADMIN)
# What a command itself says when something has to come first: done with, though it is "not yet".
_FROM_THE_LOG = ("no-node", "pool-unknown")
PATIENCE_MS = 6000


class Book:
    """What people were told, by the ``why`` of each request."""

    def __init__(self) -> None:
        self.done: dict[str, Answer] = {}
        self.refused: dict[str, str] = {}  # with a problem; the code
        self.doubted: set[str] = set()  # some try had no answer
        self.undone: set[str] = set()  # surely not done, and never said again
        self.unknown: set[str] = set()  # never answered


def facts(name: str) -> HostFacts:
    """Of a host small enough that it fills."""
    return HostFacts(
        hostname=name, cpus=8, cpu_model="sim", memory_bytes=16 * GIB, kernel="6", os="sim", libvirt="9", qemu="7",
        acceleration=Acceleration.TCG, acceleration_reason="a simulation",
    )  # fmt: skip


class Person:
    """One request after the other, until ``until_ms``."""

    def __init__(self, world: WriteWorld, book: Book, name: str, until_ms: int) -> None:
        self.world = world
        self.book = book
        self.name = name
        self.until_ms = until_ms
        self._count = 0

    async def run(self) -> None:
        chance = self.world.chance
        while self.world.now < self.until_ms:
            host = self._host()
            command = self._wish(host) if host is not None else None
            if command is not None:
                await self.insist(command)
            await asyncio.sleep(chance.randrange(5, 120) / 1000)

    async def insist(self, command: Command) -> None:
        """Ask until it is known what came of it."""
        self._count += 1
        why = f"{self.name}.{self._count}"
        key = why if self.world.chance.random() < 0.8 else ""
        give_up_ms = self.world.now + PATIENCE_MS
        while self.world.now < give_up_ms:
            host = self._host()
            if host is not None and await self._tried(host, command, key, why):
                return
            await asyncio.sleep(self.world.chance.randrange(1, 400) / 1000)
        self.book.unknown.add(why)

    async def _tried(self, host: WriteHost, command: Command, key: str, why: str) -> bool:
        """It is known now, or has to be left unknown."""
        try:
            answer = await host.agent.ask(command, ADMIN, key=key, why=why)
        except (Gone, Unknown):
            self.book.doubted.add(why)
        except Problem as problem:
            if not isinstance(problem, Busy | NoQuorum) or problem.code in _FROM_THE_LOG:
                self.book.refused[why] = problem.code
                return True
            if why not in self.book.doubted | set(self.book.done) and self.world.chance.random() < 0.4:
                self.book.undone.add(why)
                return True
        else:
            first = self.book.done.setdefault(why, answer)
            if (first.value, first.index) != (answer.value, answer.index):
                raise Broken(f"{why} was answered with {first}, then with {answer}")
            # Some ask once more, elsewhere: the answer was lost on its way to them.
            return not key or self.world.chance.random() < 0.8
        if why in self.book.doubted and not key:
            self.book.unknown.add(why)
            return True
        return False

    def _host(self) -> WriteHost | None:
        hosts = [host for host in self.world.hosts.values() if host.database.ready and not host.paused]
        return self.world.chance.choice(hosts) if hosts else None

    def _wish(self, host: WriteHost) -> Command | None:
        """What this person wants, from what that host shows."""
        wishes: tuple[tuple[Callable[[WriteHost], Command | None], int], ...] = (
            (self._create, 8), (self._power, 5), (self._destroy, 4), (self._network, 2), (self._image, 1),
            (self._forget, 1),
        )  # fmt: skip
        kinds, weights = zip(*wishes, strict=True)
        wish: Callable[[WriteHost], Command | None] = self.world.chance.choices(kinds, weights)[0]
        return wish(host)

    def _pick(self, host: WriteHost, sql: str) -> Any:
        found = host.database.rows(sql)
        return next(iter(self.world.chance.choice(found).values())) if found else None

    def _create(self, host: WriteHost) -> Command:
        network = self._pick(host, "SELECT name FROM network ORDER BY name") or "default"
        # Names are few: two people often want the same one.
        name = f"m{self.world.chance.randrange(40)}"
        return CreateVm(
            name=name, image="tiny", network=network, memory_mb=self.world.chance.choice((64, 1024, 3000)),
            disk_gb=self.world.chance.choice((0, 5)), start=self.world.chance.random() < 0.7,
        )  # fmt: skip

    def _power(self, host: WriteHost) -> Command | None:
        vm = self._pick(host, "SELECT id FROM vm ORDER BY id")
        if vm is None:
            return None
        return self.world.chance.choice((StartVm(vm=vm), StopVm(vm=vm, force=True), RebootVm(vm=vm)))

    def _destroy(self, host: WriteHost) -> Command | None:
        vm = self._pick(host, "SELECT name FROM vm ORDER BY id")
        return DestroyVm(vm=vm, purge=self.world.chance.random() < 0.7, force=True) if vm else None

    def _network(self, host: WriteHost) -> Command:
        name = self._pick(host, "SELECT name FROM network WHERE name <> 'default' ORDER BY id")
        if name and self.world.chance.random() < 0.4:
            return RemoveNetwork(network=name)
        number = self.world.chance.randrange(30)
        return AddNetwork(name=f"n{number}", bridge=f"br{number}", cidr=f"10.{number}.0.0/29")

    def _image(self, host: WriteHost) -> Command | None:
        name = self._pick(host, "SELECT name FROM image ORDER BY id")
        return RemoveImage(image=name) if name else None

    def _forget(self, host: WriteHost) -> Command | None:
        disk = self._pick(host, "SELECT path FROM disk_kept ORDER BY id")
        return ForgetDisk(disk=disk) if disk else None


class Reporter:
    """A host's reconcilers, as far as the log hears of them; and once in a while it speaks for another host."""

    def __init__(self, world: WriteWorld, host: WriteHost, until_ms: int) -> None:
        self.world = world
        self.host = host
        self.until_ms = until_ms

    async def run(self) -> None:
        chance = self.world.chance
        while self.world.now < self.until_ms:
            await asyncio.sleep(chance.randrange(50, 400) / 1000)
            if self.host.database.ready:
                for command in self._news():
                    await self.say(command)
            if chance.random() < 0.1:
                await self._speak_for_another()

    async def say(self, command: Command) -> object:
        """The answer's value, or None when nobody took it."""
        try:
            answer = await self.host.agent.voice.say(command)
        except (Gone, Problem):
            return None
        assert isinstance(answer, Answer)
        return answer.value

    def _news(self) -> list[Command]:
        name, chance = self.host.name, self.world.chance
        news: list[Command] = []
        sql = """SELECT vm.id, vm.generation, vm.doomed, vm.power FROM vm LEFT JOIN vm_found ON vm_found.vm = vm.id
                 WHERE vm.node = ? AND ifnull(vm_found.generation, 0) < vm.generation ORDER BY vm.id"""
        for row in self.host.database.rows(sql, name)[:4]:
            state = "gone" if row["doomed"] else "running" if row["power"] == "on" else "stopped"
            news.append(ReportVm(vm=row["id"], node=name, state=state, reached=row["generation"]))
        if chance.random() < 0.2:
            news.append(ReportNode(node=name, name=name, facts=facts(name)))
        if chance.random() < 0.2:
            news += [self.pool(row["id"]) for row in self.host.database.rows("SELECT id FROM pool ORDER BY id")]
        if chance.random() < 0.1:
            news.append(self.image(f"image{chance.randrange(4)}"))
        return news

    def pool(self, pool: str) -> ReportPool:
        """Room for some twenty machines."""
        return ReportPool(pool=pool, node=self.host.name, capacity_bytes=64 * GIB, free_bytes=64 * GIB,
                          allocated_bytes=0)  # fmt: skip

    def image(self, name: str) -> RecordImage:
        """One that this host has."""
        return RecordImage(name=name, node=self.host.name, source="upload", sha256="0" * 64, size_bytes=1,
                           virtual_bytes=GIB, format="qcow2", state="ready")  # fmt: skip

    async def _speak_for_another(self) -> None:
        other = self.world.chance.choice([name for name in self.world.hosts if name != self.host.name])
        try:
            await self.host.agent.voice.say(ReportNode(node=other, name="lie", facts=facts("lie")))
        except (Gone, Problem):
            return
        else:
            raise Broken(f"{self.host.name} has spoken for {other}, and was believed")


async def founded(world: WriteWorld) -> None:
    """All hosts up, and in the database tables, a pool, a network, every node's word and an image."""
    world.start()
    first = world.hosts["n1"]
    speaker = Reporter(world, first, 0)
    await asyncio.sleep(1.5)
    await first.agent.migrate()
    await asyncio.sleep(0.2)
    await speaker.say(FoundCluster(pool_path="/srv"))
    pool = first.database.rows("SELECT id FROM pool")[0]["id"]
    await asyncio.sleep(0.2)
    for host in world.hosts.values():
        reporter = Reporter(world, host, 0)
        for command in (ReportNode(node=host.name, name=host.name, facts=facts(host.name)), reporter.pool(pool)):
            if await reporter.say(command) is None:
                raise Broken(f"{host.name} could not report in the calm before the storm")
    await speaker.say(speaker.image("tiny"))
