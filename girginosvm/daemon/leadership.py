"""A leader whose agent is silent, or whose database is gone, leads nobody: what a leader does, its agent does, by what
the database says. It lets another lead, and waits a little longer than others before it stands again."""

from __future__ import annotations

import asyncio
from typing import Final

from girginosvm.core.clock import Clock
from girginosvm.core.log import Log
from girginosvm.features.membership import lead
from girginosvm.raft.cluster import Cluster
from girginosvm.raft.elections import LAST
from girginosvm.raft.standing import Status, heard

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
        self._fit = not agreement.status().lacking
        self._silent = False
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
        now, status = self._clock.monotonic_ms(), self._agreement.status()
        silent = now - self._heard_ms >= SILENT_MS
        if silent != self._silent:
            self._silent = silent
            self._log.warning("raft.agent-silent" if silent else "raft.agent-back", silent_ms=now - self._heard_ms)
        fit = not (silent or status.lacking)
        if fit != self._fit:
            self._fit = fit
            self._agreement.favour(self._rank if fit else LAST)
        if fit or (self._handed_ms is not None and now - self._handed_ms < _AGAIN_MS):
            return
        peer = heir(status)
        if peer:
            self._handed_ms = now
            why = "this node's agent is silent, and a leader needs it" if silent else status.lacking
            self._log.warning("raft.hands-over", to=peer, reason=why)
            self._agreement.transfer(peer)
