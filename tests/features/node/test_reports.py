"""What a node says is numbered: a word that arrives late overwrites nothing, on no subject and after no restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from features.engine import FACTS, NODE, Engine

from girginosvm.core.action import Command
from girginosvm.core.errors import Stale
from girginosvm.core.host import FoundDomain, Power
from girginosvm.daemon.voice import Voice
from girginosvm.features.center.commands import ReportCenter
from girginosvm.features.image.commands import ReportImage
from girginosvm.features.node.commands import ReportNode, ReportRelease
from girginosvm.features.registry import REGISTRY
from girginosvm.features.storage.commands import RemovePool, ReportPool
from girginosvm.features.vm.commands import CreateVm, DestroyVm
from girginosvm.features.vm.reports import ReportForeign, ReportVm

# Trust only grows.
UNNUMBERED = {"ReportTrust", "ReportAway"}  # whoever leads says it again until it is right


@pytest.fixture
def vm(engine: Engine) -> str:
    image = engine.furnish()
    ids = {noun: engine.rows(f"SELECT id FROM {noun}")[0]["id"] for noun in ("network", "pool")}
    return str(engine.run(CreateVm(name="web", image=image, **ids))["vm"])


def pool(engine: Engine) -> str:
    return str(engine.rows("SELECT id FROM pool")[0]["id"])


def domain(name: str) -> FoundDomain:
    return FoundDomain(id=name, name=name, ours=False, power=Power.RUNNING)


Says = Callable[[Engine, str, int, int], Command]
SUBJECTS: dict[str, tuple[Says, str]] = {
    "ReportVm": (
        lambda engine, vm, value, n: ReportVm(vm=vm, node=NODE, state="running", reboots=value, sequence=n),
        "SELECT reboots AS value FROM vm_found",
    ),
    "ReportPool": (
        lambda engine, vm, value, n: ReportPool(
            pool=pool(engine), node=NODE, capacity_bytes=9, free_bytes=value, allocated_bytes=0, sequence=n
        ),
        "SELECT free_bytes AS value FROM pool_found",
    ),
    "ReportCenter": (
        lambda engine, vm, value, n: ReportCenter(node=NODE, bind=f"192.0.2.1:{value}", sequence=n),
        "SELECT CAST(substr(bind, 11) AS INTEGER) AS value FROM center_found",
    ),
    "ReportNode": (
        lambda engine, vm, value, n: ReportNode(node=NODE, name="h1", facts=FACTS, reserve_bytes=value, sequence=n),
        "SELECT reserve_bytes AS value FROM node",
    ),
    "ReportRelease": (
        lambda engine, vm, value, n: ReportRelease(node=NODE, release="0", level=value, sequence=n),
        "SELECT level AS value FROM node_release",
    ),
    "ReportForeign": (
        lambda engine, vm, value, n: ReportForeign(
            node=NODE, domains=tuple(domain(str(one)) for one in range(value)), sequence=n
        ),
        "SELECT count(*) AS value FROM vm_foreign",
    ),
    "ReportImage": (
        lambda engine, vm, value, n: ReportImage(
            image=engine.rows("SELECT id FROM image")[0]["id"],
            node=NODE,
            state="failed",
            problem_code="x",
            problem=str(value),
            sequence=n,
        ),
        "SELECT CAST(problem AS INTEGER) AS value FROM image_copy",
    ),
}


@pytest.mark.parametrize("report", SUBJECTS)
def test_an_older_word_that_comes_late_overwrites_nothing(engine: Engine, vm: str, report: str) -> None:
    says, sql = SUBJECTS[report]
    for value, number in ((1, 7), (2, 9)):
        engine.run(says(engine, vm, value, number))
    for late in (8, 9):
        with pytest.raises(Stale) as caught:
            engine.run(says(engine, vm, 3, late))
        assert caught.value.code == "report-late"
    assert engine.rows(sql)[0]["value"] == 2
    engine.run(says(engine, vm, 4, 10))
    assert engine.rows(sql)[0]["value"] == 4


def test_every_report_of_what_can_change_back_is_numbered() -> None:
    reports = {name for name, kind in REGISTRY.commands.items() if name.startswith("Report")}
    numbered = {name for name in reports if "sequence" in REGISTRY.commands[name].__struct_fields__}
    assert numbered == set(SUBJECTS)
    assert reports - numbered == UNNUMBERED


def test_subjects_do_not_wait_for_each_other(engine: Engine, vm: str) -> None:
    engine.run(SUBJECTS["ReportPool"][0](engine, vm, 5, 9))
    engine.run(SUBJECTS["ReportVm"][0](engine, vm, 1, 8))
    assert [engine.rows(SUBJECTS[one][1])[0]["value"] for one in ("ReportPool", "ReportVm")] == [5, 1]


def test_what_is_gone_leaves_no_number_behind(engine: Engine, vm: str) -> None:
    engine.run(SUBJECTS["ReportVm"][0](engine, vm, 0, 1))
    engine.run(SUBJECTS["ReportPool"][0](engine, vm, 5, 2))
    engine.run(DestroyVm(vm=vm, purge=True, force=True))
    engine.run(ReportVm(vm=vm, node=NODE, state="gone", reached=2, sequence=3))
    engine.run(SUBJECTS["ReportVm"][0](engine, vm, 1, 2))  # late, of a machine that is gone
    engine.run(RemovePool(pool=pool(engine)))
    assert engine.rows("SELECT * FROM report") == []


async def test_a_restart_goes_on_above_what_was_said_before(engine: Engine, vm: str) -> None:
    said: list[int] = []

    async def say(command: Any) -> object:
        said.append(command.sequence)
        return engine.run(command)

    for _ in range(3):  # three lives of the agent, each after an entry of its own
        engine.run(ReportNode(node=NODE, name="h1", facts=FACTS))
        voice = Voice(say)
        voice.begin(engine.machine.applied_index())
        for value in range(3):
            await voice.say(SUBJECTS["ReportVm"][0](engine, vm, value, 0))
    assert said == sorted(set(said))
    assert len(said) == 9
