"""What people say of nodes: cordons and who holds them, maintenance, failure domains."""

from __future__ import annotations

import pytest
from features.engine import FACTS, NODE, Engine
from features.nodes import add_node, cluster, created

from girginosvm.core.errors import Conflict, Missing
from girginosvm.features.node import api
from girginosvm.features.node.commands import (
    BeginMaintenance,
    CordonNode,
    EndMaintenance,
    ReportNode,
    SetDomain,
    UncordonNode,
)
from girginosvm.features.node.plan import SILENT_MS
from girginosvm.features.node.queries import ListNodes, ShowNode


def state(engine: Engine, node: str = NODE) -> str:
    return ShowNode(node=node).fetch(engine.reader).state


def test_a_cordoned_node_keeps_its_machines_and_gets_no_new_ones(engine: Engine) -> None:
    cluster(engine, "n2")
    created(engine, "here", node=NODE)
    assert engine.run(CordonNode(node=NODE)) == {"node": NODE, "closed_by": ["person"]}
    shown = ShowNode(node=NODE).fetch(engine.reader)
    assert (shown.state, shown.vms, shown.cordons[0].by) == ("cordoned", 1, "root")
    assert {created(engine, f"m{n}")["node"] for n in range(3)} == {"n2"}
    with pytest.raises(Conflict, match="node h1 is cordoned"):
        created(engine, "pinned", node=NODE)
    assert engine.run(UncordonNode(node=NODE)) == {"node": NODE, "closed_by": []}
    assert created(engine, "back")["node"] == NODE


def test_the_end_of_a_maintenance_leaves_a_cordon_that_a_person_set(engine: Engine) -> None:
    cluster(engine)
    created(engine, "web")
    begun = engine.run(BeginMaintenance(node=NODE))
    assert (begun["vms"], begun["names"]) == (1, ["web"])
    assert begun["detail"] == "web stays on h1: machines cannot be moved to another node yet"
    engine.run(CordonNode(node=NODE))
    assert state(engine) == "maintenance"
    assert engine.run(EndMaintenance(node=NODE)) == {"node": NODE, "closed_by": ["person"]}
    assert state(engine) == "cordoned"
    engine.run(UncordonNode(node=NODE))
    assert state(engine) == "ready"


def test_a_maintenance_holds_its_cordon_against_an_uncordon(engine: Engine) -> None:
    cluster(engine)
    assert engine.run(BeginMaintenance(node=NODE))["detail"] == "no machine is on h1"
    assert engine.run(UncordonNode(node=NODE)) == {"node": NODE, "closed_by": ["maintenance"]}
    assert state(engine) == "maintenance"


def test_what_is_said_twice_is_one_event(engine: Engine) -> None:
    cluster(engine)
    for command in (CordonNode, UncordonNode, BeginMaintenance, EndMaintenance):
        for _ in range(2):
            engine.run(command(node=NODE))
    for domain in ("rack1", "rack1", "", ""):
        engine.run(SetDomain(node=NODE, domain=domain))
    kinds = [row["kind"] for row in engine.rows("SELECT kind FROM event WHERE noun = 'node' ORDER BY log_index, n")]
    assert kinds == ["node.added", "node.cordoned", "node.uncordoned", "node.maintenance-begun",
                     "node.maintenance-ended", "node.located", "node.located"]  # fmt: skip


def test_domains_are_shown_and_told_to_other_rooms(engine: Engine) -> None:
    cluster(engine, "n2")
    engine.run(SetDomain(node="n2", domain="rack2"))
    assert api.domains(engine.reader) == {NODE: "", "n2": "rack2"}
    assert [node.domain for node in ListNodes().fetch(engine.reader).items] == ["", "rack2"]
    (found,) = ListNodes(filter="domain=rack2,state=ready").fetch(engine.reader).items
    assert found.name == "n2"


def test_a_node_that_has_gone_quiet_says_so_where_there_are_others(engine: Engine) -> None:
    cluster(engine)
    engine.ahead_ms += SILENT_MS * 2
    engine.run(CordonNode(node=NODE))
    assert state(engine) == "cordoned"  # alone, there is nobody to tell
    add_node(engine, "n2")
    assert (state(engine), state(engine, "n2")) == ("silent", "ready")


@pytest.mark.parametrize("command", [CordonNode, UncordonNode, BeginMaintenance, EndMaintenance])
def test_nothing_is_said_of_a_node_that_is_not_there(engine: Engine, command: type) -> None:
    cluster(engine)
    with pytest.raises(Missing, match="there is no node n9"):
        engine.run(command(node="n9"))


def test_two_nodes_have_two_names(engine: Engine) -> None:
    cluster(engine, "n2")
    engine.run(CordonNode(node="n2"))
    with pytest.raises(Conflict, match="node n2 has the name n2 already"):
        engine.run(ReportNode(node="n3", name="n2", facts=FACTS), node="n3")
    add_node(engine, "n2", memory_gb=32)  # its own name it may say again
    assert state(engine, "n2") == "cordoned"
