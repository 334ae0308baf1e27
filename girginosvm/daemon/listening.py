"""What the raft process applies reaches whoever waits for it: requests, reconcilers, live streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from girginosvm.daemon.desk import Watch
from girginosvm.daemon.reconcile import Rounds
from girginosvm.http.events import Change as Published
from girginosvm.http.events import Hub
from girginosvm.raft.changes import Change
from girginosvm.state.reader import Readers


class Listener:
    """``heard``: changes as they come, None when everything has to be read anew. ``same`` looks whether the raft
    process still is this member with this database; when it is not, this life is over, and nothing more is read."""

    def __init__(
        self, heard: asyncio.Queue[Change | None], hub: Hub, watch: Watch, readers: Readers, *,
        same: Callable[[], bool], rounds: Rounds,
    ) -> None:  # fmt: skip
        self._heard = heard
        self._hub = hub
        self._watch = watch
        self._readers = readers
        self._same = same
        self._rounds = rounds

    async def run(self) -> None:
        """Until cancelled, or this life is over. What has come meanwhile is taken in at once: whoever waits is woken
        once for all of it."""
        while True:
            heard = [await self._heard.get()]
            while not self._heard.empty():
                heard.append(self._heard.get_nowait())
            if None not in heard:
                tables = await self._all([one for one in heard if one is not None])
            elif self._same():
                tables = await self._anew()
            else:
                return
            self._rounds.changed(tables)

    async def _anew(self) -> frozenset[str]:
        """Nobody knows what was missed: everything is read again."""
        incarnation, index = await self._readers.read(lambda reader: (reader.incarnation, reader.applied_index))
        if index > self._hub.index or incarnation != self._hub.incarnation:
            self._hub.restart(incarnation, index)
        await self._watch.moved(index)
        return frozenset()

    async def _all(self, changes: Sequence[Change]) -> frozenset[str]:
        await self._watch.moved(changes[-1].index)
        tables: set[str] = set()
        for change in changes:
            self._hub.publish(Published(change.index, change.tables))
            tables.update(change.tables)
        return frozenset(tables) or frozenset({"none"})
