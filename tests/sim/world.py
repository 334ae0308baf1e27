"""A node in one process, on its own time: real commands on a real database, real reconcilers, a fake host. Everything
random comes from one seed, and nothing waits for a clock or a thread, so a seed is replayed exactly."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from girginosvm.core.action import Command
from girginosvm.core.errors import Busy, Problem, Unknown
from girginosvm.core.log import Log
from girginosvm.core.settings import Settings
from girginosvm.daemon.reconcile import Loop
from girginosvm.features.image.reconciler import ImageReconciler
from girginosvm.features.network.reconciler import NetworkReconciler
from girginosvm.features.node.reconciler import NodeReconciler
from girginosvm.features.site import Site
from girginosvm.features.storage.reconciler import StorageReconciler
from girginosvm.features.vm.reconciler import VmReconciler
from girginosvm.hypervisor.fake.host import FakeHost
from tests.features.engine import NODE, START_MS, Engine
from tests.scenarios import audit


class _Selector(selectors.SelectSelector):
    """Waiting is a jump of the clock."""

    def __init__(self, pass_s: Callable[[float], None]) -> None:
        super().__init__()
        self._pass_s = pass_s

    def select(self, timeout: float | None = None) -> list[Any]:
        found = super().select(0)
        if not found and timeout:
            self._pass_s(timeout)
        assert found or timeout is not None, "nothing will ever happen again"
        return found


class SimLoop(asyncio.SelectorEventLoop):
    """Virtual time; what belongs into a thread is done at once."""

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_Selector(self._pass))

    def _pass(self, seconds: float) -> None:
        self._now_s += seconds

    def time(self) -> float:
        return self._now_s

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> Any:
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as fault:
            future.set_exception(fault)
        return future


class SimClock:
    """The loop's time, as the product asks for it."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop

    def wall_ms(self) -> int:
        return START_MS + self.monotonic_ms()

    def monotonic_ms(self) -> int:
        return int(self._loop.time() * 1000)


class Node:
    """The log, the host and one life of the agent after the other."""

    def __init__(self, root: Path, chance: Random, loop: SimLoop) -> None:
        self.root = root
        self.chance = chance
        self.engine = Engine()
        home = root / audit.HOME
        (home / "db").mkdir(parents=True)
        (home / "db/state.db").symlink_to(self.engine.path)
        self.image = self.engine.furnish()
        (home / "images").mkdir()
        (home / f"images/{self.image}.qcow2").touch()
        self.host = FakeHost(home / "fake-host.json")
        self.unreliable = True  # the way to the log
        self._clock = SimClock(loop)
        self._settings = Settings(root=str(root))
        self._loops: list[Loop] = []
        self._life: asyncio.Task[None] | None = None

    def ask(self, command: Command) -> Any:
        """A person's command: its value, or its problem's code."""
        self.engine.ahead_ms = max(self.engine.ahead_ms, self._clock.monotonic_ms())
        try:
            return self.engine.run(command)
        except Problem as problem:
            return problem.code
        finally:
            self.changed()

    def changed(self) -> None:
        for loop in self._loops:
            loop.changed(())

    def wake(self, *names: str) -> None:
        for loop in self._loops:
            if loop.reconciler.name in names:
                loop.wake()

    def start(self) -> None:
        """A new life of the agent, which knows nothing of the one before."""
        site = Site(
            node=NODE, settings=self._settings, host=self.host, read=self._read, say=self._say, unseal=str,
            clock=self._clock, log=Log(level="error"), progress={}, wake=self.wake,
        )  # fmt: skip
        rooms = (NodeReconciler(site, "h1"), StorageReconciler(site), NetworkReconciler(site), ImageReconciler(site),
                 VmReconciler(site))  # fmt: skip
        self._loops = [Loop(room, site.log) for room in rooms]
        self._life = asyncio.get_running_loop().create_task(self._live())

    async def stop(self) -> None:
        """In the middle of whatever it does."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)

    async def _live(self) -> None:
        async with asyncio.TaskGroup() as group:
            for loop in self._loops:
                group.create_task(loop.run())

    async def _read(self, fetch: Any) -> Any:
        await asyncio.sleep(self.chance.uniform(0, 0.01))
        return fetch(self.engine.reader)

    async def _say(self, command: Command) -> Any:
        """A report, which may not arrive, or arrive without the answer coming back."""
        await asyncio.sleep(self.chance.uniform(0, 0.05))
        fate = self.chance.random() if self.unreliable else 1.0
        if fate < 0.03:
            raise Busy("raft-away", "the raft process does not answer")
        self.engine.ahead_ms = max(self.engine.ahead_ms, self._clock.monotonic_ms())
        value = self.engine.run(command)
        self.changed()
        if fate < 0.06:
            raise Unknown("no-answer", "the answer was lost")
        return msgspec.convert(value, dict) if isinstance(value, dict) else value
