"""Three nodes at work over one log: each with a fake host, reconcilers and image store of its own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from features.engine import NODE, Engine
from features.rooms import Room

from girginosvm.core.action import Command
from girginosvm.core.errors import Busy
from girginosvm.core.peers import Call
from girginosvm.daemon.reconcile import Loop
from girginosvm.features.cluster.commands import FoundCluster
from girginosvm.features.image.api import file_name
from girginosvm.features.image.commands import RecordImage
from girginosvm.features.image.reconciler import ImageReconciler
from girginosvm.features.network.reconciler import NetworkReconciler
from girginosvm.features.node.reconciler import NodeReconciler
from girginosvm.features.storage.reconciler import StorageReconciler
from girginosvm.features.vm.commands import CreateVm
from girginosvm.features.vm.reconciler import VmReconciler

NODES = (NODE, "n2", "n3")
# A qcow2 header as qemu-img writes it, for a disk of 1 GiB, and nothing allocated.
QCOW2 = (
    struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        b"QFI\xfb", 3, 0, 0, 16, 1 << 30, 0, 2, 196608, 65536, 1, 0, 0, 0, 0, 0, 4, 104,
    )
    + bytes(8)
).ljust(262144, b"\0")  # fmt: skip


class Neighbours:
    """The way between the nodes: their image stores, read in pieces. ``cut``: how many bytes of a fetch come before
    the line breaks; ``away``: nodes that are not reached."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}
        self.cut: list[int] = []
        self.away: set[str] = set()
        self.asked: list[tuple[str, int]] = []
        self.damage: Callable[[bytes], bytes] = lambda data: data
        self.open = asyncio.Event()  # fetches wait for it
        self.open.set()

    async def fetch_image(self, node: str, image: str, into: Path, offset: int, came: Callable[[int], None]) -> None:
        self.asked.append((node, offset))
        if node in self.away:
            raise Busy("node-unreachable", f"{node} is not reached: No route to host", retry_after_s=2)
        data = self.damage(self.rooms[node].site.image_path(file_name(image, "qcow2")).read_bytes())[offset:]
        end = self.cut.pop(0) if self.cut else len(data)
        for start in range(0, end, 65536):
            piece = data[start : min(start + 65536, end)]
            _append(into, piece)
            came(offset + start + len(piece))
            await self.open.wait()
        if end < len(data):
            raise Busy("node-unreachable", f"{node} is not reached: the line broke", retry_after_s=2)

    def forward(self, node: str, call: Call) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        raise AssertionError(f"nothing here asks {node} for {call.path}")


def _append(path: Path, piece: bytes) -> None:
    with open(path, "ab") as out:
        out.write(piece)


class Three:
    """A founded cluster of three; ``image`` is on n1 only."""

    def __init__(self, engine: Engine, root: Path) -> None:
        self.engine = engine
        self.ways = Neighbours()
        self.rooms = {node: Room(engine, root / node, node=node, peers=self.ways) for node in NODES}
        self.ways.rooms = self.rooms
        self._loops: list[Loop] = []
        self._heard = asyncio.Event()
        engine.run(FoundCluster(pool_path="/var/lib/girginosvm/storage"))

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Three]:
        """Every room of every node, until the block ends; then no task is left."""
        for room in self.rooms.values():
            room.said = self.wake
            name = "h1" if room.node == NODE else room.node
            self._loops += [
                Loop(one, room.site.log)
                for one in (NodeReconciler(room.site, name), StorageReconciler(room.site), NetworkReconciler(room.site),
                            ImageReconciler(room.site), VmReconciler(room.site))
            ]  # fmt: skip
        tasks = [asyncio.create_task(loop.run()) for loop in self._loops]
        try:
            await self.until(lambda: len(self.engine.rows("SELECT 1 FROM pool_found")) == len(NODES), "the pools")
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._loops = []
            assert asyncio.all_tasks() == {asyncio.current_task()}

    def wake(self) -> None:
        """As a change of any table would."""
        self._heard.set()
        for loop in self._loops:
            loop.wake()

    def run(self, command: Command, *, node: str = NODE) -> Any:
        """A person's command, asked of ``node``."""
        value = self.engine.run(command, node=node)
        self.wake()
        return value

    def upload(self, node: str = NODE, name: str = "tiny") -> str:
        """An image whose file is on this node."""
        record = RecordImage(
            name=name, node=node, source="upload", sha256=hashlib.sha256(QCOW2).hexdigest(), size_bytes=len(QCOW2),
            virtual_bytes=1 << 30, format="qcow2", state="ready",
        )  # fmt: skip
        image = str(self.engine.run(record, node=node)["image"])
        path = self.file(node, image)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(QCOW2)
        self.wake()
        return image

    def file(self, node: str, image: str) -> Path:
        """Where a node has an image, when it has it."""
        return self.rooms[node].site.image_path(file_name(image, "qcow2"))

    def create(self, name: str, image: str, **fields: Any) -> dict[str, Any]:
        """A machine of this image; what the command answers."""
        ids = {noun: self.engine.rows(f"SELECT id FROM {noun}")[0]["id"] for noun in ("network", "pool")}
        answer: dict[str, Any] = self.run(CreateVm(name=name, image=image, memory_mb=128, **(ids | fields)))
        return answer

    def row(self, sql: str, *params: Any) -> dict[str, Any] | None:
        """The first row, or None."""
        return next(iter(self.engine.rows(sql, *params)), None)

    async def until(self, look: Callable[[], Any], what: str, *, seconds: float = 20) -> Any:
        """Look every few milliseconds; AssertionError names what did not come."""
        try:
            async with asyncio.timeout(seconds):
                while not (seen := look()):
                    self._heard.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.01):
                            await self._heard.wait()
        except TimeoutError:
            raise AssertionError(f"waited for {what}") from None
        return seen

    def state(self, vm: str) -> str:
        """What a machine's node says of it."""
        row = self.row("SELECT state FROM vm_found WHERE vm = ?", vm)
        return str(row["state"]) if row else ""

    def step(self, vm: str) -> str:
        """What its running operation waits for."""
        row = self.row("SELECT step FROM operation WHERE subject_id = ? AND state = 'running'", vm)
        return str(row["step"]) if row else ""
