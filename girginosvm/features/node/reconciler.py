"""Says what this node is, when that has changed."""

from __future__ import annotations

import msgspec

from girginosvm.core.units import MIB
from girginosvm.features.lanes import Lanes
from girginosvm.features.node.commands import ReportNode
from girginosvm.features.site import Site


class NodeReconciler:
    """Facts are looked up anew each round; only a difference becomes a log entry."""

    name = "node"
    wakes_on = ()
    resync_s = 60.0

    def __init__(self, site: Site, name: str) -> None:
        self._site = site
        self._name = name
        self._said = b""

    async def reconcile(self, lanes: Lanes) -> float | None:
        """One round."""
        facts = await self._site.host.facts.observe()
        report = ReportNode(
            node=self._site.node, name=self._name, facts=facts,
            reserve_bytes=self._site.settings.reserve_memory_mb * MIB,
        )  # fmt: skip
        now = msgspec.msgpack.encode(report)
        if now != self._said:
            await self._site.say(report)
            self._said = now
        return None
