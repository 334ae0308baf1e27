"""Which release each node runs, and the step that all of them take together, on the rows that they really have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from features.engine import NODE, Engine
from features.nodes import add_node

from girginosvm.core.errors import Conflict, Forbidden, Stale
from girginosvm.core.levels import ABSENT_MS
from girginosvm.core.log import Log
from girginosvm.features.cluster.commands import RaiseLevel
from girginosvm.features.membership.api import conflicts
from girginosvm.features.membership.commands import AdmitMember, DescribeMember, RecordJoinToken, RemoveMember
from girginosvm.features.membership.model import Brought
from girginosvm.features.node import api
from girginosvm.features.node.commands import ReportRelease
from girginosvm.features.node.queries import ListNodes, ShowNode
from girginosvm.state import db as dbs
from girginosvm.state.fingerprint import fingerprint
from girginosvm.state.machine import Machine
from tests.scenarios.next_release import REGISTRY as NEXT
from tests.scenarios.next_release import CountNotes, SetDomain

FIRST, SECOND = (f"{digit * 8}-2222-7333-8444-555555555555" for digit in "12")
TOKEN = "e" * 64


@pytest.fixture
def engine() -> Iterator[Engine]:
    """The next release, in a cluster of n1 that is still at level 1."""
    one = Engine(NEXT)
    one.furnish()
    one.run(ReportRelease(node=NODE, release="0.2.0", level=2))
    yield one
    one.close()


def rise(engine: Engine, *, voters: tuple[str, ...] = (NODE,), reached: tuple[str, ...] = (NODE,), level: int = 2):
    return engine.run(RaiseLevel(level=level, voters=voters, reached=reached, steps=engine.machine.steps(level)))


def admit(engine: Engine, **fields: object) -> None:
    engine.run(RecordJoinToken(token_hash=TOKEN))
    words = {"name": "m2", "address": "192.0.2.11:1995", "api": "192.0.2.11:1996"} | fields
    engine.run(AdmitMember(token_hash=TOKEN, member=SECOND, **words))


def released(engine: Engine) -> dict[str, tuple[str, int]]:
    return {one.name: (one.release, one.level) for one in api.releases(engine.reader)}


def test_a_nodes_release_is_shown_and_a_change_of_it_is_history(engine: Engine) -> None:
    add_node(engine, "n2")
    shown = {one.name: (one.release, one.level) for one in ListNodes(sort="name").fetch(engine.reader).items}
    assert shown == {"h1": ("0.2.0", 2), "n2": ("", 0)}
    for release, level in (("0.1.0", 1), ("0.1.0", 1), ("0.2.0", 2)):
        engine.run(ReportRelease(node="n2", release=release, level=level), node="n2")
    assert ShowNode(node="n2").fetch(engine.reader).release == "0.2.0"
    texts = [row["text"] for row in engine.rows("SELECT text FROM event WHERE kind = 'node.release'")]
    assert texts == ["n2 runs release 0.2.0, which supports feature level 2; it was 0.1.0"]


def test_a_cluster_goes_on_when_the_last_one_that_counts_is_new(engine: Engine) -> None:
    add_node(engine, "n2")
    engine.run(ReportRelease(node="n2", release="0.1.0", level=1), node="n2")
    with pytest.raises(Conflict, match=r"feature level 2 waits for n2 \(release 0\.1\.0 supports 1\)") as caught:
        rise(engine)
    assert caught.value.code == "level-held"
    assert engine.reader.level == 1
    engine.run(ReportRelease(node="n2", release="0.2.0", level=2), node="n2")
    (step,) = engine.machine.steps(2)
    assert rise(engine) == {"level": 2, "migrations": [str(step)]}
    assert engine.reader.level == 2
    with pytest.raises(Stale, match="at feature level 2 already") as passed:
        rise(engine)
    assert passed.value.code == "level-passed"
    (event,) = engine.rows("SELECT text FROM event WHERE kind = 'cluster.level-raised'")
    assert event["text"] == "the cluster goes on to feature level 2: every node that counts supports feature level 2"


def test_one_that_was_not_heard_of_for_a_day_is_passed_over_unless_it_votes_or_is_there(engine: Engine) -> None:
    add_node(engine, "n2")
    engine.run(ReportRelease(node="n2", release="0.1.0", level=1), node="n2")
    engine.ahead_ms = ABSENT_MS + 1000
    with pytest.raises(Conflict, match="not heard of for 24 h, but it votes"):
        rise(engine, voters=(NODE, "n2"))
    with pytest.raises(Conflict, match="waits for n2"):
        rise(engine, reached=(NODE, "n2"))
    add_node(engine, "n2")  # any word of it counts
    with pytest.raises(Conflict, match="waits for n2"):
        rise(engine)
    engine.ahead_ms += ABSENT_MS
    rise(engine)
    assert engine.reader.level == 2


def test_words_and_tables_change_with_the_level_and_the_log_replays(engine: Engine, tmp_path: Path) -> None:
    assert engine.run(SetDomain(node=NODE, domain="rack1")) == {"node": NODE, "domain": "rack1"}
    with pytest.raises(Conflict, match="note needs feature level 2"):
        engine.run(SetDomain(node=NODE, domain="rack1", note="moved"))
    rise(engine)
    assert engine.run(SetDomain(node=NODE, domain="rack1", note="moved"))["note"] == "moved"
    assert engine.run(CountNotes()) == {"notes": 1}
    again = Machine(tmp_path / "again.db", NEXT, Log(), incarnation="test")
    for entry in engine.log:
        again.apply(entry)
    reader = dbs.open_reader(tmp_path / "again.db")
    assert fingerprint(reader) == fingerprint(engine.reader_db)
    reader.close()
    again.close()


def test_a_node_that_is_let_in_has_said_its_release_and_an_older_one_than_the_cluster_is_not(engine: Engine) -> None:
    engine.run(DescribeMember(member=FIRST, name="m1", address="192.0.2.10:1995", api="192.0.2.10:1996"), node=FIRST)
    engine.run(ReportRelease(node=FIRST, release="0.2.0", level=2), node=FIRST)
    admit(engine, release="0.1.0", level=1)
    assert released(engine) == {"h1": ("0.2.0", 2), "m1": ("0.2.0", 2), "m2": ("0.1.0", 1)}
    with pytest.raises(Conflict, match="waits for m2"):  # it is on its way
        rise(engine)
    engine.run(RemoveMember(member=SECOND))
    assert "m2" not in released(engine)
    with pytest.raises(Forbidden, match="was removed"):  # its last word came late
        engine.run(ReportRelease(node=SECOND, release="0.1.0", level=1), node=SECOND)
    rise(engine)
    against = conflicts(engine.reader, "m3", "192.0.2.12:1995", Brought(), release="0.1.0", level=1)
    assert against == (
        "the cluster is at feature level 2, and release 0.1.0 of m3 supports 1: upgrade it first",
    )  # fmt: skip
    assert conflicts(engine.reader, "m3", "192.0.2.12:1995", Brought(), release="0.3.0", level=3) == ()
