"""Fetches the images that this node is to have, from a mirror or from a node that has them, and deletes the files of
those forgotten."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Final

from girginosvm.core.errors import Busy, Invalid, Problem
from girginosvm.core.host import ImageFacts
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
    wakes_on = ("image", "image_copy", "image_gone", "vm_disk")
    resync_s = 60.0

    def __init__(self, site: Site) -> None:
        self._site = site
        self._pulls = asyncio.Semaphore(_PULLS)
        self._pulling: set[str] = set()
        self._waiting: dict[str, list[str]] = {}  # machines on this node, by the image that they wait for

    async def sweep(self) -> None:
        """At start, before anything may arrive: files that no row names go. Whatever an earlier life of this process
        had proposed is in the database by now, since the log has answered this one already."""

        def known(reader: Reader) -> frozenset[str]:
            rows = reader.all(
                "SELECT image AS id FROM image_copy WHERE node = ? UNION SELECT id FROM image_gone WHERE node = ? "
                "ORDER BY id",
                (self._site.node, self._site.node),
            )
            return frozenset(row["id"] for row in rows)

        keep = await self._site.read(known)
        for gone in await self._site.host.images.sweep(self._site.image_path(""), keep):
            self._site.log.info("image.swept", path=gone)

    async def reconcile(self, lanes: Lanes) -> float | None:
        """One round: forgotten files first, since they free room."""
        busy = lanes.busy()  # before the look: what is seen of these may be older than their piece's end
        gone, wanted = await self._site.read(self._rows)
        for row in gone:
            if row["id"] not in busy:
                lanes.start(row["id"], partial(self._forget, row))
            elif row["id"] in self._pulling:
                lanes.give_up(row["id"])
        for row in wanted:
            self._waiting[row["id"]] = (row["vms"] or "").split()
            if row["id"] not in busy:
                lanes.start(row["id"], partial(self._bring, row))
        return None

    async def _forget(self, row: Row) -> None:
        await self._site.host.images.remove(self._site.image_path(api.file_name(row["id"], row["format"])))
        await self._site.say(ReportImage(image=row["id"], node=self._site.node, state="gone"))

    def _rows(self, reader: Reader) -> tuple[list[Row], list[Row]]:
        gone = reader.all("SELECT * FROM image_gone WHERE node = ? ORDER BY id", (self._site.node,))
        wanted = reader.all(
            "SELECT image.*, c.problem AS said, (SELECT group_concat(vm.id, ' ') FROM vm JOIN vm_disk ON vm_disk.vm = "
            "vm.id WHERE vm_disk.image = image.id AND vm.node = c.node) AS vms "
            "FROM image_copy c JOIN image ON image.id = c.image WHERE c.node = ? AND c.state = 'wanted' "
            "AND (image.state = 'ready' OR image.state = 'pulling' AND image.node = c.node) "
            "ORDER BY image.created_index, image.id",
            (self._site.node,),
        )
        return gone, wanted

    async def _bring(self, row: Row) -> None:
        self._pulling.add(row["id"])
        try:
            async with self._pulls:
                await (self._pull(row) if row["state"] == "pulling" else self._copy(row))
        finally:
            self._pulling.discard(row["id"])
            for subject in (row["id"], *self._waiting.pop(row["id"], ())):
                self._site.progress.pop(subject, None)

    async def _pull(self, row: Row) -> None:
        """From the mirror; what goes wrong is the end of it, until a person asks again."""
        try:
            facts = await self._from_source(row)
        except Problem as problem:
            await self._say(row, problem)
        else:
            await self._say(row, None, virtual_bytes=facts.virtual_bytes)

    async def _copy(self, row: Row) -> None:
        """From the nodes that have it, one after the other; from the mirror when none has it any more. A problem is
        said once, and it is tried again after the lane's pause."""
        try:
            await self._from_anywhere(row)
        except Problem as problem:
            if problem.detail[:1000] != row["said"]:
                await self._say(row, problem)
            raise
        await self._say(row, None)

    async def _from_anywhere(self, row: Row) -> ImageFacts:
        def holders(reader: Reader) -> list[str]:
            sql = "SELECT node FROM image_copy WHERE image = ? AND node <> ? AND state = 'ready' ORDER BY node"
            return [one["node"] for one in reader.all(sql, (row["id"], self._site.node))]

        problem: Problem = Busy("image-nowhere", f"no node has image {row['name']}", retry_after_s=60)
        for node in await self._site.read(holders):
            try:
                return await self._from_node(row, node)
            except Problem as fault:
                problem = fault
        if row["source"] == api.UPLOADED:
            raise problem
        return await self._from_source(row)

    async def _from_node(self, row: Row, node: str) -> ImageFacts:
        def came(have: int) -> None:
            if have > row["size_bytes"]:
                raise Invalid("image-checksum", f"more than the promised {row['size_bytes']:,} bytes came")
            self._progress(row, have, row["size_bytes"])

        async def bring(into: Path, offset: int) -> None:
            await self._site.peers.fetch_image(node, row["id"], into, offset, came)

        self._site.log.info("image.copy", image=row["name"], node=node)
        return await self._site.host.images.take(
            bring, self._target(row), sha256=row["sha256"], size_bytes=row["size_bytes"]
        )

    async def _from_source(self, row: Row) -> ImageFacts:
        self._site.log.info("image.pull", image=row["name"], source=row["source"])
        return await self._site.host.images.ensure(
            row["source"], self._target(row), sha256=row["sha256"], size_bytes=row["size_bytes"],
            progress=partial(self._progress, row),
        )  # fmt: skip

    def _target(self, row: Row) -> Path:
        return self._site.image_path(api.file_name(row["id"], row["format"]))

    def _progress(self, row: Row, done: int, total: int) -> None:
        """Of the image, and of the machines that wait for it."""
        for subject in (row["id"], *self._waiting.get(row["id"], ())):
            self._site.progress[subject] = done * 100 // total if total else 0

    async def _say(self, row: Row, problem: Problem | None, *, virtual_bytes: int = 0) -> None:
        await self._site.say(
            ReportImage(
                image=row["id"], node=self._site.node, state="failed" if problem else "ready",
                virtual_bytes=virtual_bytes, problem_code=problem.code if problem else "",
                problem=problem.detail[:1000] if problem else "",
            )
        )  # fmt: skip
