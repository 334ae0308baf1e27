"""Machines worked side by side: the real room and its loop, on a fake host that is slow where a test says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from features.engine import Engine
from features.rooms import Room

from girginosvm.features.network.queries import resolve as network_id
from girginosvm.features.network.reconciler import NetworkReconciler
from girginosvm.features.storage.queries import resolve as pool_id
from girginosvm.features.vm.commands import CreateVm, DestroyVm
from girginosvm.features.vm.power import RebootVm, StartVm, StopVm
from girginosvm.features.vm.reconciler import VmReconciler

LONG_MS = 60_000


@pytest.fixture
async def room(engine: Engine, tmp_path: Path) -> AsyncIterator[Room]:
    """A furnished node whose vm and network rooms are at work."""
    engine.image = engine.furnish()
    one = Room(engine, tmp_path)
    async with one.at_work(NetworkReconciler(one.site), VmReconciler(one.site)):
        yield one


def create(room: Room, name: str, **fields: Any) -> str:
    network = network_id(room.engine.reader, "default") or ""
    pool = pool_id(room.engine.reader, "default") or ""
    asked = CreateVm(name=name, image=room.engine.image, network=network, pool=pool, memory_mb=128, **fields)
    return str(room.run(asked)["vm"])


def state(room: Room, machine: str) -> str:
    row = room.row("SELECT state FROM vm_found WHERE vm = ?", machine)
    return str(row["state"]) if row else ""


def ended(room: Room, answer: dict[str, str]) -> Any:
    row = room.row("SELECT state FROM operation WHERE id = ? AND state <> 'running'", answer["operation"])
    return row and row["state"]


def happened(room: Room, machine: str) -> list[str]:
    return [what for _, who, what in room.host.state.section("happened")["events"] if who == machine]


async def running(room: Room, name: str) -> str:
    machine = create(room, name)
    await room.until(lambda: state(room, machine) == "running", f"{name} to run")
    return machine


@pytest.mark.parametrize("slow", ["volumes.ensure", "domains.start"])
async def test_a_stop_is_done_while_another_machines_step_takes_long(room: Room, slow: str) -> None:
    quick = await running(room, "quick")
    room.host.state.delay(slow, LONG_MS)
    create(room, "slow")
    answer = room.run(StopVm(vm=quick, force=True))
    assert await room.until(lambda: ended(room, answer), "the stop") == "done"
    assert state(room, quick) == "stopped"


async def test_twenty_machines_that_take_long_do_not_hold_a_stop(room: Room) -> None:
    quick = await running(room, "quick")
    room.host.state.delay("volumes.ensure", LONG_MS)
    for n in range(20):
        create(room, f"slow{n}", full_copy=True)
    answer = room.run(StopVm(vm=quick, force=True))
    assert await room.until(lambda: ended(room, answer), "the stop") == "done"


async def test_a_machine_has_one_piece_of_work_at_a_time(room: Room) -> None:
    room.host.state.delay("volumes.ensure", 300)
    machine = create(room, "web")
    for _ in range(5):
        room.run(StopVm(vm=machine, force=True))
        room.run(StartVm(vm=machine))
    await room.until(lambda: state(room, machine) == "running", "it to run")
    assert happened(room, machine) == ["defined", "started"]


async def test_what_was_begun_for_an_older_generation_does_not_start_a_machine_that_was_stopped(room: Room) -> None:
    room.host.state.delay("volumes.ensure", 300)
    machine = create(room, "web")
    await room.until(lambda: room.host.state.waiting, "the work to begin")
    answer = room.run(StopVm(vm=machine, force=True))
    assert await room.until(lambda: ended(room, answer), "the stop") == "done"
    assert "started" not in happened(room, machine)


async def test_destroying_a_machine_gives_up_the_building_of_its_disk(room: Room) -> None:
    room.host.state.delay("volumes.ensure", LONG_MS)
    machine = create(room, "web")
    await room.until(lambda: room.host.state.waiting, "the work to begin")
    room.run(DestroyVm(vm=machine, purge=True, force=True))
    await room.until(lambda: room.row("SELECT 1 FROM vm") is None, "it to go")
    assert room.host.state.section("volumes") == {}


async def test_cutting_the_power_does_not_wait_for_a_guest_that_is_being_asked(room: Room) -> None:
    machine = await running(room, "web")
    room.host.state.delay("domains.shutdown", LONG_MS)
    room.run(StopVm(vm=machine, graceful=True))
    await room.until(lambda: room.host.state.waiting, "the guest to be asked")
    answer = room.run(StopVm(vm=machine, force=True))
    assert await room.until(lambda: ended(room, answer), "the stop") == "done"
    assert happened(room, machine)[-1] == "stopped"


async def test_the_deadline_of_a_stop_holds_while_the_guest_is_being_asked(room: Room) -> None:
    machine = await running(room, "web")
    room.host.state.delay("domains.shutdown", LONG_MS)
    answer = room.run(StopVm(vm=machine, force=True, after_s=30))
    await room.until(lambda: room.host.state.waiting, "the guest to be asked")
    room.engine.now_ms += 30_500
    room.wake()
    assert await room.until(lambda: ended(room, answer), "the stop") == "done"


async def test_a_machine_that_fails_is_said_and_tried_again_and_holds_nobody(room: Room) -> None:
    room.host.state.fail("domains.start", "no-memory", "the host has 12 MiB free")
    answer = room.run(CreateVm(
        name="first", image=room.engine.image, network=network_id(room.engine.reader, "default") or "",
        pool=pool_id(room.engine.reader, "default") or "", memory_mb=128,
    ))  # fmt: skip
    assert await room.until(lambda: ended(room, answer), "the create") == "failed"
    await running(room, "second")
    await room.until(lambda: state(room, answer["vm"]) == "running", "the next try")
    found = room.row("SELECT problem FROM vm_found WHERE vm = ?", answer["vm"])
    assert found == {"problem": ""}


async def test_a_reboot_is_done_once_also_when_the_process_dies_before_it_reports(
    engine: Engine, tmp_path: Path
) -> None:
    engine.image = engine.furnish()
    room = Room(engine, tmp_path)
    async with room.at_work(NetworkReconciler(room.site), VmReconciler(room.site)):
        machine = await running(room, "web")
    answer = room.run(RebootVm(vm=machine))
    room.mute = True
    async with room.at_work(VmReconciler(room.site)):
        await room.until(lambda: "rebooted" in happened(room, machine), "the reboot")
    room.mute = False
    async with room.at_work(VmReconciler(room.site)):
        assert await room.until(lambda: ended(room, answer), "the report") == "done"
    assert happened(room, machine).count("rebooted") == 1


async def test_a_machine_that_died_before_its_reboot_is_started_and_not_rebooted_too(
    engine: Engine, tmp_path: Path
) -> None:
    engine.image = engine.furnish()
    room = Room(engine, tmp_path)
    async with room.at_work(NetworkReconciler(room.site), VmReconciler(room.site)):
        machine = await running(room, "web")
    room.end(machine)
    answer = room.run(RebootVm(vm=machine))
    async with room.at_work(VmReconciler(room.site)):
        assert await room.until(lambda: ended(room, answer), "the report") == "done"
    assert happened(room, machine)[-1] == "started"


@pytest.mark.parametrize("code", ["libvirt-timeout", "libvirt-unreachable", "program-timeout"])
async def test_a_host_that_was_not_reached_ends_no_operation(room: Room, code: str) -> None:
    room.host.state.fail("domains.define", code, "libvirt did not answer within 30 s")
    answer = {"operation": operation_of(room, create(room, "web"))}
    step = "SELECT step FROM operation WHERE step LIKE '%did not answer%tried again'"
    await room.until(lambda: room.row(step), "the operation to say what it waits for")
    assert ended(room, answer) is None
    assert await room.until(lambda: ended(room, answer), "the create") == "done"


async def test_a_host_that_refuses_ends_the_operation_with_its_words(room: Room) -> None:
    room.host.state.fail("domains.define", "libvirt-refused", "no such machine type")
    answer = {"operation": operation_of(room, create(room, "web"))}
    assert await room.until(lambda: ended(room, answer), "the create") == "failed"


def operation_of(room: Room, machine: str) -> str:
    return str(room.engine.rows("SELECT id FROM operation WHERE subject_id = ?", machine)[0]["id"])
