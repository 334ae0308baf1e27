"""A leader whose agent is silent leads nobody: what a leader does, its agent does. It lets another lead, and waits a
little longer than others before it stands again."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from girginosvm.core.clock import Clock
from girginosvm.core.log import Log
from girginosvm.raft.cluster import Cluster
from girginosvm.raft.standing import Status

SILENT_MS: Final = 10_000  # the agent asks for the standing at least every 5 s
_AGAIN_MS: Final = 60_000  # the next leader's agent may be silent too: the lead does not go round in circles
_LOOK_S: Final = 1.0


def heir(status: Status) -> str:
    """Who should lead in this leader's place: of the voters reached, the one that lacks least. "" when there is
    none, or another leads."""
    if status.role != "leader":
        return ""
    others = (set(status.voters) & set(status.reached)) - {status.member}
    return min(others, key=lambda one: (status.lag.get(one, sys.maxsize), one), default="")


class Leadership:
    """``heard`` is called whenever the agent speaks."""

    def __init__(self, agreement: Cluster, clock: Clock, log: Log) -> None:
        self._agreement = agreement
        self._clock = clock
        self._log = log
        self._heard_ms = clock.monotonic_ms()
        self._handed_ms: int | None = None
        self._fit = True

    def heard(self) -> None:
        """The agent is there."""
        self._heard_ms = self._clock.monotonic_ms()

    async def tend(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self.look()

    def look(self) -> None:
        """One look."""
        now = self._clock.monotonic_ms()
        fit = now - self._heard_ms < SILENT_MS
        if fit != self._fit:
            self._fit = fit
            self._agreement.favour(fit=fit)
            self._log.warning("raft.agent-back" if fit else "raft.agent-silent", silent_ms=now - self._heard_ms)
        if fit or (self._handed_ms is not None and now - self._handed_ms < _AGAIN_MS):
            return
        peer = heir(self._agreement.status())
        if peer:
            self._handed_ms = now
            self._log.warning("raft.hands-over", to=peer, reason="this node's agent is silent, and a leader needs it")
            self._agreement.transfer(peer)
