"""Machines are given up only when a leader says that nobody reaches their node: its absence is no proof of that."""

from __future__ import annotations

import msgspec
import pytest
from features.engine import ADMIN, Engine
from features.nodes import FACTS, cluster, created

from girginosvm.core.errors import NoQuorum, Unsafe
from girginosvm.daemon.host import gone_for_good
from girginosvm.daemon.partings import Partings
from girginosvm.features.membership.commands import DescribeMember, RemoveMember
from girginosvm.features.membership.parting import ForeseeRemoval
from girginosvm.features.node.api import name_of
from girginosvm.features.node.commands import ReportAway, ReportNode
from girginosvm.features.vm.reports import ReportVm
from tests.floors.daemon.test_quorum import FOLLOWS, PLACE, ROWS

OTHER = "01890000-0000-7000-8000-000000000002"
THIRD = "01890000-0000-7000-8000-000000000003"
LOST = RemoveMember(member=OTHER, lost=True)


@pytest.fixture
def two(engine: Engine) -> Engine:
    """A running machine on a second member."""
    cluster(engine, OTHER)
    for n, member in ((2, OTHER), (3, THIRD)):
        place = {"address": f"192.0.2.{n}:1995", "api": f"192.0.2.{n}:1996"}
        engine.run(DescribeMember(member=member, name=f"n{n}", **place), node=member)
    vm = created(engine, "b", node=OTHER)["vm"]
    engine.run(ReportVm(vm=vm, node=OTHER, state="running", reached=1), node=OTHER)
    return engine


async def asked(engine: Engine, *, cut_off: bool) -> None:
    async def read(fetch):  # type: ignore[no-untyped-def]
        return fetch(engine.reader)

    async def alone() -> bool:
        return cut_off

    await gone_for_good(read, alone)(LOST, ADMIN)


async def test_without_a_leader_the_node_is_not_said_to_be_reached(two: Engine) -> None:
    with pytest.raises(Unsafe, match="the node is reached"):
        await asked(two, cut_off=False)
    with pytest.raises(NoQuorum, match="no leader says") as caught:
        await asked(two, cut_off=True)
    assert "girginosvm cluster recover" in (caught.value.hint or "")


async def test_whom_the_leader_does_not_reach_is_given_up(two: Engine) -> None:
    with pytest.raises(Unsafe, match="the node is reached"):
        await asked(two, cut_off=False)
    two.run(ReportAway(node=OTHER, away=True))
    await asked(two, cut_off=False)  # and now nothing stands against it


@pytest.mark.parametrize(("age_ms", "code"), [(60, "node-answers"), (9_000, "no-leader"), (None, "no-leader")])
async def test_a_dry_run_says_the_same(two: Engine, age_ms: int | None, code: str) -> None:
    async def read(fetch):  # type: ignore[no-untyped-def]
        return fetch(two.reader)

    async def seen():  # type: ignore[no-untyped-def]
        return (
            PLACE,
            (*ROWS, msgspec.structs.replace(ROWS[1], id=OTHER)),
            msgspec.structs.replace(FOLLOWS, leader_age_ms=age_ms),
        )

    shown = await Partings(read=read, seen=seen).of_removal(ForeseeRemoval(member=OTHER, lost=True))
    assert f"({code})" in shown.refused
    assert [(one.name, one.state, one.heard) for one in shown.machines] == [("b", "running", age_ms == 60)]


async def test_a_host_that_a_recovery_left_out_is_shown_by_its_name(two: Engine) -> None:
    async def read(fetch):  # type: ignore[no-untyped-def]
        return fetch(two.reader)

    async def seen():  # type: ignore[no-untyped-def]
        return PLACE, (), FOLLOWS

    two.run(ReportNode(node=OTHER, name="h2", facts=FACTS), node=OTHER)

    shown = await Partings(read=read, seen=seen).of_removal(ForeseeRemoval(member=OTHER))
    assert (shown.name, [one.heard for one in shown.machines]) == ("h2", [False])
    assert name_of(two.reader, THIRD) == THIRD
