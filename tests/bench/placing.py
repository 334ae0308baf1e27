"""Applying a create among 300 nodes that hold 100,000 machines: placement looks at every node. In memory's reach, no
journal: what it takes of the log's time."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import apsw
import msgspec

from girginosvm.core import codec, ids
from girginosvm.core.access import Actor, Role
from girginosvm.core.action import Command
from girginosvm.core.codec import Envelope
from girginosvm.core.entries import Entry
from girginosvm.core.errors import problem_of
from girginosvm.core.host import Acceleration, HostFacts
from girginosvm.core.log import Log
from girginosvm.core.units import GIB, TIB
from girginosvm.features.cluster.commands import FoundCluster
from girginosvm.features.image.commands import RecordImage
from girginosvm.features.network.commands import AddNetwork
from girginosvm.features.node.commands import ReportNode, SetDomain
from girginosvm.features.registry import REGISTRY
from girginosvm.features.storage.commands import ReportPool
from girginosvm.features.vm.commands import CreateVm
from girginosvm.state.machine import Machine
from tests.bench.table import line

NODES, MACHINES, CREATES = 300, 100_000, 1000
ROOT = Actor(kind="local", id="local", name="root", role=Role.ADMIN)
_numbers = itertools.count(1)


def apply(machine: Machine, command: Command, node: str = "n000") -> tuple[dict[str, str], float, float]:
    """Its value, and the milliseconds that the entry took: by the clock, and of the processor."""
    index = next(_numbers)
    at_ms = 1_800_000_000_000 + index
    envelope = Envelope(
        ids.uuid7(at_ms, index.to_bytes(10)), ROOT, "", type(command).__name__, 1, msgspec.Raw(codec.encode(command))
    )
    entry = Entry(index, 1, at_ms, node, (codec.encode(envelope),))
    began, worked = time.perf_counter(), time.process_time()
    applied = machine.apply(entry)
    took_ms, worked_ms = (time.perf_counter() - began) * 1000, (time.process_time() - worked) * 1000
    outcome = codec.outcome(applied.outcomes[0])
    if outcome.problem is not None:
        raise problem_of(outcome.problem)
    return msgspec.msgpack.decode(outcome.value), took_ms, worked_ms


def furnished(machine: Machine, path: Path) -> tuple[str, str, str]:
    """300 nodes in 30 racks with 100,000 machines on them; ids of image, pool and network."""
    index = next(_numbers)
    migration = machine.migration(ids.uuid7(1_800_000_000_000, index.to_bytes(10)), "n000")
    machine.apply(Entry(index, 1, 1_800_000_000_000, "n000", (migration or b"",)))
    apply(machine, FoundCluster(pool_path="/srv"))
    facts = HostFacts(
        hostname="h", cpus=128, cpu_model="bench", memory_bytes=2 * TIB, kernel="6", os="bench", libvirt="9", qemu="7",
        acceleration=Acceleration.KVM, acceleration_reason="", firmwares=("bios", "uefi"),
    )  # fmt: skip
    db = apsw.Connection(str(path))
    pool = str(db.execute("SELECT id FROM pool").fetchone()[0])  # type: ignore[index]
    for n in range(NODES):
        node = f"n{n:03}"
        apply(machine, ReportNode(node=node, name=node, facts=facts), node)
        room = {"capacity_bytes": 40 * TIB, "free_bytes": 40 * TIB, "allocated_bytes": 0, "filesystem": "f1"}
        apply(machine, ReportPool(pool=pool, node=node, **room), node)  # type: ignore[arg-type]
        apply(machine, SetDomain(node=node, domain=f"rack{n % 30}"))
    image, *_ = apply(
        machine,
        RecordImage(name="tiny", node="n000", source="upload", sha256="0" * 64, size_bytes=1, virtual_bytes=GIB,
                    format="qcow2", state="ready"),
    )  # fmt: skip
    network, *_ = apply(machine, AddNetwork(name="wide", bridge="br-wide", cidr="10.0.0.0/8"))
    _crowd(db, pool)
    db.close()
    return image["image"], pool, network["network"]


def _crowd(db: apsw.Connection, pool: str) -> None:
    """The machines as rows: 100,000 creates would take the time of the rest a hundredfold."""
    names = [row[1] for row in db.execute("PRAGMA table_info(vm)")]
    words = {
        "project": "default", "generation": 1, "power": "on", "doomed": "", "firmware": "bios", "memory_bytes": 4 * GIB,
        "vcpu": 2, "ssh_keys": "[]", "tags": "[]",
    }  # fmt: skip
    numbers = {"stop_by_ms", "reboots", "reboot_force", "adopted", "created_at_ms", "anti_affinity_soft"}
    with db:
        for n in range(MACHINES):
            own = {"id": ids.derived("018f0000-0000-7000-8000-000000000000", n), "created_index": n, "name": f"m{n}"}
            own |= {"node": f"n{n % NODES:03}", "anti_affinity": f"g{n // 5}" if n % 10 < 5 else ""}
            row = tuple((words | own).get(name, 0 if name in numbers else "") for name in names)
            db.execute(f"INSERT INTO vm VALUES ({', '.join('?' * len(names))})", row)
            disk = (own["id"], 0, pool, f"/srv/{own['id']}", "qcow2", 20 * GIB, "", "", 0)
            db.execute("INSERT INTO vm_disk VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", disk)


def _spread(values: list[float]) -> str:
    found = sorted(values)
    return f"p50 {found[len(found) // 2]:.1f}, p99 {found[len(found) * 99 // 100]:.1f} ms"


def measure(folder: Path) -> None:
    """The spread of 1,000 creates, a quarter of them in anti-affinity groups, and what one keeps of its reasons."""
    folder.mkdir()
    path = folder / "state.db"
    machine = Machine(path, REGISTRY, Log(level="error"), incarnation="bench")
    image, pool, network = furnished(machine, path)
    took, worked = [], []
    for n in range(CREATES):
        create = CreateVm(
            name=f"new{n}", image=image, pool=pool, network=network, memory_mb=2048, disk_gb=20,
            anti_affinity=f"new{n // 80}" if n % 4 == 0 else "",
        )  # fmt: skip
        _, took_ms, worked_ms = apply(machine, create)
        took.append(took_ms)
        worked.append(worked_ms)
    size = apsw.Connection(str(path)).execute("SELECT avg(length(reasons)) FROM placement").fetchone()[0]  # type: ignore[index]
    machine.close()
    what = f"create applied, {NODES} nodes, {MACHINES:,} machines"
    line(what, _spread(took), "20 ms at p99 is the rule")
    line("the same in processor time", _spread(worked))
    line("reasons kept of one placement", f"{size / 1024:.1f} KiB")
