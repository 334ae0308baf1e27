"""How far a cluster may go, and what it says until then."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from girginosvm.core import levels
from girginosvm.core.action import Command, action
from girginosvm.core.errors import Conflict
from girginosvm.core.fields import field
from girginosvm.core.levels import ABSENT_MS, Node, Verdict, may_raise, said_at, version_at
from girginosvm.core.manifest import Manifest, Migration, Registry

NOW_MS = 100 * ABSENT_MS


def node(name: str, level: int, *, release: str = "", silent_h: float = 0) -> Node:
    return Node(name, name, release or f"0.{level}.0", level, NOW_MS - int(silent_h * 3_600_000))


def judged(current: int, *nodes: Node, voters: str = "", reached: str = "") -> Verdict:
    return may_raise(current, nodes, frozenset(voters.split()), NOW_MS, reached=frozenset(reached.split()))


@pytest.mark.parametrize(
    ("current", "nodes", "voters", "level", "reason"),
    [
        (1, (), "", 1, "no node supports more than feature level 1"),
        (1, (node("n1", 1), node("n2", 1)), "n1", 1, "no node supports more than feature level 1"),
        (1, (node("n1", 2),), "n1", 2, "every node that counts supports feature level 2"),
        (1, (node("n1", 2), node("n2", 1)), "n1", 1, "feature level 2 waits for n2 (release 0.1.0 supports 1)"),
        (
            1, (node("n1", 3), node("n2", 2), node("n3", 1)), "n1", 1,
            "feature level 2 waits for n3 (release 0.1.0 supports 1)",
        ),
        (
            1, (node("n1", 3), node("n2", 2)), "n1", 2,
            "every node that counts supports feature level 2; feature level 3 waits for n2 (release 0.2.0 supports 2)",
        ),
        (
            1, (node("n1", 2), node("n2", 1, silent_h=25)), "n1", 2,
            "every node that counts supports feature level 2; not heard of for long, and passed over: n2 (25 h)",
        ),
        (1, (node("n1", 2), node("n2", 1, silent_h=23.9)), "n1", 1,
         "feature level 2 waits for n2 (release 0.1.0 supports 1)"),
        (
            1, (node("n1", 2), node("n2", 1, silent_h=100)), "n1 n2", 1,
            "feature level 2 waits for n2 (release 0.1.0 supports 1; not heard of for 4 days, but it votes: "
            "upgrade it, or drain it)",
        ),
        (1, (node("n1", 2),), "n1 n9", 1,
         "feature level 2 waits for n9 (votes, and has not said which release it is)"),
        (1, (node("n1", 2), node("n2", 0)), "n1", 1, "feature level 2 waits for n2 (has not said which release it is)"),
        (
            2, (node("n1", 3), node("n2", 3), node("n3", 1)), "n1 n3", 3,
            "every node that counts supports feature level 3; applying nothing until upgraded: n3",
        ),
        (
            1, (node("n1", 2), *(node(f"o{n}", 1) for n in range(5))), "n1", 1,
            "feature level 2 waits for o0 (release 0.1.0 supports 1), o1 (release 0.1.0 supports 1), "
            "o2 (release 0.1.0 supports 1) and 2 more",
        ),
    ],
)  # fmt: skip
def test_a_cluster_goes_as_far_as_all_that_count_and_says_who_holds_it_back(
    current: int, nodes: tuple[Node, ...], voters: str, level: int, reason: str
) -> None:
    verdict = judged(current, *nodes, voters=voters)
    assert (verdict.level, verdict.reason) == (level, reason)


def test_one_that_is_reached_counts_also_when_the_log_has_not_heard_of_it_for_long() -> None:
    """After a night without power everybody's last word is old."""
    nodes = (node("n1", 2, silent_h=30), node("n2", 1, silent_h=30))
    assert judged(1, *nodes, voters="n1", reached="n1").level == 2
    verdict = judged(1, *nodes, voters="n1", reached="n1 n2")
    assert (verdict.level, verdict.reason) == (1, "feature level 2 waits for n2 (release 0.1.0 supports 1)")


NODES = st.lists(
    st.builds(
        Node, id=st.sampled_from("abcdef"), name=st.sampled_from("uvw"), release=st.just("x"),
        level=st.integers(0, 4), seen_ms=st.integers(NOW_MS - 2 * ABSENT_MS, NOW_MS),
    ),
    unique_by=lambda one: one.id, max_size=6,
)  # fmt: skip
SOME = st.frozensets(st.sampled_from("abcdefg"))


@given(st.integers(1, 4), NODES, SOME, SOME)
def test_no_node_that_counts_is_left_behind(
    current: int, nodes: list[Node], voters: frozenset[str], reached: frozenset[str]
) -> None:
    verdict = may_raise(current, nodes, voters, NOW_MS, reached=reached)
    assert verdict.level >= current
    assert verdict.reason
    for one in nodes:
        counts = one.id in voters | reached or NOW_MS - one.seen_ms < ABSENT_MS
        if verdict.level > current and counts and not 0 < one.level < current:
            assert one.level >= verdict.level
    if verdict.level > current:
        assert voters <= {one.id for one in nodes}


@given(st.integers(1, 4), NODES, SOME, SOME)
def test_whoever_does_not_count_changes_nothing(
    current: int, nodes: list[Node], voters: frozenset[str], reached: frozenset[str]
) -> None:
    there = [one for one in nodes if one.id in voters | reached or NOW_MS - one.seen_ms < ABSENT_MS]
    with_all = may_raise(current, nodes, voters, NOW_MS, reached=reached)
    assert with_all.level == may_raise(current, there, voters, NOW_MS, reached=reached).level
    backwards = may_raise(current, reversed(nodes), voters, NOW_MS, reached=reached)
    assert backwards == with_all


@given(NODES, SOME, SOME)
def test_a_level_holds_until_the_last_one_and_then_goes(
    nodes: list[Node], voters: frozenset[str], reached: frozenset[str]
) -> None:
    """Upgraded one by one, in whatever order, the last one that counts is the one that lets it go."""
    counted = [one for one in nodes if one.id in voters | reached or NOW_MS - one.seen_ms < ABSENT_MS]
    old = {one.id: msgspec.structs.replace(one, level=1) for one in nodes}
    missing = voters - old.keys()
    for done, one in enumerate(counted, 1):
        old[one.id] = msgspec.structs.replace(one, level=2)
        verdict = may_raise(1, old.values(), voters, NOW_MS, reached=reached)
        assert (verdict.level == 2) == (done == len(counted) and not missing)


# What is said at a level.


@action(
    "POST /v1/boats/{boat}", permission="boat.paint", summary="Paint a boat", audit="paint {boat}", levels=(1, 3, 4)
)
class PaintBoat(Command, frozen=True, kw_only=True):
    """Three versions."""

    boat: Annotated[str, field("Boat.")]
    colour: Annotated[str, field("Colour.", since=2)] = "white"
    marks: Annotated[list[str], field("Marks.", since=3)] = msgspec.field(default_factory=list)


@action("POST /v1/boats/report", permission="boat.report", summary="Report", audit="report", levels=(2, 3))
class ReportBoat(Command, frozen=True, kw_only=True):
    """A node's word."""

    boat: Annotated[str, field("Boat.")]
    depth: Annotated[int, field("Depth.", since=2)] = 0


def body(said: levels.Said) -> dict[str, Any]:
    return dict(msgspec.msgpack.decode(said.body))


def test_a_level_has_the_newest_version_that_all_of_it_understand() -> None:
    assert [version_at((1, 3, 4), level) for level in range(6)] == [0, 1, 1, 2, 3, 3]
    boat = PaintBoat(boat="b")
    said = [said_at(boat, level) for level in (1, 2, 3, 4, 9)]
    assert [(one.version, one.needs) for one in said] == [(1, 1), (1, 1), (2, 3), (3, 4), (3, 4)]
    assert [sorted(body(one)) for one in said] == [
        ["boat"], ["boat"], ["boat", "colour"], ["boat", "colour", "marks"], ["boat", "colour", "marks"]
    ]  # fmt: skip


def test_a_field_that_not_all_understand_is_refused_to_a_person_and_left_out_of_a_report() -> None:
    with pytest.raises(Conflict, match="colour needs feature level 3, and this cluster is at 2") as caught:
        said_at(PaintBoat(boat="b", colour="red"), 2)
    assert caught.value.code == "level-low"
    with pytest.raises(Conflict, match="marks needs feature level 4"):
        said_at(PaintBoat(boat="b", marks=["x"]), 3)
    assert body(said_at(PaintBoat(boat="b", colour="red"), 3)) == {"boat": "b", "colour": "red"}
    assert body(said_at(ReportBoat(boat="b", depth=7), 2)) == {"boat": "b"}
    assert body(said_at(ReportBoat(boat="b", depth=7), 3)) == {"boat": "b", "depth": 7}


def test_a_command_that_not_all_know_is_refused() -> None:
    with pytest.raises(Conflict, match="'Report' needs feature level 2, and this cluster is at 1"):
        said_at(ReportBoat(boat="b"), 1)


def test_a_release_whose_parts_need_more_than_it_has_does_not_start() -> None:
    @action("POST /v1/x", permission="boat.x", summary="x", audit="x", levels=(2, 1, 5))
    class Odd(Command, frozen=True, kw_only=True):
        size: Annotated[int, field("Size.", since=2)]
        late: Annotated[int, field("Late.", since=9)] = 0

    with pytest.raises(TypeError) as caught:
        Registry((Manifest(name="boat", actions=(Odd,)),), level=2)
    assert str(caught.value).split("; ") == [
        "Odd: levels only ever grow", "Odd needs level 5, this release has 2",
        "Odd.size came with version 2: it needs a default", "Odd.late: there is no version 9 to come with",
    ]  # fmt: skip
    steps = (Migration(1, "", level=2), Migration(2, "", level=1), Migration(3, "", level=3))
    with pytest.raises(TypeError) as caught:
        Registry((Manifest(name="boat", migrations=steps),), level=2)
    assert str(caught.value).split("; ") == [
        "boat: the levels of migrations only ever grow", "migration boat.3 needs level 3, this release has 2"
    ]  # fmt: skip


def test_levels_are_numbered_without_gaps_and_say_what_they_brought() -> None:
    assert list(levels.LEVELS) == list(range(1, levels.SUPPORTED + 1))
    assert all(levels.LEVELS.values())
