"""Machines on three nodes over one log: each builds its own, and images come from whoever has them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from features.engine import NODE, Engine
from features.three import QCOW2, Three

from girginosvm.features.image.commands import RemoveImage
from girginosvm.features.image.queries import ShowImage
from girginosvm.features.node.commands import BeginMaintenance
from girginosvm.features.storage.queries import ListDisks, ListPools
from girginosvm.features.vm.commands import DestroyVm
from girginosvm.features.vm.power import StopVm


@pytest.fixture
async def three(engine: Engine, tmp_path: Path) -> AsyncIterator[Three]:
    async with Three(engine, tmp_path).at_work() as one:
        yield one


async def test_each_node_runs_its_own_machines_and_no_other(three: Three) -> None:
    image = three.upload()
    made = {name: three.create(name, image) for name in ("a", "b", "c", "d", "e", "f")}
    for name, answer in made.items():
        await three.until(lambda vm=answer["vm"]: three.state(vm) == "running", f"{name} to run")
    for node, room in three.rooms.items():
        mine = {answer["vm"] for answer in made.values() if answer["node"] == node}
        assert len(mine) == 2
        assert {domain.id for domain in await room.host.domains.observe()} == mine
        assert len(await room.host.filter.observe()) == 2
    leases = [row["text"] for row in three.engine.rows("SELECT text FROM lease ORDER BY address")]
    assert leases == [f"192.168.196.{n}" for n in range(2, 8)]  # one pool of addresses for the whole cluster
    events = three.engine.rows("SELECT subject_id, node FROM event WHERE kind = 'vm.running'")
    assert {row["subject_id"]: row["node"] for row in events} == {one["vm"]: one["node"] for one in made.values()}


async def test_a_machine_waits_for_its_image_and_says_from_where_it_comes(three: Three) -> None:
    image = three.upload()
    three.ways.open.clear()
    vm = three.create("web", image, node="n2")["vm"]
    await three.until(lambda: three.step(vm) == "image tiny is being copied from h1", "the wait to be said")
    progress = three.rooms["n2"].site.progress
    await three.until(lambda: progress.get(vm) == 25, "the copy to go on")
    assert [(one.node, one.state) for one in ShowImage(image=image).fetch(three.engine.reader).copies] == [
        ("h1", "ready"), ("n2", "wanted"),
    ]  # fmt: skip
    three.ways.open.set()
    await three.until(lambda: three.state(vm) == "running", "web to run")
    assert three.file("n2", image).read_bytes() == QCOW2
    assert not three.file("n3", image).exists()
    assert progress == {}
    assert three.row("SELECT 1 FROM event WHERE text = 'image tiny is on n2 too'")


async def test_a_copy_goes_on_where_the_line_broke_and_asks_the_next_node(three: Three) -> None:
    image = three.upload()
    three.create("first", image, node="n2")
    await three.until(lambda: three.file("n2", image).exists(), "the second copy")
    await three.until(lambda: three.row("SELECT 1 FROM image_copy WHERE node = 'n2' AND state = 'ready'"), "its row")
    three.ways.asked.clear()
    three.ways.cut = [100_000]
    three.create("second", image, node="n3")
    await three.until(lambda: three.file("n3", image).exists(), "the third copy")
    assert three.ways.asked == [(NODE, 0), ("n2", 100_000)]
    assert three.file("n3", image).read_bytes() == QCOW2


async def test_wrong_bytes_are_never_used_and_what_is_wrong_is_said_once(three: Three) -> None:
    image = three.upload()
    three.ways.damage = lambda data: data[:-1] + b"x"
    vm = three.create("web", image, node="n2")["vm"]
    said = "image tiny cannot be copied yet: the bytes from another node are not those that were promised"
    await three.until(lambda: three.step(vm) == said, "the problem to be said")
    assert list(three.file("n2", image).parent.glob("*")) == []
    three.ways.damage = lambda data: data
    await three.until(lambda: three.state(vm) == "running", "the next try")
    assert len(three.engine.rows("SELECT 1 FROM event WHERE kind = 'image.problem'")) == 1


async def test_a_node_that_sends_without_end_is_cut_off(three: Three) -> None:
    image = three.upload()
    three.ways.damage = lambda data: data + bytes(1 << 20)
    vm = three.create("web", image, node="n2")["vm"]
    said = f"image tiny cannot be copied yet: more than the promised {len(QCOW2):,} bytes came"
    await three.until(lambda: three.step(vm) == said, "the problem to be said")
    assert not three.file("n2", image).exists()


async def test_who_has_the_image_may_be_away_for_a_while(three: Three) -> None:
    image = three.upload()
    three.ways.away = {NODE}
    vm = three.create("web", image, node="n3")["vm"]
    said = "image tiny cannot be copied yet: n1 is not reached: No route to host"
    await three.until(lambda: three.step(vm) == said, "the problem to be said")
    assert not three.file("n3", image).exists()
    three.ways.away = set()
    await three.until(lambda: three.state(vm) == "running", "web to run")
    assert three.file("n3", image).read_bytes() == QCOW2
    assert three.row("SELECT 1 FROM image_copy WHERE problem <> ''") is None


async def test_a_deleted_image_goes_from_every_node(three: Three) -> None:
    image = three.upload()
    vms = [three.create(node, image, node=node, full_copy=True)["vm"] for node in three.rooms]
    for vm in vms:
        await three.until(lambda vm=vm: three.state(vm) == "running", "the machines to run")
    three.run(RemoveImage(image=image))
    await three.until(lambda: three.row("SELECT 1 FROM image_gone") is None, "the files to go")
    assert [three.file(node, image).exists() for node in three.rooms] == [False] * 3
    assert three.row("SELECT 1 FROM image_copy") is None


async def test_a_kept_disk_is_on_its_node_and_pools_are_shown_node_by_node(three: Three) -> None:
    image = three.upload()
    vm = three.create("web", image, node="n2")["vm"]
    await three.until(lambda: three.state(vm) == "running", "web to run")
    three.run(DestroyVm(vm=vm, force=True))
    await three.until(lambda: three.row("SELECT 1 FROM disk_kept"), "web to go")
    (disk,) = ListDisks().fetch(three.engine.reader).items
    assert disk.node == "n2"
    (pool,) = ListPools().fetch(three.engine.reader).items
    assert [(one.node, one.booked_bytes) for one in pool.nodes] == [("h1", 0), ("n2", 1 << 30), ("n3", 0)]


async def test_a_node_in_maintenance_keeps_and_works_its_machines(three: Three) -> None:
    image = three.upload()
    here = three.create("here", image, node="n2")["vm"]
    await three.until(lambda: three.state(here) == "running", "it to run")
    three.run(BeginMaintenance(node="n2"))
    assert {three.create(f"m{n}", image)["node"] for n in range(4)} == {NODE, "n3"}
    three.run(StopVm(vm=here, force=True), node="n3")  # whoever is asked, its node does it
    await three.until(lambda: three.state(here) == "stopped", "it to stop")
