"""Keeps the node's pools and says what room they have."""

from __future__ import annotations

from girginosvm.core.errors import HostFault
from girginosvm.core.host import PoolFacts
from girginosvm.features.lanes import Lanes
from girginosvm.features.site import Site
from girginosvm.features.storage.commands import ReportPool
from girginosvm.state.db import Row

# Free space moves all the time; only a move of this size is worth a log entry.
_STEP_BYTES = 256 * 1024 * 1024


class StorageReconciler:
    """Directories, what a crash left in them, and their room."""

    name = "storage"
    wakes_on = ("pool",)
    resync_s = 20.0

    def __init__(self, site: Site) -> None:
        self._site = site
        self._swept: set[str] = set()

    async def reconcile(self, lanes: Lanes) -> float | None:
        """One round over every pool."""
        rows: list[Row] = await self._site.read(
            lambda reader: reader.all(
                "SELECT pool.id, pool.path, f.capacity_bytes, f.free_bytes, f.problem, f.filesystem, f.pool AS seen "
                "FROM pool LEFT JOIN pool_found f ON f.pool = pool.id AND f.node = ? ORDER BY pool.id",
                (self._site.node,),
            )
        )
        for row in rows:
            await self._one(row)
        return None

    async def _one(self, row: Row) -> None:
        volumes = self._site.host.volumes
        path = self._site.pool_path(row["path"])
        allocated = 0
        try:
            await volumes.ensure_pool(path)
            if path not in self._swept:
                for gone in await volumes.sweep(path):
                    self._site.log.info("storage.swept", path=gone)
                self._swept.add(path)
            facts = await volumes.facts(path)
            allocated = sum(volume.allocated_bytes for volume in await volumes.observe(path))
        except HostFault as fault:
            facts = PoolFacts(path, 0, 0, fault.detail)
        moved = abs(facts.free_bytes - (row["free_bytes"] or 0)) >= _STEP_BYTES
        said = (row["capacity_bytes"], row["problem"], row["filesystem"])
        same = said == (facts.capacity_bytes, facts.problem, facts.filesystem)
        if row["seen"] is None or moved or not same:
            await self._site.say(
                ReportPool(pool=row["id"], node=self._site.node, capacity_bytes=facts.capacity_bytes,
                           free_bytes=facts.free_bytes, allocated_bytes=allocated, problem=facts.problem[:500],
                           filesystem=facts.filesystem)
            )  # fmt: skip
