"""Runs reconcilers: woken by change and by time, one at a time each, the next round is the retry."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Iterable
from typing import Final, Protocol

from girginosvm.core.errors import Problem, is_full
from girginosvm.core.log import Log
from girginosvm.features.lanes import Lanes

_FIRST_S: Final = 1.0
_LAST_S: Final = 60.0
_REST_S: Final = 0.25
_REST: Final = 3


class Reconciler(Protocol):
    """Reads both sides anew when woken; takes no input."""

    @property
    def name(self) -> str:
        """The room."""
        ...

    @property
    def wakes_on(self) -> tuple[str, ...]:
        """Tables whose change wakes it."""
        ...

    @property
    def resync_s(self) -> float:
        """Seconds between rounds when nothing changes."""
        ...

    async def reconcile(self, lanes: Lanes) -> float | None:
        """One round; what may take long goes into ``lanes``. Answers seconds until it wants the next one, None: at the
        next change."""
        ...


class Loop:
    """One reconciler's life."""

    def __init__(self, reconciler: Reconciler, log: Log) -> None:
        self.reconciler = reconciler
        self._log = log.bind(reconciler=reconciler.name)
        self._tables = frozenset(reconciler.wakes_on)
        self._wake = asyncio.Event()
        self._failures = 0
        self.last_problem = ""

    def changed(self, tables: Collection[str]) -> None:
        """Wake when one of its tables changed; no table means: anything may have."""
        if not tables or not self._tables.isdisjoint(tables):
            self.wake()

    def wake(self) -> None:
        """Look again soon."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled; its pieces of work end with it. A round looks at everything: after one it rests for three
        times as long (0.25 s at most), so that in a burst of changes one look serves many, and the time is others'."""
        clock = asyncio.get_running_loop().time
        async with asyncio.TaskGroup() as group:
            lanes = Lanes(group, self.wake, self._log)
            while True:
                self._wake.clear()
                began = clock()
                wait_s = await self._round(lanes)
                ended = clock()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._wake.wait()
                await asyncio.sleep(ended + min(_REST * (ended - began), _REST_S) - clock())

    async def _round(self, lanes: Lanes) -> float:
        try:
            wait_s = await self.reconciler.reconcile(lanes)
        except Problem as problem:
            return self._failed(problem.code, problem.detail)
        except Exception as fault:  # a bug in one room must not stop the others; the next round is the retry
            if isinstance(fault, OSError) and is_full(fault):
                return self._failed("disk-full", f"there is no room for what this node keeps: {fault.strerror}")
            return self._failed("bug", repr(fault))
        self._failures, self.last_problem = 0, ""
        return min(wait_s, self.reconciler.resync_s) if wait_s is not None else self.reconciler.resync_s

    def _failed(self, code: str, detail: str) -> float:
        self._failures += 1
        if detail != self.last_problem:
            self._log.error("reconcile.failed", code=code, detail=detail)
        self.last_problem = detail
        return float(min(_FIRST_S * 2 ** min(self._failures - 1, 10), _LAST_S))


class Rounds:
    """The reconcilers of one life of the agent."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._loops: list[Loop] = []
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, group: asyncio.TaskGroup, reconcilers: Iterable[Reconciler]) -> None:
        """These too, from now on."""
        begun = [Loop(one, self._log) for one in reconcilers]
        self._loops += begun
        self._tasks += [group.create_task(loop.run()) for loop in begun]

    def changed(self, tables: Collection[str]) -> None:
        """See ``Loop.changed``."""
        for loop in self._loops:
            loop.changed(tables)

    def wake(self, room: str) -> None:
        """That room looks again soon."""
        for loop in self._loops:
            if loop.reconciler.name == room:
                loop.wake()

    def unfinished(self) -> list[str]:
        """What they last could not do, a sentence each."""
        return [f"{loop.reconciler.name}: {loop.last_problem}" for loop in self._loops if loop.last_problem]

    def end(self) -> None:
        """Wherever they are."""
        for task in self._tasks:
            task.cancel()
