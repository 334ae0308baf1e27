"""One room of a node at work: real commands, a real database, a fake host, and the loop that runs it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from features.engine import NODE, Engine

from girginosvm.core import settings
from girginosvm.core.action import Command
from girginosvm.core.log import Log
from girginosvm.core.peers import Peers
from girginosvm.daemon.reconcile import Loop, Reconciler
from girginosvm.features.site import Site
from girginosvm.hypervisor.fake.domains import FakeDomains
from girginosvm.hypervisor.fake.host import FakeHost


class Clock:
    """The time that the engine stamps commands with, and what passes beyond."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def wall_ms(self) -> int:
        """See ``core.clock.Clock``."""
        return self._engine.now_ms

    def monotonic_ms(self) -> int:
        """See ``core.clock.Clock``."""
        return time.monotonic_ns() // 1_000_000


class Room:
    """``run`` is a person's command; ``until`` waits for what the database or the host shows."""

    def __init__(self, engine: Engine, root: Path, *, node: str = NODE, peers: Peers | None = None) -> None:
        self.engine = engine
        self.node = node
        self.host = FakeHost(root / "host.json")
        self.heard = asyncio.Event()
        self.mute = False  # nothing that the rooms say gets through
        self.site = Site(
            node=node, settings=settings.load(str(root), {}), host=self.host, read=self._read, say=self._say,
            unseal=lambda text: text, clock=Clock(engine), log=Log(level="error"), progress={},
            peers=peers,
        )  # fmt: skip
        self._loops: list[Loop] = []
        # Told of everything that is said, as every node is by its log.
        self.said: Callable[[], None] = lambda: None

    @asynccontextmanager
    async def at_work(self, *reconcilers: Reconciler) -> AsyncIterator[None]:
        """Their loops run while the block does; leaving the block ends every task of them."""
        self._loops = [Loop(reconciler, self.site.log) for reconciler in reconcilers]
        tasks = [asyncio.create_task(loop.run()) for loop in self._loops]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._loops = []
            assert all(task.cancelled() for task in tasks)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    def run(self, command: Command) -> Any:
        """Its value, and the rooms woken."""
        value = self.engine.run(command)
        self.wake()
        return value

    def wake(self) -> None:
        """As a change, or time, would."""
        for loop in self._loops:
            loop.wake()

    def end(self, machine: str) -> None:
        """Its QEMU dies behind everybody's back."""
        FakeDomains(self.host.state).end(machine)

    def row(self, sql: str, *params: Any) -> dict[str, Any] | None:
        """The first row, or None."""
        return next(iter(self.engine.rows(sql, *params)), None)

    async def until(self, look: Callable[[], Any], what: str, *, seconds: float = 10) -> Any:
        """Look after each report, and at least every 20 ms."""
        async with asyncio.timeout(seconds):
            while not (seen := look()):
                self.heard.clear()
                try:
                    async with asyncio.timeout(0.02):
                        await self.heard.wait()
                except TimeoutError:
                    continue
        assert seen, what
        return seen

    async def _read(self, fetch: Callable[[Any], Any]) -> Any:
        return fetch(self.engine.reader)

    async def _say(self, command: Command) -> object:
        if self.mute:
            await asyncio.Event().wait()
        value = self.engine.run(command, node=self.node)
        self.heard.set()
        self.said()
        return value
