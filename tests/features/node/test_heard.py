"""Of machines on a node that nobody hears, the state is the last one that was heard: decided here, for everybody."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from features.engine import ADMIN, NODE, Engine
from features.nodes import cluster, created

from girginosvm.core.clock import SystemChance, SystemClock
from girginosvm.daemon.execute import Executor
from girginosvm.daemon.secrets import ClusterKey
from girginosvm.features.node.commands import ReportAway
from girginosvm.features.node.plan import is_heard
from girginosvm.features.node.queries import ListNodes, ShowNode
from girginosvm.features.registry import REGISTRY
from girginosvm.features.vm.queries import ListVms, ShowVm
from girginosvm.features.vm.reports import ReportVm
from girginosvm.state.reader import Reader, Readers, Sight


def seen_from(engine: Engine, node: str = "", *, cut_off: bool = False) -> Reader:
    reader = engine.reader
    reader.sight = Sight(node, cut_off)
    return reader


def shown(reader: Reader) -> dict[str, tuple[str, bool]]:
    return {vm.name: (vm.state, vm.heard) for vm in ListVms().fetch(reader).items}


@pytest.fixture
def two(engine: Engine) -> Engine:
    """A running machine on each of two nodes."""
    cluster(engine, "n2")
    for name, node in (("a", NODE), ("b", "n2")):
        vm = created(engine, name, node=node)["vm"]
        engine.run(ReportVm(vm=vm, node=node, state="running", reached=1), node=node)
    return engine


@pytest.mark.parametrize(("here", "away", "cut_off"), list(itertools.product((False, True), repeat=3)))
def test_what_is_elsewhere_is_heard_by_way_of_a_leader_only(here: bool, away: bool, cut_off: bool) -> None:
    assert is_heard(here=here, away=away, cut_off=cut_off) is (here or (not away and not cut_off))


def test_a_machine_on_a_node_that_the_leader_lost_keeps_its_state_and_is_said_to_be_unheard(two: Engine) -> None:
    assert shown(two.reader) == {"a": ("running", True), "b": ("running", True)}
    two.run(ReportAway(node="n2", away=True))
    assert shown(seen_from(two, NODE)) == {"a": ("running", True), "b": ("running", False)}
    assert shown(seen_from(two, "n2")) == {"a": ("running", True), "b": ("running", True)}  # it sees its own
    (lost,) = [vm.id for vm in ListVms().fetch(two.reader).items if vm.name == "b"]
    one = ShowVm(vm=lost).fetch(seen_from(two, NODE))
    assert (one.state, one.heard) == ("running", False)
    assert {node.name: (node.state, node.heard) for node in ListNodes().fetch(seen_from(two, NODE)).items} == {
        "h1": ("ready", True), "n2": ("silent", False),
    }  # fmt: skip
    two.run(ReportAway(node="n2", away=False))
    assert ShowNode(node="n2").fetch(seen_from(two, NODE)).heard
    assert shown(seen_from(two, NODE))["b"] == ("running", True)


def test_a_node_that_is_cut_off_knows_its_own_machines_only(two: Engine) -> None:
    assert shown(seen_from(two, "n2", cut_off=True)) == {"a": ("running", False), "b": ("running", True)}


def test_a_node_that_is_cut_off_calls_no_other_node_ready(two: Engine) -> None:
    alone = seen_from(two, "n2", cut_off=True)
    assert {node.name: (node.state, node.heard) for node in ListNodes().fetch(alone).items} == {
        "h1": ("silent", False), "n2": ("ready", True),
    }  # fmt: skip
    assert [node.name for node in ListNodes(filter="state=silent").fetch(alone).items] == ["h1"]
    assert ShowNode(node=NODE).fetch(alone).state == "silent"
    assert ShowNode(node=NODE).fetch(seen_from(two, "n2")).state == "ready"


async def test_an_answer_that_is_kept_is_of_one_sight(two: Engine) -> None:
    now = [Sight(NODE), Sight(NODE, cut_off=True), Sight(NODE)]

    async def sight() -> Sight:
        return now[0]

    readers = Readers(two.path)
    executor = Executor(
        REGISTRY, readers, asyncio.Future, key=ClusterKey(bytes(32), chance=SystemChance()), hash_password=str,
        clock=SystemClock(), chance=SystemChance(), sight=sight,
    )  # fmt: skip
    said = []
    while now:
        answer = await executor.query(ListVms(), ADMIN)
        said.append([vm.heard for vm in answer.value.items if vm.name == "b"])
        now.pop(0)
    readers.close()
    assert said == [[True], [False], [True]]
