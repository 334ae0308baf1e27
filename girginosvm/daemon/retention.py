"""As leader: takes out of the replicated history what is older than the cluster lets it be, a batch at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from girginosvm.core.action import Command
from girginosvm.core.clock import Clock
from girginosvm.features.event import api as events
from girginosvm.features.event.commands import PruneHistory
from girginosvm.features.lanes import Lanes
from girginosvm.features.operation import api as operations
from girginosvm.features.site import Read
from girginosvm.raft.standing import Status
from girginosvm.state.reader import Reader

# Between two batches: others write meanwhile.
_PAUSE_S: Final = 1.0


class RetentionReconciler:
    """Looks every ten minutes; nothing is said while nothing is old enough."""

    name = "retention"
    wakes_on = ("retention",)
    resync_s = 600.0

    def __init__(
        self, *, status: Callable[[], Awaitable[Status]], read: Read, say: Callable[[Command], Awaitable[object]],
        clock: Clock,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._status = status
        self._read = read
        self._say = say

    async def reconcile(self, lanes: Lanes) -> float | None:
        """One batch, when one is due."""
        if (await self._status()).role != "leader":
            return None
        wanted: PruneHistory | None = await self._read(lambda reader: due(reader, wall_ms=self._clock.wall_ms()))
        if wanted is None:
            return None
        await self._say(wanted)
        return _PAUSE_S


def due(reader: Reader, *, wall_ms: int) -> PruneHistory | None:
    """The next batch; None: not enough is too old. In log time, or by this node's clock if that is
    behind it: a leader that began with a clock far ahead has taken the log's time with it, and that never goes back."""
    now_ms = min(reader.at_ms, wall_ms)
    kept = events.retention(reader)
    old, ended = _before(now_ms, kept.event_days), _before(now_ms, kept.operation_days)
    old = old if events.due(reader, old) else 0
    ended = ended if operations.due(reader, ended, events.BATCH) else 0
    return PruneHistory(events_before_ms=old, operations_before_ms=ended) if old or ended else None


def _before(now_ms: int, days: int) -> int:
    return max(0, now_ms - max(days * events.DAY_MS, events.LEAST_MS)) if days else 0
