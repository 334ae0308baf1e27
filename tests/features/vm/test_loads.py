"""What is promised of nodes and pools is counted as the rows change, and two pools never promise the same room."""

import contextlib
from typing import Any

import apsw
import pytest
from features.engine import FACTS, NODE, Engine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from girginosvm.core.errors import Conflict, OverQuota
from girginosvm.core.units import GIB
from girginosvm.features.node.commands import ReportNode
from girginosvm.features.node.queries import ListNodes
from girginosvm.features.registry import REGISTRY
from girginosvm.features.storage.commands import AddPool, ForgetDisk, ReportPool
from girginosvm.features.storage.queries import ListPools
from girginosvm.features.vm.commands import CreateVm, DestroyVm
from girginosvm.features.vm.reports import ReportVm

COUNTED = """
SELECT node, memory_bytes, vcpus, vms FROM node_load WHERE vms > 0 ORDER BY node"""
SUMMED = """
SELECT node, sum(memory_bytes) AS memory_bytes, sum(vcpu) AS vcpus, count(*) AS vms FROM vm
GROUP BY node ORDER BY node"""
BOOKED = "SELECT pool, node, booked_bytes FROM pool_load WHERE booked_bytes > 0 ORDER BY pool, node"
ADDED = """
SELECT pool, node, sum(size_bytes) AS booked_bytes FROM (
  SELECT vm_disk.pool, vm.node, size_bytes FROM vm_disk JOIN vm ON vm.id = vm_disk.vm
  UNION ALL SELECT pool, node, size_bytes FROM disk_kept) GROUP BY pool, node ORDER BY pool, node"""


def create(engine: Engine, image: str, name: str, pool: str = "default", **fields: Any) -> str:
    network = engine.rows("SELECT id FROM network")[0]["id"]
    found = engine.rows("SELECT id FROM pool WHERE name = ?", pool)[0]["id"]
    return str(engine.run(CreateVm(name=name, image=image, network=network, pool=found, **fields))["vm"])


def second_pool(engine: Engine, filesystem: str, first: str = "f1") -> None:
    """The pool ``fast`` with 200 GiB like the first one's, which is on ``first``."""
    pools = {"default": first, "fast": filesystem}
    engine.run(AddPool(name="fast", path="/srv/fast"))
    for row in engine.rows("SELECT id, name FROM pool"):
        engine.run(
            ReportPool(pool=row["id"], node=NODE, capacity_bytes=200 * GIB, free_bytes=200 * GIB, allocated_bytes=0,
                       filesystem=pools[row["name"]])
        )  # fmt: skip


def test_two_pools_on_one_file_system_promise_its_room_once(engine: Engine) -> None:
    image = engine.furnish()
    second_pool(engine, "f1")
    create(engine, image, "a", disk_gb=120)
    with pytest.raises(OverQuota, match="70 GiB left"):
        create(engine, image, "b", pool="fast", disk_gb=71)
    create(engine, image, "b", pool="fast", disk_gb=70)


def test_pools_on_file_systems_of_their_own_have_their_own_room(engine: Engine) -> None:
    image = engine.furnish()
    second_pool(engine, "f2")
    create(engine, image, "a", disk_gb=120)
    create(engine, image, "b", pool="fast", disk_gb=190)
    assert sorted(row["booked_bytes"] // GIB for row in engine.rows(BOOKED)) == [120, 190]


DEEDS = st.lists(
    st.tuples(st.sampled_from(["create", "keep", "purge", "gone", "forget", "node"]), st.integers(0, 5)), max_size=30
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(deeds=DEEDS)
def test_the_loads_are_the_sums_of_the_rows(deeds: list[tuple[str, int]]) -> None:
    engine = Engine()
    try:
        image = engine.furnish()
        for deed, number in deeds:
            with contextlib.suppress(Conflict):
                act(engine, image, deed, number)
        assert engine.rows(COUNTED) == engine.rows(SUMMED)
        assert engine.rows(BOOKED) == engine.rows(ADDED)
        (node,) = ListNodes().fetch(engine.reader).items
        assert node.vms == len(engine.rows("SELECT 1 FROM vm"))
        (pool,) = ListPools().fetch(engine.reader).items
        assert pool.booked_bytes == sum(row["booked_bytes"] for row in engine.rows(ADDED))
    finally:
        engine.close()


# From these steps of each room on.
LATER = {"node": 2, "storage": 3, "vm": 2}


def test_a_database_from_before_is_counted_when_it_is_migrated() -> None:
    db = apsw.Connection(":memory:")
    steps = [(room.name, step) for room in REGISTRY.rooms for step in room.migrations]
    for room, step in steps:
        if step.number < LATER.get(room, 100):
            db.execute(step.sql)
    filler = {"power": "on", "doomed": "", "state": "ready"}
    for table, rows in {
        "vm": [{"id": "a", "node": "n1", "memory_bytes": 7, "vcpu": 2, "name": "a"},
               {"id": "b", "node": "n1", "memory_bytes": 5, "vcpu": 1, "name": "b"}],
        "vm_disk": [{"vm": "a", "n": 0, "pool": "p", "path": "/1", "size_bytes": 100}],
        "disk_kept": [{"id": "k", "pool": "p", "node": "n1", "path": "/2", "size_bytes": 11}],
    }.items():  # fmt: skip
        kinds = {name: kind for _, name, kind, *_ in db.execute(f"PRAGMA table_info({table})")}
        for row in rows:
            full = {
                name: row.get(name, filler.get(name, 0 if kind == "INTEGER" else "")) for name, kind in kinds.items()
            }
            marks = ", ".join("?" * len(full))
            db.execute(f"INSERT INTO {table} VALUES ({marks})", tuple(full.values()))
    for room, step in steps:
        if step.number >= LATER.get(room, 100):
            db.execute(step.sql)
    assert list(db.execute(COUNTED)) == list(db.execute(SUMMED)) == [("n1", 12, 3, 2)]
    assert list(db.execute(BOOKED)) == list(db.execute(ADDED)) == [("p", "n1", 111)]


def act(engine: Engine, image: str, deed: str, number: int) -> None:
    machines = engine.rows("SELECT id, generation FROM vm ORDER BY id")
    kept = engine.rows("SELECT id FROM disk_kept ORDER BY id")
    if deed == "create":
        create(engine, image, f"m{number}", disk_gb=1 + number, memory_mb=64 << number, vcpu=1 + number)
    elif deed == "node":
        engine.run(ReportNode(node=NODE, name="h1", facts=FACTS, reserve_bytes=number))
    elif deed == "forget" and kept:
        engine.run(ForgetDisk(disk=kept[number % len(kept)]["id"]))
    elif machines:
        vm = machines[number % len(machines)]
        if deed == "gone":
            engine.run(ReportVm(vm=vm["id"], node=NODE, state="gone", reached=vm["generation"]))
        elif deed in ("keep", "purge"):
            engine.run(DestroyVm(vm=vm["id"], purge=deed == "purge", force=True))
