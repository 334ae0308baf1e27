"""Who has a line to whom (``mesh``), over real sockets."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import pytest

from girginosvm.raft.credentials import Address
from girginosvm.raft.lines import Down, Heard, Up
from tests.floors.raft.pki import Authority
from tests.floors.raft.ring import Ring, authority, lines, roster

__all__ = ["authority"]


def addresses_of(ring: Ring) -> dict[str, Address]:
    return {name: Address("127.0.0.1", end.port) for name, end in ring.ends.items()}


def know(ring: Ring, *voters: str, who: Iterable[str] = ()) -> None:
    """What these know from now on, or all."""
    for name in who or ring.ends:
        ring.ends[name].set_members(*roster(addresses_of(ring), *voters))


@pytest.fixture
def five(authority: Authority) -> Iterator[Ring]:
    """One voter, and four who follow."""
    one = Ring(authority, "o1", "o2", "v1", "x1", "x2")
    know(one, "v1")
    yield one
    one.close()


def star(*voters: str) -> set[frozenset[str]]:
    return {frozenset((one, other)) for one in voters for other in ("o1", "o2", "v1", "x1", "x2") if one != other}


def passes(ring: Ring, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    ring.until(lambda: time.monotonic() > end_s)


def test_observers_have_a_line_to_the_voter_and_none_to_each_other(five: Ring) -> None:
    five.until(lambda: lines(five) == star("v1"))
    passes(five, 0.5)
    assert lines(five) == star("v1")


@pytest.mark.parametrize("order", [("o1", "o2", "v1", "x1", "x2"), ("x2", "x1", "v1", "o2", "o1")])
def test_one_that_gets_a_vote_reaches_everybody_in_whatever_order_they_hear_of_it(
    five: Ring, order: tuple[str, ...]
) -> None:
    five.until(lambda: lines(five) == star("v1"))
    for name in order:
        know(five, "v1", "o1", who=(name,))
        passes(five, 0.05)
    five.until(lambda: lines(five) == star("v1", "o1"))
    passes(five, 0.5)
    assert lines(five) == star("v1", "o1")


def test_one_that_gets_a_vote_reaches_also_who_never_hears_of_it(five: Ring) -> None:
    five.until(lambda: lines(five) == star("v1"))
    know(five, "v1", "o1", who=("v1", "o1"))
    five.until(lambda: lines(five) == star("v1", "o1"))
    passes(five, 0.5)
    assert lines(five) == star("v1", "o1")


def test_lines_that_are_of_no_use_any_more_are_ended_and_not_opened_again(five: Ring) -> None:
    know(five, "v1", "x1")
    five.until(lambda: lines(five) == star("v1", "x1"))
    for name in ("v1", "o2", "x1", "o1", "x2"):
        know(five, "v1", who=(name,))
        passes(five, 0.05)
    five.until(lambda: lines(five) == star("v1"))
    before = sum(isinstance(one, Up) for seen in five.events.values() for one in seen)
    passes(five, 1.5)
    assert sum(isinstance(one, Up) for seen in five.events.values() for one in seen) == before


def test_a_line_that_the_other_end_wants_is_not_ended_however_often_the_roster_changes(five: Ring) -> None:
    """o2 was away, and takes x1 for a voter still."""
    know(five, "v1", "x1", who=("o2",))
    five.until(lambda: lines(five) == star("v1") | {frozenset(("o2", "x1"))})
    for _ in range(3):
        know(five, "v1", who=("x1",))
        passes(five, 0.1)
    assert not [one for one in five.events["x1"] if isinstance(one, Down) and one.peer == "o2"]


def test_ends_that_both_dial_at_once_agree_on_one_line(authority: Authority) -> None:
    """Each believes that it is the observer, who looks for the voter."""
    for _ in range(10):
        ring = Ring(authority, "n1", "n2")
        know(ring, "n2", who=("n1",))
        know(ring, "n1", who=("n2",))
        ring.until(lambda ring=ring: lines(ring) == {frozenset(("n1", "n2"))})
        passes(ring, 0.1)
        ring.ends["n1"].send("n2", b"there")
        ring.ends["n2"].send("n1", b"and back")
        ring.until(
            lambda ring=ring: (
                Heard("n1", b"there") in ring.events["n2"] and Heard("n2", b"and back") in ring.events["n1"]
            )
        )
        assert lines(ring) == {frozenset(("n1", "n2"))}
        ring.close()
