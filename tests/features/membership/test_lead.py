"""Who should lead, as an operator prefers it, and to whom the lead goes. Pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from girginosvm.features.membership import lead, plan
from girginosvm.features.membership.api import Row

NAMES = ("n1", "n2", "n3")


def row(name: str, order: str = "", *, witness: bool = False, drained: bool = False) -> Row:
    return Row(name, name, f"{name}:1", f"{name}:2", "member", witness, drained, order)  # type: ignore[arg-type]


def voices(me: str = "n1", reached: tuple[str, ...] = NAMES, **lag: int) -> lead.Voices:
    return lead.Voices(me, frozenset(NAMES), frozenset(reached), lag)


@pytest.mark.parametrize(
    ("orders", "ranks"),
    [
        (("", "", ""), (0, 0, 0)),
        (("", "last", ""), (0, 2, 0)),
        (("first", "", "last"), (0, 1, 2)),
        (("any", "last", "first"), (1, 2, 0)),
    ],
)
def test_nobody_waits_for_a_first_one_that_there_is_not(orders: tuple[str, ...], ranks: tuple[int, ...]) -> None:
    rows = tuple(row(name, order) for name, order in zip(NAMES, orders, strict=True))
    assert tuple(lead.rank(rows, name) for name in NAMES) == ranks


def test_a_witness_leads_last_unless_somebody_says_otherwise() -> None:
    assert lead.order_of(row("w1", witness=True)) == "last"
    assert lead.order_of(row("w1", "any", witness=True)) == "any"


def test_the_heir_is_preferred_then_near_then_the_same_each_time() -> None:
    rows = (row("n1"), row("n2", "last"), row("n3"))
    assert lead.heir(voices(n2=0, n3=9), rows=rows) == "n3"
    assert lead.heir(voices(n2=9, n3=0)) == "n3"
    assert lead.heir(voices()) == "n2"
    assert lead.heir(voices(n2=0, n3=9), without={"n3"}, rows=rows) == "n2"
    assert lead.heir(voices(reached=("n1",)), rows=rows) == ""


@pytest.mark.parametrize(
    ("orders", "lag", "step"),
    [
        (("", "first", ""), {"n2": 0}, ("n2", "n2 is to lead first")),
        (("", "first", ""), {"n2": 1_001}, None),  # it would lead once it has caught up
        (("", "first", ""), {}, None),
        (("first", "first", ""), {"n2": 0}, None),
        (("last", "", ""), {"n2": 5, "n3": 0}, ("n3", "n1 is to lead last")),
        (("last", "last", "last"), {"n2": 0, "n3": 0}, None),
    ],
)
def test_the_lead_goes_to_whoever_is_preferred_and_near(
    orders: tuple[str, ...], lag: dict[str, int], step: tuple[str, str] | None
) -> None:
    rows = tuple(row(name, order) for name, order in zip(NAMES, orders, strict=True))
    assert lead.better(voices(**lag), rows) == step


def test_a_preference_is_followed_after_all_that_the_members_need_and_not_in_circles() -> None:
    rows = (row("n1"), row("n2", "first"), row("n3"))
    ids = frozenset(NAMES)
    stands = plan.Standing(me="n1", leading=True, members=ids, voters=ids, reached=ids, lag={"n2": 0, "n3": 0})
    handed = plan.HandOver("n2", "n2 is to lead first")
    assert plan.plan(rows, frozenset(), {}, stands) == handed
    assert plan.plan((*rows, row("n4")), frozenset(), {}, stands) == plan.Add("n4", "n4:1", "n4 was let in")
    offered = plan.Standing(
        me="n1", leading=True, members=ids, voters=ids, reached=ids, lag=stands.lag, offered=frozenset({"n2"})
    )
    assert plan.plan(rows, frozenset(), {}, offered) is None
    closed = (rows[0], row("n2", "first", drained=True), rows[2])
    assert plan.plan(closed, frozenset(), {}, offered) != handed


@given(
    st.lists(st.sampled_from(["", "first", "any", "last"]), min_size=3, max_size=3),
    st.dictionaries(st.sampled_from(NAMES), st.integers(0, 2_000)),
    st.sampled_from(NAMES),
)
def test_whoever_got_the_lead_keeps_it(orders: list[str], lag: dict[str, int], me: str) -> None:
    rows = tuple(row(name, order) for name, order in zip(NAMES, orders, strict=True))
    found = lead.better(voices(me, **lag), rows)
    if found:
        everybody_is_near = voices(found[0], **dict.fromkeys(NAMES, 0))
        again = lead.better(everybody_is_near, rows)
        assert again is None or lead.rank(rows, again[0]) < lead.rank(rows, found[0]) < lead.rank(rows, me)
