"""Who wants to hear of applied entries: queues that never hold back the one who tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec

_MOST: Final = 10_000


class Change(msgspec.Struct, frozen=True):
    """An entry was applied; these tables changed."""

    index: int
    at_ms: int
    tables: tuple[str, ...]


class Listeners:
    """One event loop's. Whoever falls behind is ended, and reads everything anew."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[Change | None]] = set()

    async def changes(self) -> AsyncIterator[Change]:
        """Applied entries as they come. Ends with ``end``, or when the listener is 10,000 behind."""
        queue: asyncio.Queue[Change | None] = asyncio.Queue(_MOST)
        self._queues.add(queue)
        try:
            while (change := await queue.get()) is not None:
                yield change
        finally:
            self._queues.discard(queue)

    def tell(self, change: Change) -> None:
        """To everybody who keeps up."""
        for queue in list(self._queues):
            if queue.full():
                self._queues.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(change)

    def end(self) -> None:
        """Nothing comes any more to those who listen now: they read everything anew, or this node stops."""
        queues, self._queues = self._queues, set()
        for queue in queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)
