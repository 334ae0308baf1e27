"""Says what this node is when that has changed, and, where there are others, that it is there."""

from __future__ import annotations

from typing import Final

import msgspec

from girginosvm.core.units import MIB
from girginosvm.features.lanes import Lanes
from girginosvm.features.node.commands import ReportNode
from girginosvm.features.site import Site
from girginosvm.state.reader import Reader

# Placement passes a node by that missed three of these words (``plan.SILENT_MS``).
_SAY_MS: Final = 60_000
_LOOK_MS: Final = 60_000


class NodeReconciler:
    """Facts are looked up anew each minute; a difference becomes a log entry, and so does the word of each minute that
    tells the other nodes' machines that they may come here. A lone node has nobody to tell."""

    name = "node"
    wakes_on = ()
    # A node that was alone says that it is there soon after another one came.
    resync_s = 15.0

    def __init__(self, site: Site, name: str) -> None:
        self._site = site
        self._name = name
        self._said = b""
        self._said_ms = 0
        self._looked_ms = 0

    async def reconcile(self, lanes: Lanes) -> float | None:
        """One round."""
        now_ms = self._site.clock.monotonic_ms()
        due = bool(self._said) and now_ms - self._said_ms >= _SAY_MS and await self._site.read(_others)
        if self._said and not due and now_ms - self._looked_ms < _LOOK_MS:
            return None
        facts = await self._site.host.facts.observe()
        report = ReportNode(
            node=self._site.node, name=self._name, facts=facts,
            reserve_bytes=self._site.settings.reserve_memory_mb * MIB,
        )  # fmt: skip
        now = msgspec.msgpack.encode(report)
        if due or now != self._said:
            await self._site.say(report)
            self._said, self._said_ms = now, now_ms
        self._looked_ms = now_ms
        return None


def _others(reader: Reader) -> bool:
    row = reader.one("SELECT count(*) AS nodes FROM node")
    return row is not None and row["nodes"] > 1
