"""What a leader does next for the members, and when the cluster goes on to its next CA. Pure."""

from __future__ import annotations

import msgspec
import pytest

from girginosvm.features.membership import plan, voters
from girginosvm.features.membership.api import Ca, Row, Trust

N1, N2, N3 = (Row(f"m{n}", f"n{n}", f"192.0.2.{n}:1995", f"192.0.2.{n}:1996", "member", witness=False) for n in "123")
ALL = frozenset({"m1", "m2", "m3"})


def standing(**changes: object) -> plan.Standing:
    usual = plan.Standing(me="m1", leading=True, members=ALL, voters=ALL, reached=ALL)
    return msgspec.structs.replace(usual, **changes)


def drained(row: Row) -> Row:
    return msgspec.structs.replace(row, drained=True)


def joining(row: Row) -> Row:
    return msgspec.structs.replace(row, state="joining")


ALONE = standing(members=frozenset(), voters=frozenset(), reached=frozenset())


@pytest.mark.parametrize(
    ("rows", "gone", "stands", "step"),
    [
        ((N1,), (), ALONE, None),
        ((N1, N2), (), ALONE, plan.Open("n2 is expected")),
        ((N1, N2, N3), (), standing(), None),
        ((N1, N2), (), standing(members=frozenset({"m1"})), plan.Add("m2", "192.0.2.2:1995", "n2 was let in")),
        ((N1, N2), (), standing(members=frozenset({"m1"}), leading=False), None),
        ((N1, N2), ("m3",), standing(), voters.Demote("m3", "it was removed")),
        ((N1, N2), ("m3",), standing(voters=ALL - {"m3"}), plan.Remove("m3", "it was removed")),
        ((N2, N3), ("m1",), standing(), plan.HandOver("m2", "this node was removed")),
        ((N2, N3), ("m1",), standing(reached=frozenset()), None),
        (  # drained, but there is nobody else to take the vote of the one that was removed
            (drained(N2),),
            ("m1",),
            standing(voters=frozenset({"m1"}), members=ALL - {"m3"}),
            voters.Nominate("m2", "1 of 1 members are to vote, and 0 do"),
        ),
        (
            (drained(N2),),
            ("m1",),
            standing(voters=ALL - {"m3"}, members=ALL - {"m3"}),
            plan.HandOver("m2", "this node was removed"),
        ),
        ((drained(N2), joining(N3)), ("m1",), standing(), plan.HandOver("m2", "this node was removed")),
        (
            (N1, N2),
            (),
            standing(members=ALL - {"m3"}, voters=frozenset({"m1"})),
            voters.Nominate("m2", "2 of 2 members are to vote, and 1 do"),
        ),
        (
            (N1, N2),
            (),
            standing(members=ALL - {"m3"}, voters=frozenset({"m1"}), nominated=frozenset({"m2"})),
            voters.Promote("m2", "2 of 2 members are to vote, and 1 do"),
        ),
        ((N1, N2), (), standing(members=ALL - {"m3"}, voters=frozenset({"m1"}), reached=frozenset()), None),
        ((N1, joining(N2)), (), standing(members=ALL - {"m3"}, voters=frozenset({"m1"})), None),
        ((N1, drained(N2), N3), (), standing(), voters.Demote("m2", "n2 is drained")),
        ((N1, drained(N2), N3), (), standing(reached=frozenset({"m2"})), None),  # nobody could decide without m2
        ((N1, N3), ("m2",), standing(reached=frozenset({"m2"})), None),
        ((N1, drained(N2)), ("m3",), standing(reached=frozenset({"m2"})), voters.Demote("m3", "it was removed")),
        ((drained(N1), N2, N3), (), standing(), plan.HandOver("m2", "this node is drained")),
        ((drained(N1), drained(N2), N3), (), standing(), plan.HandOver("m3", "this node is drained")),
        ((drained(N1), N2), (), standing(voters=frozenset({"m1"}), members=ALL - {"m3"}, reached=frozenset()), None),
        (
            (drained(N1), N2),
            (),
            standing(voters=frozenset({"m1"}), members=ALL - {"m3"}),
            voters.Nominate("m2", "1 of 1 members are to vote, and 0 do"),
        ),
    ],
)
def test_the_next_step_and_its_reason(
    rows: tuple[Row, ...], gone: tuple[str, ...], stands: plan.Standing, step: plan.Step | None
) -> None:
    assert plan.plan(rows, frozenset(gone), {}, stands) == step


def test_what_the_leader_says_of_a_node_follows_what_it_hears() -> None:
    nodes = {"m1", "m2", "m3", "m4"}
    silent_ms = {"m1": 0, "m2": 4_999, "m3": 5_000, "w1": 60_000}
    assert plan.changed_reach(nodes, set(), silent_ms) == ("m3",)
    assert plan.changed_reach(nodes, {"m1", "m3", "m4"}, silent_ms) == ("m1",)


def ca(generation: int, phase: str) -> Ca:
    return Ca(generation, f"PEM{generation}", "", "", phase)


@pytest.mark.parametrize(
    ("cas", "trusts", "step"),
    [
        ((), (), None),
        ((ca(1, "used"),), ((1, 1), (0, 0)), None),
        ((ca(1, "used"), ca(2, "offered")), ((2, 1), (1, 1)), None),
        ((ca(1, "used"), ca(2, "offered")), ((2, 1), (2, 1)), (2, "used")),
        ((ca(1, "old"), ca(2, "used")), ((2, 2), (2, 1)), None),
        ((ca(1, "old"), ca(2, "used")), ((2, 2), (2, 2)), (2, "alone")),
        ((ca(1, "used"), ca(2, "offered"), ca(3, "offered")), ((3, 1), (2, 1)), None),
        ((ca(1, "used"), ca(2, "offered"), ca(3, "offered")), ((3, 1), (3, 1)), (3, "used")),
    ],
)
def test_the_next_ca_waits_for_every_member(
    cas: tuple[Ca, ...], trusts: tuple[tuple[int, int], ...], step: tuple[int, str] | None
) -> None:
    assert plan.advance(cas, tuple(Trust(f"m{n}", *pair) for n, pair in enumerate(trusts))) == step
