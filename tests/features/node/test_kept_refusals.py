"""A node that speaks for another is refused, and the history says so, though nothing else of its request stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from features.engine import FACTS, NODE, Engine

from girginosvm.core.action import Command
from girginosvm.core.errors import Overreach
from girginosvm.features.center.commands import ReportCenter
from girginosvm.features.cluster.commands import RecordRecovery
from girginosvm.features.image.commands import RecordImage, ReportImage
from girginosvm.features.membership.authority import ReportTrust
from girginosvm.features.membership.commands import DescribeMember
from girginosvm.features.node.commands import ReportNode, ReportRelease
from girginosvm.features.registry import REGISTRY
from girginosvm.features.storage.commands import ReportPool
from girginosvm.features.vm.bring import BringVm
from girginosvm.features.vm.reports import ReportForeign, ReportVm
from girginosvm.state.history import verify

# Everything that a node says, in another node's name.
SAID: dict[str, Callable[[], Command]] = {
    "ReportNode": lambda: ReportNode(node=NODE, name="h1", facts=FACTS),
    "ReportPool": lambda: ReportPool(pool="p", node=NODE, capacity_bytes=1, free_bytes=1, allocated_bytes=0),
    "ReportVm": lambda: ReportVm(vm="v", node=NODE, state="running"),
    "ReportForeign": lambda: ReportForeign(node=NODE, domains=()),
    "ReportImage": lambda: ReportImage(image="i", node=NODE, state="ready"),
    "RecordImage": lambda: RecordImage(
        name="x", node=NODE, source="upload", sha256="0" * 64, size_bytes=1, virtual_bytes=1, format="qcow2"
    ),
    "BringVm": lambda: BringVm(
        node=NODE, id="33333333-2222-4333-8444-555555555555", name="shop", project="default", generation=1, power="on",
        adopted=False, vcpu=1, memory_bytes=1, firmware="bios", image="", image_name="",
    ),
    "ReportRelease": lambda: ReportRelease(node=NODE, release="0.2.0", level=2),
    "ReportCenter": lambda: ReportCenter(node=NODE),
    "RecordRecovery": lambda: RecordRecovery(
        member=NODE, recovery="r", gone=(), last_index=1, last_term=1, proof="a test"
    ),
    "ReportTrust": lambda: ReportTrust(member="11111111-2222-7333-8444-555555555555", trusts=1, shows=1),
    "DescribeMember": lambda: DescribeMember(
        member="11111111-2222-7333-8444-555555555555", name="h1", address="192.0.2.10:1995", api="192.0.2.10:1996"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_a_node_that_speaks_for_another_is_refused_and_it_is_kept(engine: Engine, name: str) -> None:
    engine.furnish()
    events = len(engine.rows("SELECT 1 FROM event"))
    tables = [row["name"] for row in engine.rows("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    state = {"event", "request", "machine_state"}
    before = {table: engine.rows(f"SELECT * FROM {table}") for table in tables if table not in state}
    with pytest.raises(Overreach) as caught:
        engine.run(SAID[name](), node="n2")
    assert caught.value.code == "not-your-row"
    (event,) = engine.rows("SELECT * FROM event ORDER BY log_index LIMIT -1 OFFSET ?", events)
    assert (event["kind"], event["noun"], event["subject_id"], event["node"]) == ("command.refused", "node", "n2", "n2")
    assert event["text"] == f"refused: {caught.value.detail}"
    assert event["fields"] == f'{{"command":"{name}"}}'
    assert {table: engine.rows(f"SELECT * FROM {table}") for table in before} == before
    assert verify(engine.reader_db) is None


def test_every_command_that_says_whose_word_it_is_is_tried() -> None:
    platform = {name for name, kind in REGISTRY.commands.items() if kind.action.permission.endswith(".report")}
    said = {name for name in platform if {"node", "member"} & set(REGISTRY.commands[name].__struct_fields__)}
    # Any node lets another one in, with a token; whoever leads says which others it reaches.
    assert said - {"AdmitMember", "ReportAway"} == set(SAID)


def test_a_refusal_of_another_kind_leaves_no_event(engine: Engine) -> None:
    engine.furnish()
    events = len(engine.rows("SELECT 1 FROM event"))
    with pytest.raises(Exception, match="image tiny is here already"):
        engine.run(
            RecordImage(name="tiny", node=NODE, source="upload", sha256="0" * 64, size_bytes=1, virtual_bytes=1,
                        format="qcow2")
        )  # fmt: skip
    assert len(engine.rows("SELECT 1 FROM event")) == events
