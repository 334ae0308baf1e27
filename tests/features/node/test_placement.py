"""Which node takes a machine, and what is said about it."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest
from features.engine import NODE, Engine
from features.nodes import add_node, add_pool, cluster, created, pool_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from girginosvm.core.errors import Busy, Conflict, HostFault, OverQuota, Problem
from girginosvm.core.units import GIB, MIB
from girginosvm.features.network.commands import AddNetwork
from girginosvm.features.node.commands import CordonNode, SetDomain, UncordonNode
from girginosvm.features.node.model import Asked, Beside, Pool
from girginosvm.features.node.plan import KEPT, SILENT_MS, Candidate, decide, decisive, sentence, told
from girginosvm.features.node.words import Said
from girginosvm.features.storage.commands import AddPool
from girginosvm.features.vm.commands import CreateVm, DestroyVm
from girginosvm.features.vm.foresee import Foreseen, ForeseePlacement
from girginosvm.features.vm.queries import ShowVm
from girginosvm.features.vm.reports import ReportVm


def node(name: str, **fields: Any) -> Candidate:
    words = {"memory_bytes": 16 * GIB, "reserve_bytes": GIB, "pool": Pool(100 * GIB, 5 * GIB)} | fields
    return Candidate(id=f"id-{name}", name=name, **words)


def asked(**fields: Any) -> Asked:
    words = {"memory_bytes": 2 * GIB, "disk_bytes": 20 * GIB, "pool": "fast", "firmware": "uefi"} | fields
    return Asked(**words)


ALL_KINDS = (
    node("away", silent_ms=SILENT_MS + 60_000),
    node("cut", away_ms=7_000),
    node("bios", firmwares=("bios",)),
    node("blind", pool=None),
    node("broken", pool=Pool(0, 0, "read-only file system")),
    node("busy", booked_bytes=14 * GIB),
    node("closed", closed=Said("cordoned-why", {"why": "its disks are changed"})),
    node("filled", pool=Pool(3 * GIB, 5 * GIB)),
    node("good", booked_bytes=3 * GIB),
    node("group", beside=Beside(("db1", "db2", "db3", "db4"), hard=True)),
    node("wide", booked_bytes=4 * GIB, domain="rack1"),
)


def test_the_golden_reasons_name_what_stands_in_the_way_of_each_node() -> None:
    decision = decide(asked(group="db"), ALL_KINDS)
    assert decision.node == "id-good"
    assert sentence(decision.verdicts).split("; ") == [
        "node good is the best of 2 that can take it: machines of group db on it: 0, and 33 % of its memory is booked "
        "with it",
        "node wide could take it: machines of group db in domain rack1: 0, and 40 % of its memory would be booked",
        "node away has not been heard of for 4 min",
        "node bios has no UEFI firmware",
        "node blind has not shown pool fast yet",
        "node broken cannot use pool fast: read-only file system",
        "node busy has 1 GiB of memory free, 2 GiB asked",
        "node closed is cordoned: its disks are changed",
        "node cut has not been reached for 7 s",
        "node filled has pool fast with 3 GiB left above its reserve of 5 GiB, 20 GiB asked",
        "node group has db1, db2, db3 and 1 more of the anti-affinity group db",
    ]


def test_a_pinned_machine_looks_at_its_node_only() -> None:
    decision = decide(asked(node="id-wide"), ALL_KINDS)
    assert decision.node == "id-wide"
    assert decision.verdicts[0].text == "was asked for: 40 % of its memory is booked with it"
    assert {one.code for one in decision.verdicts[1:]} == {"elsewhere"}
    assert decide(asked(node="id-closed"), ALL_KINDS).node == ""


def test_a_refusal_is_called_after_the_node_that_came_furthest() -> None:
    lacking = tuple(one for one in ALL_KINDS if one.name in ("away", "busy", "closed", "blind"))
    assert decisive(decide(asked(), lacking).verdicts) == "memory-short"
    assert decisive(decide(asked(), lacking[:1]).verdicts) == "node-unheard"


def test_the_least_loaded_node_is_taken_and_of_equal_ones_the_first() -> None:
    small, large = node("a", memory_bytes=8 * GIB, booked_bytes=GIB), node("b", booked_bytes=2 * GIB)
    assert decide(asked(), (small, large)).node == "id-b"  # 3 of 7 GiB there, 4 of 15 here
    assert decide(asked(), (node("b"), node("a"))).node == "id-a"


def test_a_group_is_spread_over_domains_before_loads_are_compared() -> None:
    there = node("a1", domain="rack1", beside=Beside(("db1",), hard=True))
    near, far = node("a2", domain="rack1"), node("b1", domain="rack2", booked_bytes=12 * GIB)
    assert decide(asked(group="db"), (there, near, far)).node == "id-b1"
    assert decide(asked(group="db"), (there, near)).node == "id-a2"  # another node of the domain rather than none


def test_a_soft_group_shares_a_node_only_when_nothing_else_is_left() -> None:
    there = node("a", beside=Beside(("db1",)))
    full = node("b", booked_bytes=15 * GIB)
    assert decide(asked(group="db", hard=False), (there, node("b"))).node == "id-b"
    assert decide(asked(group="db", hard=False), (there, full)).node == "id-a"
    insists = node("a", beside=Beside(("db1",), hard=True))
    assert decide(asked(group="db", hard=False), (insists, full)).node == ""


def test_with_many_nodes_the_best_reasons_are_kept_and_the_rest_counted() -> None:
    many = tuple(node(f"n{n:03}", closed=Said("cordoned") if n % 3 == 0 else None) for n in range(300))
    kept = told(decide(asked(), many).verdicts)
    assert len(kept) == KEPT + 2
    assert [one.text for one in kept[KEPT:]] == [
        "more nodes that could take it: 188", "more nodes that take no new machines: 100",
    ]  # fmt: skip
    assert all(one.word for one in kept)
    assert told(kept[:KEPT]) == kept[:KEPT]


def test_the_order_in_which_nodes_come_does_not_matter() -> None:
    mixed = list(ALL_KINDS)
    random.Random(7).shuffle(mixed)
    assert decide(asked(), tuple(mixed)) == decide(asked(), ALL_KINDS)


def test_machines_go_where_there_is_most_room_and_say_why(engine: Engine) -> None:
    cluster(engine, "n2", "n3")
    placed = [created(engine, f"m{n}", memory_mb=2048)["node"] for n in range(6)]
    assert sorted(placed) == ["n1", "n1", "n2", "n2", "n3", "n3"]
    vm = engine.rows("SELECT id FROM vm WHERE name = 'm5'")[0]["id"]
    shown = ShowVm(vm=vm).fetch(engine.reader).placement
    assert shown is not None
    assert [(one.node, one.text) for one in shown.reasons] == [
        ("n3", "is the best of 3 that can take it: 25 % of its memory is booked with it"),
        ("h1", "could take it: 37 % of its memory would be booked"),
        ("n2", "could take it: 37 % of its memory would be booked"),
    ]


@pytest.mark.parametrize(
    ("fields", "family", "code"),
    [
        ({"memory_mb": 20 * 1024}, OverQuota, "memory-short"),
        ({"disk_gb": 300}, OverQuota, "pool-full"),
        ({"node": "n2"}, Conflict, "node-cordoned"),
        ({"node": "n3"}, Busy, "pool-unknown"),
        ({"node": "n4"}, HostFault, "pool-faulty"),
        ({"node": "n5", "firmware": "uefi"}, Conflict, "firmware-missing"),
    ],
)
def test_a_refusal_has_every_reason_and_books_nothing(
    engine: Engine, fields: dict[str, Any], family: type[Problem], code: str
) -> None:
    cluster(engine, "n2", "n5")
    add_node(engine, "n3")
    add_node(engine, "n4")
    add_pool(engine, "n4", problem="no such directory")
    add_node(engine, "n5", firmwares=("bios",))
    engine.run(CordonNode(node="n2"))
    with pytest.raises(family) as caught:
        created(engine, "m", **fields)
    assert caught.value.code == code
    if "node" not in fields:
        assert [f"node {name}" in caught.value.detail for name in ("h1", "n2", "n3", "n4", "n5")] == [True] * 5
    assert engine.rows("SELECT 1 FROM vm UNION ALL SELECT 1 FROM placement UNION ALL SELECT 1 FROM lease") == []


def foreseen(engine: Engine, **fields: Any) -> Foreseen:
    image = engine.rows("SELECT id FROM image")[0]["id"]
    return ForeseePlacement(**({"image": image, "pool": pool_of(engine)} | fields)).fetch(engine.reader)


def test_what_is_foreseen_is_what_is_done_and_nothing_is_booked(engine: Engine) -> None:
    cluster(engine, "n2", "n3")
    engine.run(CordonNode(node="n2"))
    for n in range(8):
        words: dict[str, Any] = {"memory_mb": 1024 * (1 + n % 3), "anti_affinity": "db" if n < 2 else ""}
        before = foreseen(engine, **words)
        assert foreseen(engine, **words) == before
        made = created(engine, f"m{n}", **words)
        shown = ShowVm(vm=made["vm"]).fetch(engine.reader).placement
        assert shown is not None
        assert (before.node, before.reasons) == (shown.node, shown.reasons)
        assert (before.code, before.fit, before.nodes) == ("", 1 if n == 1 else 2, 3)
    assert len(engine.rows("SELECT 1 FROM placement")) == 8


def test_what_no_node_can_take_is_foreseen_under_the_name_of_its_refusal(engine: Engine) -> None:
    cluster(engine, "n2")
    found = foreseen(engine, memory_mb=20 * 1024)
    assert (found.node, found.code, found.fit) == ("", "memory-short", 0)
    with pytest.raises(OverQuota, match="has 16 GiB of memory free, 20 GiB asked") as caught:
        created(engine, "m", memory_mb=20 * 1024)
    assert caught.value.code == found.code
    engine.run(CordonNode(node="n2"))
    pinned = foreseen(engine, node="n2")
    assert (pinned.node, pinned.code) == ("", "node-cordoned")
    with pytest.raises(Conflict, match="cordoned"):
        created(engine, "m", node="n2")


def test_a_node_that_is_alone_is_there_however_long_it_has_said_nothing(engine: Engine) -> None:
    cluster(engine)
    engine.ahead_ms += SILENT_MS * 2
    engine.run(SetDomain(node=NODE, domain="rack1"))
    assert foreseen(engine).node == "h1"


def test_a_node_that_has_gone_quiet_takes_nothing_until_it_speaks(engine: Engine) -> None:
    cluster(engine, "n2")
    engine.ahead_ms += SILENT_MS + 1
    add_node(engine, "n2")  # n1 has not spoken since; but it is the one that asks
    engine.ahead_ms += 1000
    with pytest.raises(Conflict, match="node h1 has not been heard of for 3 min"):
        engine.run(_pinned(engine), node="n2")
    assert created(engine, "a", node=NODE)["node"] == NODE


def _pinned(engine: Engine) -> Any:
    ids = {noun: engine.rows(f"SELECT id FROM {noun}")[0]["id"] for noun in ("image", "network", "pool")}
    return CreateVm(name="quiet", node=NODE, **ids)


def test_a_group_counts_until_its_machine_is_gone_and_in_its_project_only(engine: Engine) -> None:
    cluster(engine, "n2")
    engine.run(SetDomain(node=NODE, domain="rack1"))
    first = created(engine, "db1", anti_affinity="db")
    second = created(engine, "db2", anti_affinity="db")
    assert {first["node"], second["node"]} == {NODE, "n2"}
    with pytest.raises(Conflict, match="has db1 of the anti-affinity group db"):
        created(engine, "db3", anti_affinity="db")
    assert created(engine, "db3", anti_affinity="db", project="other")
    engine.run(DestroyVm(vm=first["vm"], purge=True, force=True))
    with pytest.raises(Conflict, match="anti-affinity"):
        created(engine, "db4", anti_affinity="db")
    engine.run(ReportVm(vm=first["vm"], node=first["node"], state="gone", reached=2), node=first["node"])
    assert created(engine, "db4", anti_affinity="db")["node"] == first["node"]
    assert [row["vm"] for row in engine.rows("SELECT vm FROM placement WHERE vm = ?", first["vm"])] == []


def test_of_200_creates_for_the_last_address_one_gets_it(engine: Engine) -> None:
    cluster(engine, "n2", "n3")
    network = engine.run(AddNetwork(name="tiny", bridge="br-tiny", cidr="192.0.2.0/30", gateway="192.0.2.1"))["network"]
    made, codes = [], set()
    for n in range(200):
        try:
            made.append(created(engine, f"m{n}", network=network, memory_mb=64))
        except Problem as problem:
            codes.add(problem.code)
    assert len(made) == 1
    assert codes == {"addresses-exhausted"}
    assert [len(engine.rows(f"SELECT 1 FROM {table}")) for table in ("vm", "vm_disk", "vm_nic", "lease", "placement")] \
        == [1] * 5  # fmt: skip


DEED = st.tuples(
    st.sampled_from([*["create"] * 8, "gone", "keep", "cordon", "open", "open"]), st.integers(0, 23),
    st.sampled_from(["default", "fast"]), st.sampled_from(["", "", "web", "db"]), st.sampled_from(["", "n1", "n2"]),
)  # fmt: skip
BOOKED = """
SELECT pool_found.node, pool.name, filesystem, pool_found.free_bytes, capacity_bytes * reserve_percent / 100 AS reserve,
  (SELECT ifnull(sum(size_bytes), 0) FROM vm_disk JOIN vm ON vm.id = vm_disk.vm
   WHERE vm_disk.pool = pool.id AND vm.node = pool_found.node) +
  (SELECT ifnull(sum(size_bytes), 0) FROM disk_kept k WHERE k.pool = pool.id AND k.node = pool_found.node) AS booked
FROM pool_found JOIN pool ON pool.id = pool_found.pool"""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(deeds=st.lists(DEED, min_size=10, max_size=40))
def test_no_node_and_no_pool_is_ever_overbooked(deeds: list[tuple[str, int, str, str, str]]) -> None:
    engine = Engine()
    try:
        cluster(engine, "n2", "n3")
        engine.run(AddPool(name="fast", path="/srv/fast", reserve_percent=20))
        for name, same in (("n1", True), ("n2", False), ("n3", True)):
            add_pool(engine, name, free_gb=40, filesystem="f1")
            add_pool(engine, name, free_gb=40, pool="fast", filesystem="f1" if same else "f2")
        for n, (deed, size, pool, group, pin) in enumerate(deeds):
            with contextlib.suppress(Conflict):  # there is no room for it, or its name is not free: that is the point
                _act(engine, n, deed, size, pool, group, pin)
            assert _overbooked(engine) == []
    finally:
        engine.close()


def _act(engine: Engine, n: int, deed: str, size: int, pool: str, group: str, pin: str) -> None:
    machines = engine.rows("SELECT id, node, generation FROM vm ORDER BY id")
    if deed == "create":
        created(
            engine, f"m{n}", pool=pool_of(engine, pool), disk_gb=1 << size // 4, memory_mb=1024 << size % 4, node=pin,
            anti_affinity=group,
        )  # fmt: skip
    elif deed in ("cordon", "open"):
        engine.run((CordonNode if deed == "cordon" else UncordonNode)(node=f"n{size % 3 + 1}"))
    elif machines:
        vm = machines[size % len(machines)]
        if not engine.rows("SELECT 1 FROM vm WHERE id = ? AND doomed <> ''", vm["id"]):
            engine.run(DestroyVm(vm=vm["id"], purge=deed == "gone", force=True))
        generation = engine.rows("SELECT generation FROM vm WHERE id = ?", vm["id"])[0]["generation"]
        engine.run(ReportVm(vm=vm["id"], node=vm["node"], state="gone", reached=generation), node=vm["node"])


def _overbooked(engine: Engine) -> list[str]:
    """What has more on it than it may have: a node's memory, a file system, an anti-affinity group's node."""
    found = [
        f"memory of {row['id']}: {row['booked']} of {row['room']}"
        for row in engine.rows(
            "SELECT id, memory_bytes - reserve_bytes AS room, (SELECT ifnull(sum(memory_bytes), 0) FROM vm "
            "WHERE vm.node = node.id) AS booked FROM node"
        )
        if row["booked"] > row["room"]
    ]
    files: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in engine.rows(BOOKED):
        files.setdefault((row["node"], row["filesystem"]), []).append(row)
    for place, shared in files.items():
        booked = sum(row["booked"] for row in shared)
        # Each pool keeps its own reserve: what was booked last fitted under its own.
        room = min(row["free_bytes"] for row in shared) - min(row["reserve"] for row in shared)
        found += [f"disk of {place}: {booked} of {room}"] if booked > room else []
    crowded = (
        "SELECT node, anti_affinity FROM vm WHERE anti_affinity <> '' GROUP BY project, anti_affinity, node "
        "HAVING count(*) > 1"
    )
    return found + [f"group {row['anti_affinity']} on {row['node']}" for row in engine.rows(crowded)]


def test_a_witness_and_a_node_on_its_way_in_or_out_take_no_machine(engine: Engine) -> None:
    cluster(engine, "n2", "n3", "n4")
    for name, state, witness in (("n2", "member", 1), ("n3", "joining", 0)):
        engine.machine._db.execute(
            "INSERT INTO member (id, created_index, name, address, api, state, witness, at_ms) "
            "VALUES (?, 1, ?, ?, '', ?, ?, 0)",
            (name, name, name, state, witness),
        )
    engine.machine._db.execute(
        "INSERT INTO member_gone (id, created_index, name, reason, at_ms) VALUES ('n4', 1, 'n4', '', 0)"
    )
    answer = created(engine, "web")
    assert answer["node"] == NODE
    shown = ShowVm(vm=answer["vm"]).fetch(engine.reader).placement
    assert shown is not None
    assert [one.text for one in shown.reasons[1:]] == [
        "is a witness and runs no machines", "is still joining", "is no member any more",
    ]  # fmt: skip


def test_memory_is_in_whole_bytes(engine: Engine) -> None:
    """A node's last MiB can be had, and not one more."""
    cluster(engine)
    created(engine, "a", memory_mb=16 * 1024 - 64)
    created(engine, "b", memory_mb=64)
    with pytest.raises(OverQuota, match="node h1 has 0 B of memory free, 64 MiB asked"):
        created(engine, "c", memory_mb=64)
    assert engine.rows("SELECT memory_bytes AS n FROM node_load") == [{"n": 16 * 1024 * MIB}]
