"""A leader whose agent is silent leads nobody: what a leader does, its agent does. It lets another lead, and waits a
little longer than others before it stands again."""

from __future__ import annotations

import asyncio
from typing import Final

from girginosvm.core.clock import Clock
from girginosvm.core.log import Log
from girginosvm.features.membership import lead
from girginosvm.raft.cluster import Cluster
from girginosvm.raft.standing import Status, heard

LAST: Final = 2
SILENT_MS: Final = 10_000  # the agent asks for the standing at least every 5 s
_AGAIN_MS: Final = 60_000  # the next leader's agent may be silent too: the lead does not go round in circles
_LOOK_S: Final = 1.0


def heir(status: Status) -> str:
    """Who should lead in this leader's place. "" when there is nobody, or another leads."""
    if status.role != "leader":
        return ""
    return lead.heir(lead.Voices(status.member, set(status.voters), heard(status), status.lag))


class Leadership:
    """``heard`` is called whenever the agent speaks."""

    def __init__(self, agreement: Cluster, clock: Clock, log: Log) -> None:
        self._agreement = agreement
        self._clock = clock
        self._log = log
        self._heard_ms = clock.monotonic_ms()
        self._handed_ms: int | None = None
        self._fit = True
        self._rank = 0

    def heard(self) -> None:
        """The agent is there."""
        self._heard_ms = self._clock.monotonic_ms()

    def prefer(self, rank: int) -> None:
        """As an operator prefers it (``lead.rank``); a silent agent counts for more."""
        self._rank = rank
        if self._fit:
            self._agreement.favour(rank)

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
            self._agreement.favour(self._rank if fit else LAST)
            self._log.warning("raft.agent-back" if fit else "raft.agent-silent", silent_ms=now - self._heard_ms)
        if fit or (self._handed_ms is not None and now - self._handed_ms < _AGAIN_MS):
            return
        peer = heir(self._agreement.status())
        if peer:
            self._handed_ms = now
            self._log.warning("raft.hands-over", to=peer, reason="this node's agent is silent, and a leader needs it")
            self._agreement.transfer(peer)
