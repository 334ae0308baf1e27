"""What the raft process applies reaches whoever waits for it: requests, reconcilers, live streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from girginosvm.daemon.desk import Watch
from girginosvm.daemon.reconcile import Rounds
from girginosvm.features.event import queries as events
from girginosvm.http.events import Change as Published
from girginosvm.http.events import Hub
from girginosvm.raft.changes import Change
from girginosvm.state.reader import Readers


class Listener:
    """``heard``: changes as they come, None after each new connection. ``same`` looks whether the raft process still is
    this member."""

    def __init__(
        self, heard: asyncio.Queue[Change | None], hub: Hub, watch: Watch, readers: Readers, *,
        same: Callable[[], None], rounds: Rounds,
    ) -> None:  # fmt: skip
        self._heard = heard
        self._hub = hub
        self._watch = watch
        self._readers = readers
        self._same = same
        self._rounds = rounds

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            change = await self._heard.get()
            tables = await self._anew() if change is None else await self._one(change)
            self._rounds.changed(tables)

    async def _anew(self) -> tuple[str, ...]:
        """Nobody knows what was missed: everything is read again."""
        self._same()
        incarnation, index = await self._readers.read(lambda reader: (reader.incarnation, reader.applied_index))
        if index > self._hub.index or incarnation != self._hub.incarnation:
            self._hub.restart(incarnation, index)
        await self._watch.moved(index)
        return ()

    async def _one(self, change: Change) -> tuple[str, ...]:
        await self._watch.moved(change.index)
        lines: tuple[events.Event, ...] = ()
        if "event" in change.tables:
            lines = await self._readers.glance(lambda reader: events.of_entry(reader, change.index))
        self._hub.publish(Published(change.index, change.tables, lines))
        return change.tables or ("none",)
