"""Fetches the images that this node was asked to have, and deletes the files of those forgotten."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from girginosvm.core.errors import Problem
from girginosvm.features.image import api
from girginosvm.features.image.commands import ReportImage
from girginosvm.features.lanes import Lanes
from girginosvm.features.site import Site
from girginosvm.state.db import Row
from girginosvm.state.reader import Reader

# A slow mirror is not made faster by asking for many, but one that hangs must not hold the others.
_PULLS: Final = 2


class ImageReconciler:
    """Each image in a lane of its own: a fetch holds neither another's deletion nor, when it is deleted, its own."""

    name = "image"
    wakes_on = ("image", "image_gone")
    resync_s = 60.0

    def __init__(self, site: Site) -> None:
        self._site = site
        self._pulls = asyncio.Semaphore(_PULLS)
        self._pulling: set[str] = set()

    async def sweep(self) -> None:
        """At start, before anything may arrive: files that no row names go. Whatever an earlier life of this process
        had proposed is in the database by now, since the log has answered this one already."""

        def known(reader: Reader) -> frozenset[str]:
            rows = reader.all("SELECT id FROM image UNION SELECT id FROM image_gone ORDER BY id")
            return frozenset(row["id"] for row in rows)

        keep = await self._site.read(known)
        for gone in await self._site.host.images.sweep(self._site.image_path(""), keep):
            self._site.log.info("image.swept", path=gone)

    async def reconcile(self, lanes: Lanes) -> float | None:
        """One round: forgotten files first, since they free room."""
        busy = lanes.busy()  # before the look: what is seen of these may be older than their piece's end
        gone, pulling = await self._site.read(self._rows)
        for row in gone:
            if row["id"] not in busy:
                lanes.start(row["id"], partial(self._forget, row))
            elif row["id"] in self._pulling:
                lanes.give_up(row["id"])
        for row in pulling:
            if row["id"] not in busy:
                lanes.start(row["id"], partial(self._pull, row))
        return None

    async def _forget(self, row: Row) -> None:
        await self._site.host.images.remove(self._site.image_path(api.file_name(row["id"], row["format"])))
        await self._site.say(ReportImage(image=row["id"], node=self._site.node, state="gone"))

    def _rows(self, reader: Reader) -> tuple[list[Row], list[Row]]:
        gone = reader.all("SELECT * FROM image_gone WHERE node = ? ORDER BY id", (self._site.node,))
        pulling = reader.all(
            "SELECT * FROM image WHERE node = ? AND state = 'pulling' ORDER BY created_index, id", (self._site.node,)
        )
        return gone, pulling

    async def _pull(self, row: Row) -> None:
        self._pulling.add(row["id"])
        try:
            async with self._pulls:
                report = await self._fetched(row)
        finally:
            self._pulling.discard(row["id"])
        await self._site.say(report)

    async def _fetched(self, row: Row) -> ReportImage:
        def progress(done: int, total: int) -> None:
            self._site.progress[row["id"]] = done * 100 // total if total else 0

        target = self._site.image_path(api.file_name(row["id"], row["format"]))
        self._site.log.info("image.pull", image=row["name"], source=row["source"])
        try:
            facts = await self._site.host.images.ensure(
                row["source"], target, sha256=row["sha256"], size_bytes=row["size_bytes"], progress=progress
            )
        except Problem as problem:
            return ReportImage(
                image=row["id"], node=self._site.node, state="failed", problem_code=problem.code,
                problem=problem.detail[:1000],
            )  # fmt: skip
        finally:
            self._site.progress.pop(row["id"], None)
        return ReportImage(image=row["id"], node=self._site.node, state="ready", virtual_bytes=facts.virtual_bytes)
