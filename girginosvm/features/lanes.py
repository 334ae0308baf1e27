"""Work of one room, side by side: at most one piece per subject at a time, so that none waits for another's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from girginosvm.core.errors import Problem
from girginosvm.core.log import Log

_FIRST_S: Final = 1.0
_LAST_S: Final = 60.0


class Lanes:
    """Every piece is a task of ``group`` and wakes the room when it ends: what it did is judged by the next look.

    A piece that raises is said in the log and rests in its lane, longer each time (1 s to 60 s), before its subject is
    free again: neither a fault nor a bug of one subject holds another, and none is tried without a pause.
    """

    def __init__(
        self, group: asyncio.TaskGroup, wake: Callable[[], None], log: Log, *, first_s: float = _FIRST_S
    ) -> None:
        self._group = group
        self._wake = wake
        self._log = log
        self._first_s = first_s
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._resting: set[str] = set()
        self._failures: dict[str, int] = {}

    def busy(self) -> frozenset[str]:
        """The subjects with a piece under way, or resting."""
        return frozenset(self._tasks)

    def resting(self, subject: str) -> bool:
        """Whether its last piece failed and its pause is not over."""
        return subject in self._resting

    def start(self, subject: str, work: Callable[[], Awaitable[None]]) -> None:
        """Begin a piece; the subject must not be busy."""
        if subject in self._tasks:
            raise ValueError(f"{subject} has a piece of work under way")
        task = self._tasks[subject] = self._group.create_task(self._run(subject, work))
        task.add_done_callback(
            lambda _: self._ended(subject)
        )  # also of a task that was cancelled before its first step

    def give_up(self, subject: str) -> None:
        """Cancel its piece, or end its pause; the room is woken when that is done."""
        self._failures.pop(subject, None)
        if subject in self._tasks and not self._tasks[subject].cancelling():
            self._tasks[subject].cancel()  # once: a second time would interrupt its tidying up

    async def _run(self, subject: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
            self._failures.pop(subject, None)
        except Problem as problem:
            await self._rest(subject, problem.code, problem.detail)
        except Exception as fault:  # a bug in one piece must not end the others
            await self._rest(subject, "bug", repr(fault))

    def _ended(self, subject: str) -> None:
        del self._tasks[subject]
        self._wake()

    async def _rest(self, subject: str, code: str, detail: str) -> None:
        failures = self._failures[subject] = self._failures.get(subject, 0) + 1
        pause_s = min(self._first_s * 2 ** min(failures - 1, 10), max(_LAST_S, self._first_s))
        self._log.warning("work.failed", subject=subject, code=code, detail=detail, again_in_s=pause_s)
        self._resting.add(subject)
        try:
            await asyncio.sleep(pause_s)
        finally:
            self._resting.discard(subject)
