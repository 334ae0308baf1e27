"""What the raft process says of its own release, and what it does as leader when all support more.

It is the raft process that applies, so it is its release that counts. Nothing of this waits for anybody: a node that is
away, or too old, is seen in a sentence, and does not hold up what the others agree on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from girginosvm import __version__
from girginosvm.core import codec, levels
from girginosvm.core.action import Command
from girginosvm.core.clock import Chance, Clock, new_request_id
from girginosvm.core.entries import Halt
from girginosvm.core.errors import Problem, problem_of
from girginosvm.core.log import Log
from girginosvm.features.cluster.commands import RaiseLevel
from girginosvm.features.node import api as nodes
from girginosvm.features.node.commands import ReportRelease
from girginosvm.raft.alone import Alone
from girginosvm.raft.cluster import Cluster
from girginosvm.state.machine import Machine
from girginosvm.state.reader import Reader, Readers

_LOOK_S: Final = 1.0
# A leader that has just come may not have heard yet who is there.
_SETTLE_MS: Final = 10_000
_AGAIN_MS: Final = 30_000
_SAY_MS: Final = 6 * 3600 * 1000
# Reports of one position in the log; see ``Voice``.
_LIFE_BITS: Final = 20


class Upgrade:
    """One life's. ``begin`` is for a cluster of one, before anybody else may propose; ``run`` for all that follows."""

    def __init__(
        self, agreement: Alone | Cluster, machine: Machine, database: Path, member: str, clock: Clock, chance: Chance,
        log: Log,
    ) -> None:  # fmt: skip
        self._agreement, self._machine, self._member = agreement, machine, member
        self._clock, self._chance, self._log = clock, chance, log
        self._readers = Readers(database, count=1)
        self._led: tuple[int, int] | None = None  # the term that this node leads in, and since when
        self._migrated = 0  # the term in which it has looked whether the tables are this release's
        self._look_ms = 0  # when its own row is looked at again
        self._rise_ms = 0  # not raised before
        self._reason = ""

    async def begin(self) -> None:
        """Tables first: a problem with them ends the start. Then the level, which can wait."""
        await self._migrate()
        await self._tried(self._report)
        await self._tried(self._rise)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._look()
            await asyncio.sleep(_LOOK_S)

    def close(self) -> None:
        """Let go of the database."""
        self._readers.close()

    async def _look(self) -> None:
        status = self._agreement.status()
        if status.halted or status.lacking:
            return
        now_ms = self._clock.monotonic_ms()
        if now_ms >= self._look_ms:
            await self._tried(self._report)
        led_ms = self._leads_for(now_ms)
        if led_ms is None:
            return
        if self._led is not None and self._migrated != self._led[0]:
            await self._tried(self._migrate)
        due = led_ms >= _SETTLE_MS and now_ms >= self._rise_ms
        if due and self._machine.level < self._machine.supported and not await self._tried(self._rise):
            self._rise_ms = now_ms + _AGAIN_MS

    def _leads_for(self, now_ms: int) -> int | None:
        """How long this node has led in this term; None when it does not. A cluster of one has nobody to wait for."""
        status = self._agreement.status()
        if status.role != "leader":
            self._led = None
            return None
        if self._led is None or self._led[0] != status.term:
            self._led = (status.term, now_ms)
        return _SETTLE_MS if isinstance(self._agreement, Alone) else now_ms - self._led[1]

    async def _tried(self, step: Callable[[], Awaitable[None]]) -> bool:
        """Whether it went well. A later look is the retry; what stands against it is said once."""
        try:
            await step()
        except (Problem, Halt) as fault:
            self._because(getattr(fault, "detail", str(fault)))
        except Exception as bug:  # the node agrees and applies all the same
            self._because(f"a fault of ours: {bug!r}")
        else:
            return True
        return False

    def _because(self, reason: str) -> None:
        if reason != self._reason:
            self._log.info("level.waits", feature_level=self._machine.level, reason=reason)
        self._reason = reason

    async def _migrate(self) -> None:
        """Bring the tables to what this release has at the active level, once all that was before is applied."""
        await self._agreement.read_barrier()
        command = await asyncio.to_thread(self._machine.migration, self._request_id(), self._member)
        if command is not None:
            outcome = codec.outcome(await self._agreement.propose(command))
            self._log.info("schema.migrated", index=outcome.index, steps=msgspec.msgpack.decode(outcome.value))
        self._migrated = self._led[0] if self._led else 0

    async def _report(self) -> None:
        """Say which release this is, when the log has another word of it, or none for six hours."""

        def said(reader: Reader) -> tuple[bool, Any, int]:
            there = reader.one("SELECT 1 FROM sqlite_schema WHERE name = 'node_release'") is not None
            sql = "SELECT release, level, at_ms FROM node_release WHERE node = ?"
            return there, reader.one(sql, (self._member,)) if there else None, reader.at_ms

        there, row, at_ms = await self._readers.read(said)
        if not there:
            return
        report = ReportRelease(
            node=self._member, release=__version__, level=self._machine.supported,
            sequence=self._machine.applied_index() << _LIFE_BITS,
        )  # fmt: skip
        known = row is not None and (row["release"], row["level"]) == (report.release, report.level)
        if not known or at_ms - row["at_ms"] >= _SAY_MS:
            await self._say(report)
        self._look_ms = self._clock.monotonic_ms() + _SAY_MS // 6

    async def _rise(self) -> None:
        """Go on to what all support, with its migrations; they are tried before they are said."""
        status = self._agreement.status()
        voters, reached = frozenset(status.voters or (self._member,)), frozenset((*status.reached, self._member))

        def judged(reader: Reader) -> levels.Verdict:
            return levels.may_raise(reader.level, nodes.releases(reader), voters, reader.at_ms, reached=reached)

        if self._machine.level >= self._machine.supported:
            return
        verdict = await self._readers.read(judged)
        level = min(verdict.level, self._machine.supported)
        if level <= self._machine.level:
            self._because(verdict.reason)
            return
        steps = await asyncio.to_thread(self._machine.steps, level)
        await asyncio.to_thread(self._machine.rehearse, steps)
        await self._say(
            RaiseLevel(level=level, voters=tuple(sorted(voters)), reached=tuple(sorted(reached)), steps=steps)
        )
        self._log.info("level.raised", feature_level=level, reason=verdict.reason)

    async def _say(self, command: Command) -> None:
        said = levels.said_at(command, self._machine.level)
        data = codec.word(
            self._member, self._request_id(), type(command).__name__, said.body, version=said.version,
            level=said.needs,
        )  # fmt: skip
        outcome = codec.outcome(await self._agreement.propose(data))
        if outcome.problem is not None:
            raise problem_of(outcome.problem)

    def _request_id(self) -> str:
        return new_request_id(self._clock, self._chance, not_before_ms=self._machine.last_stamp_ms())
