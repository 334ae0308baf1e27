"""Real commands on a real database, without processes: what feature tests stand on."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from girginosvm.core import codec, ids
from girginosvm.core.access import Actor, Role
from girginosvm.core.action import Command
from girginosvm.core.codec import Envelope, Seen
from girginosvm.core.entries import Applied, Entry
from girginosvm.core.errors import problem_of
from girginosvm.core.host import Acceleration, HostFacts
from girginosvm.core.levels import said_at
from girginosvm.core.log import Log
from girginosvm.core.manifest import Registry
from girginosvm.core.units import GIB
from girginosvm.features.cluster.commands import FoundCluster
from girginosvm.features.image.commands import RecordImage
from girginosvm.features.node.commands import ReportNode
from girginosvm.features.registry import REGISTRY
from girginosvm.features.storage.commands import ReportPool
from girginosvm.state import db as dbs
from girginosvm.state.machine import Machine
from girginosvm.state.reader import Reader

ADMIN = Actor(kind="local", id="local", name="root", role=Role.ADMIN)
NODE = "n1"
START_MS = 1_800_000_000_000
FACTS = HostFacts(
    hostname="h1", cpus=8, cpu_model="test", memory_bytes=16 * GIB, kernel="6", os="test", libvirt="9", qemu="7",
    acceleration=Acceleration.TCG, acceleration_reason="a test",
)  # fmt: skip


class Engine:
    """Applies commands one entry each, at a clock that moves 1 ms per entry."""

    def __init__(self, registry: Registry = REGISTRY) -> None:
        self._dir = tempfile.TemporaryDirectory()
        self.path = Path(self._dir.name, "state.db")
        self.machine = Machine(self.path, registry, Log(), incarnation="test")
        self._numbers = itertools.count(1)
        self.log: list[Entry] = []
        # Tests move the log's clock by this.
        self.ahead_ms = 0
        self.now_ms = 0
        self.reader_db = dbs.open_reader(self.path)
        self._begin()

    def _begin(self) -> None:
        index = next(self._numbers)
        migration = self.machine.migration(ids.uuid7(START_MS, index.to_bytes(10)), NODE)
        assert migration is not None
        self._apply(Entry(index, 1, START_MS, NODE, (migration,)))

    def _apply(self, entry: Entry) -> Applied:
        self.log.append(entry)
        return self.machine.apply(entry)

    def append(self, command: bytes) -> bytes:
        """The outcome of a command as it travels."""
        index = next(self._numbers)
        entry = Entry(index, 1, START_MS + index + self.ahead_ms, NODE, (command,))
        return self._apply(entry).outcomes[0]

    def run(
        self, command: Command, *, key: str = "", request_id: str = "", node: str = NODE, actor: Actor = ADMIN,
        seen: tuple[Seen, ...] = (),
    ) -> Any:  # fmt: skip
        """The command's value as plain data, or its problem raised."""
        said = said_at(command, self.machine.level)
        index = next(self._numbers)
        at_ms = self.now_ms = START_MS + index + self.ahead_ms
        envelope = Envelope(
            request_id or ids.uuid7(at_ms, index.to_bytes(10)), actor, "", type(command).__name__,
            said.version, msgspec.Raw(said.body), key, b"", seen, said.needs,
        )  # fmt: skip
        applied = self._apply(Entry(index, 1, at_ms, node, (codec.encode(envelope),)))
        outcome = codec.outcome(applied.outcomes[0])
        if outcome.problem is not None:
            raise problem_of(outcome.problem)
        return msgspec.msgpack.decode(outcome.value) if outcome.value else None

    def rows(self, sql: str, *params: Any) -> list[dbs.Row]:
        """What the database holds."""
        return dbs.rows(self.reader_db, sql, params)

    @property
    def reader(self) -> Reader:
        """For queries."""
        return Reader(self.reader_db)

    def furnish(self, *, free_gb: int = 200) -> str:
        """A founded cluster with one node, room and a ready image; answers the image's id."""
        self.run(FoundCluster(pool_path="/var/lib/girginosvm/storage"))
        self.run(ReportNode(node=NODE, name="h1", facts=FACTS))
        pool = self.rows("SELECT id FROM pool")[0]["id"]
        self.run(
            ReportPool(pool=pool, node=NODE, capacity_bytes=free_gb * GIB, free_bytes=free_gb * GIB, allocated_bytes=0)
        )
        record = RecordImage(
            name="tiny", node=NODE, source="upload", sha256="0" * 64, size_bytes=1, virtual_bytes=GIB, format="qcow2",
            state="ready",
        )  # fmt: skip
        return str(self.run(record)["image"])

    def close(self) -> None:
        """Gone without a trace."""
        self.reader_db.close()
        self.machine.close()
        self._dir.cleanup()
