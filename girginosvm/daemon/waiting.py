"""A node that has joined, or has lost its database, and waits for the cluster's state: until it comes there is nothing
that could be shown, and nobody could sign in. Root at the socket is told what it waits for.

What never comes is not waited for in vain. A node that was let in and then removed before it had anything of the
cluster, or that cannot reach the others' Raft port, becomes again what it was: the cluster has nothing of it yet. Not
while the state may be about to come: the others would go on to count on a member that is none.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from girginosvm.core.clock import Clock
from girginosvm.core.errors import Busy, Problem, Unsafe
from girginosvm.core.log import Log
from girginosvm.core.settings import Settings
from girginosvm.daemon import identity, turn
from girginosvm.daemon.bring import life_before
from girginosvm.features.membership import commands, model
from girginosvm.http import waiting
from girginosvm.http.desk import Answer
from girginosvm.http.door import Door
from girginosvm.raft.client import Client
from girginosvm.raft.standing import Status

_PATIENCE_MS: Final = 10_000  # a leader takes in who was let in within seconds


class Waiting:
    """``leave`` ends this life of the agent, so that the next begins as what lies prepared on the disk."""

    def __init__(self, config: Settings, client: Client, clock: Clock, log: Log, *, leave: Callable[[], None]) -> None:
        self._config = config
        self._client = client
        self._clock = clock
        self._log = log
        self._leave = leave
        self._going: asyncio.Future[None] | None = None
        self._since_ms = clock.monotonic_ms()
        self._before = life_before(config.path("raft", "bring"))
        self._door = Door(waiting.application(self.why, commands.LeaveCluster, self.leave, log))

    async def __aenter__(self) -> None:
        await self._door.unix(self._config.run_path("agent.sock"))

    async def __aexit__(self, *_: object) -> None:
        await self._door.close()
        if self._going is not None:  # the state has come meanwhile: too late
            with contextlib.suppress(Problem):
                await asyncio.shield(self._going)
                self._leave()

    async def why(self) -> Problem:
        """What is missing, and what can be done about it."""
        try:
            return self._missing(await self._client.status())
        except Problem as away:
            return away

    def _missing(self, status: Status) -> Problem:
        others = [one for one in status.members if one != status.member]
        reached = f"{len(set(others) & set(status.reached))} of {len(others)} other members are reached"
        detail = status.lacking or f"this node waits for the cluster's state, and shows nothing before; {reached}"
        hint = "girginosvm membership status, on another node: is this one still a member?"
        if self._before:
            hint += "; girginosvm membership leave --confirm, here, makes it what it was before it joined"
        return Busy("state-awaited", detail, hint=hint, retry_after_s=2)

    async def leave(self, asked: commands.LeaveCluster) -> Answer:
        """Back to what this node was before it joined. The others are not told: it is nobody's member any more, or one
        that has never come, which they can remove."""
        if not self._before:
            raise await self.why()
        if not asked.confirm:
            raise Unsafe(
                "confirm-missing", "this node becomes again what it was before it joined; the others are not told",
                hint="--confirm",
            )  # fmt: skip
        waited_ms, status = self._clock.monotonic_ms() - self._since_ms, await self._client.status()
        if self._going is not None:
            raise Busy("leaving", "this node is leaving already", retry_after_s=5)
        if waited_ms < _PATIENCE_MS or status.leader in status.reached:
            raise self._missing(status)
        home, me = self._config.path(), identity.load(self._config.path("raft", "member.json"))
        archive = f"{me.cluster}-{self._clock.wall_ms()}"
        self._going = asyncio.ensure_future(asyncio.to_thread(turn.go_back, home, self._before, archive=archive))
        try:
            await asyncio.shield(self._going)
        except Problem:
            self._going = None  # otherwise this life ends
            raise
        self._log.info("membership.goes-back", cluster=me.cluster, to=self._before)
        asyncio.get_running_loop().call_later(0.3, self._leave)
        return Answer(value=model.Left(cluster=me.cluster, archive=str(self._config.path("archive", archive))))
