"""The front desk's other side: what http asks for, answered by the executor and this node's own files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, Final

import msgspec

from girginosvm.core.access import Actor
from girginosvm.core.action import Command, Condition, Query, Stream
from girginosvm.core.clock import Chance, Clock, new_request_id
from girginosvm.core.errors import Busy, Forbidden, Invalid, Missing, Problem, Unknown
from girginosvm.core.ids import member_of
from girginosvm.core.peers import Call
from girginosvm.core.points import reach
from girginosvm.core.units import GIB
from girginosvm.daemon.arrivals import Arrivals
from girginosvm.daemon.execute import Executor
from girginosvm.features.image import api as images
from girginosvm.features.image.commands import RecordImage, UploadImage
from girginosvm.features.membership.api import standing
from girginosvm.features.operation.queries import Operation, Operations, ShowOperation
from girginosvm.features.site import Site
from girginosvm.features.vm.queries import SerialOutput, node_of
from girginosvm.http.desk import Answer, Upload
from girginosvm.hypervisor import owners

MAX_UPLOAD: Final = 256 * GIB
_CHUNK: Final = 64 * 1024


class Watch:
    """The last applied index that this process has heard of, and who waits for a newer one."""

    def __init__(self) -> None:
        self.index = 0
        self._moved = asyncio.Condition()

    async def moved(self, index: int) -> None:
        """The raft process applied up to ``index``."""
        async with self._moved:
            self.index = max(self.index, index)
            self._moved.notify_all()

    async def until(self, index: int, *, wait_s: float) -> None:
        """Busy ``index-not-reached`` when ``index`` is not applied here in time."""
        try:
            async with asyncio.timeout(wait_s), self._moved:
                await self._moved.wait_for(lambda: self.index >= index)
        except TimeoutError as fault:
            detail = f"this node has applied entry {self.index}; entry {index} did not come in {wait_s:g} s"
            raise Busy("index-not-reached", detail, retry_after_s=1) from fault

    async def beyond(self, index: int) -> None:
        """Until something newer than ``index`` is applied."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.index > index)


class LocalDesk:
    """Everything but what answers streams (``front`` adds that). ``cluster``: whose members may ask as nodes."""

    cluster = ""

    def __init__(
        self, executor: Executor, site: Site, watch: Watch, clock: Clock, chance: Chance, *,
        barrier: Callable[[], Awaitable[None]],
    ) -> None:  # fmt: skip
        """``barrier`` returns once a local read sees every write acknowledged before the call, on any node."""
        self._barrier = barrier
        self.executor = executor
        self.watch = watch
        self._site = site
        self._clock = clock
        self._chance = chance
        self._arrivals = Arrivals()

    async def command(
        self, command: Command, actor: Actor, *, key: str, why: str, condition: Condition | None = None
    ) -> Answer:
        """See ``Desk.command``."""
        if condition is not None:
            check = condition.check
            condition = Condition(condition.show, lambda value: check(self._with_progress(value)))
        answer = await self.executor.command(command, actor, key=key, why=why, condition=condition)
        return Answer(value=answer.value, index=answer.index, repeated=answer.repeated)

    async def query(self, query: Query, actor: Actor, *, min_index: int, fresh: bool) -> Answer:
        """See ``Desk.query``."""
        if fresh:
            await self._barrier()
        if min_index > self.watch.index:
            await self.watch.until(min_index, wait_s=5.0)
        answer = await self.executor.query(query, actor)
        return Answer(value=self._with_progress(answer.value), index=answer.index)

    def _with_progress(self, value: Any) -> Any:
        """Progress is not replicated: the node that works adds it on the way out."""
        progress = self._site.progress
        if not progress:
            return value
        if isinstance(value, Operation) and value.state == "running":
            return msgspec.structs.replace(value, progress=progress.get(value.subject_id))
        if isinstance(value, Operations):
            return msgspec.structs.replace(value, items=[self._with_progress(one) for one in value.items])
        return value

    async def permit(self, stream: Stream, actor: Actor) -> Stream:
        """See ``Desk.permit``."""
        resolved: Stream = await self.executor.resolve(stream, actor)
        return resolved

    def upload_room(self, stream: Stream, size: int | None) -> AbstractContextManager[tuple[Path, int]]:
        """See ``Desk.upload_room``. In the image store's own file system, so that a rename ends it."""
        folder = self._site.image_path("")
        folder.mkdir(parents=True, exist_ok=True)
        return self._arrivals.room(folder, size, most=MAX_UPLOAD)

    async def receive(self, stream: Stream, actor: Actor, upload: Upload, *, key: str, why: str) -> Answer:
        """An image file: looked at before anything uses it, then renamed to its id, then recorded."""
        if not isinstance(stream, UploadImage):
            raise Invalid("upload-unknown", f"nothing takes an upload of {type(stream).__name__}")
        image = new_request_id(self._clock, self._chance)
        target: Path | None = None
        try:
            facts = await self._site.host.images.inspect(upload.path)
            target = self._site.image_path(images.file_name(image, facts.format))
            record = RecordImage(
                id=image, name=stream.name, node=self._site.node, source="upload", sha256=facts.sha256,
                size_bytes=facts.file_bytes, virtual_bytes=facts.virtual_bytes, format=_format(facts.format),
                state="ready",
            )  # fmt: skip
            reach("upload.rename:before")
            os.rename(upload.path, target)
            owners.flush(target.parent)
            reach("upload.rename:after")
            # The person may upload (checked by permit); what the node found out is said by the node.
            said = Actor(kind="node", id=actor.id, name=actor.name, role=actor.role, address=actor.address)
            # What makes it the same upload is the name and the file, wherever and whenever it is sent.
            same = msgspec.structs.replace(record, id="", node="")
            answer = await self.executor.command(record, said, key=key, why=why, of=same)
        except Problem as problem:
            if isinstance(problem, Unknown):  # it may be in the log: then the row must find its file
                raise
            for path in (upload.path, target):
                if path is not None:
                    path.unlink(missing_ok=True)
            raise
        if answer.value["image"] != image:  # the first request with this key has brought it
            target.unlink(missing_ok=True)
        return Answer(value=answer.value, index=answer.index, repeated=answer.repeated, status=201)

    async def output(self, stream: Stream, actor: Actor, *, by_node: bool) -> AsyncIterator[bytes]:
        """The end of a serial log, and, with ``follow``, what is appended to it; it starts over when truncated. Another
        node's machine has it there: it is asked in the person's name, once."""
        if not isinstance(stream, SerialOutput):
            raise Missing("output-unknown", f"{type(stream).__name__} has no output")
        node = await self._site.read(lambda reader: node_of(reader, stream.vm))
        if node == self._site.node:
            return self._serial(stream)
        if by_node:
            raise Busy("vm-elsewhere", f"machine {stream.vm} is on another node by now", retry_after_s=1)
        query = f"follow={str(stream.follow).lower()}&tail={stream.tail}"
        call = Call(actor=actor, path=f"/v1/vms/{stream.vm}/serial?{query}")
        return await _from(self._site.peers.forward(node, call))

    async def _serial(self, stream: SerialOutput) -> AsyncIterator[bytes]:
        path = self._site.serial_log(stream.vm)
        position = max(0, (path.stat().st_size if path.exists() else 0) - stream.tail)
        while True:
            piece, position = await asyncio.to_thread(_read, path, position)
            if piece:
                yield piece
            elif not stream.follow:
                return
            else:
                await asyncio.sleep(0.25)

    async def member(self, certificate: Mapping[str, Any] | None) -> str:
        """See ``Desk.member``."""
        found = member_of(certificate, self.cluster)
        if not found or await self._site.read(lambda reader: standing(reader, found)) != "member":
            raise Forbidden("peer-unknown", "this is for members of the cluster, by their certificates")
        return found

    async def image_file(self, image: str) -> Path:
        """See ``Desk.image_file``."""
        name = await self._site.read(lambda reader: images.here(reader, image, self._site.node))
        if not name:
            raise Missing("image-missing", f"this node does not have image {image}")
        return self._site.image_path(name)

    async def finished(self, operation: str, actor: Actor, *, wait_s: float) -> Answer | None:
        """The operation once it has ended; None when it still runs after ``wait_s``."""
        try:
            async with asyncio.timeout(wait_s):
                while True:
                    answer = await self.executor.query(ShowOperation(operation=operation), actor)
                    if answer.value.state != "running":
                        return Answer(value=answer.value, index=answer.index)
                    await self.watch.beyond(answer.index)
        except TimeoutError:
            return None


async def _from(ways: AbstractAsyncContextManager[AsyncIterator[bytes]]) -> AsyncIterator[bytes]:
    """Another node's answer, once it has begun: what it refuses is raised here and now."""
    open_ways = AsyncExitStack()
    pieces = await open_ways.enter_async_context(ways)

    async def passed_on() -> AsyncIterator[bytes]:
        async with open_ways:
            async for piece in pieces:
                yield piece

    return passed_on()


def _read(path: Path, position: int) -> tuple[bytes, int]:
    try:
        with open(path, "rb") as log:
            if os.fstat(log.fileno()).st_size < position:
                position = 0
            log.seek(position)
            piece = log.read(_CHUNK)
    except FileNotFoundError:
        return b"", 0
    return piece, position + len(piece)


def _format(name: str) -> Any:
    if name not in ("qcow2", "raw"):
        raise Invalid("image-format", f"{name} images are not used; qcow2 and raw are")
    return name
