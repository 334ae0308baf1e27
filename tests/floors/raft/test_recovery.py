"""When a survivor may go on alone, and why not. Values in, a verdict out."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from girginosvm.core.entries import Change
from girginosvm.raft.journal import Base
from girginosvm.raft.membership import Member, Roster
from girginosvm.raft.recovery import TERMS, Recovery, Refusal, Sight, decide, survival, term_after

NAMES = {one: f"host-{one}" for one in ("n1", "n2", "n3", "n4", "n5")}


def sight(
    voters: str = "n1 n2", *, reached: str = "", observers: str = "", electable: str = "", **more: object
) -> Sight:
    voting = frozenset(voters.split())
    known = voting | frozenset(observers.split())
    words = {
        "member": "n1", "voters": voting, "electable": frozenset(electable.split()) or voting, "members": known,
        "reached": frozenset(reached.split()), "last": Base(100, 3),
    }  # fmt: skip
    return Sight(**(words | more))  # type: ignore[arg-type]


def verdict(at: Sight, gone: str, logs: Mapping[str, Base | None] | None = None) -> Recovery | Refusal:
    return decide(at, frozenset(gone.split()), {} if logs is None else logs, NAMES)


def refused(at: Sight, gone: str, logs: Mapping[str, Base | None] | None = None) -> str:
    found = verdict(at, gone, logs)
    assert isinstance(found, Refusal)
    assert found.reason
    return found.code


def test_of_two_voters_the_survivor_has_all_that_was_acknowledged() -> None:
    assert verdict(sight(), "n2") == Recovery(("n2",), (), whole=True)


def test_of_three_voters_with_two_gone_something_may_be_lost() -> None:
    assert verdict(sight("n1 n2 n3"), "n2 n3") == Recovery(("n2", "n3"), (), whole=False)


def test_of_four_voters_two_survivors_have_all_between_them() -> None:
    found = verdict(sight("n1 n2 n3 n4", reached="n2"), "n3 n4", {"n2": Base(100, 3)})
    assert found == Recovery(("n3", "n4"), ("n2",), whole=True)


def test_an_observer_that_is_left_goes_on_and_says_that_something_may_be_lost() -> None:
    assert verdict(sight("n2", observers="n1 n3"), "n2") == Recovery(("n2",), ("n3",), whole=False)


def test_everybody_who_is_not_given_up_has_to_come_back_under_another_id() -> None:
    found = verdict(
        sight("n1 n2 n3 n4 n5", reached="n2 n9", observers="n9"), "n3 n4 n5", {"n2": Base(100, 3), "n9": Base(90, 3)}
    )
    assert found == Recovery(("n3", "n4", "n5"), ("n2", "n9"), whole=False)


@pytest.mark.parametrize(
    ("voters", "reached", "gone"),
    [("n1 n2 n3", "n2", "n3"), ("n1", "", "n2"), ("n1 n2 n3 n4 n5", "n2 n3", "n4 n5"), ("n1 n2 n3 n4", "n2 n3", "n4")],
)
def test_with_a_majority_in_reach_there_is_nothing_to_recover(voters: str, reached: str, gone: str) -> None:
    assert refused(sight(voters, reached=reached), gone) == "recover-needless"


def test_lines_that_are_up_while_nobody_leads_are_said_to_be_no_more_than_that() -> None:
    found = verdict(sight(reached="n2", led=False), "n2")
    assert isinstance(found, Refusal)
    assert found.code == "recover-needless"
    assert "nobody leads: a host that stands still keeps its line" in found.reason


def test_whoever_is_heard_in_any_way_is_not_gone() -> None:
    assert refused(sight("n1 n2 n3", reached="n2"), "n2 n3") == "recover-needless"
    assert refused(sight("n1 n2 n3 n4", reached="n2"), "n2 n3 n4") == "recover-answers"
    assert refused(sight(), "n2", {"n2": None}) == "recover-answers"
    assert refused(sight(), "n2", {"n2": Base(1, 1)}) == "recover-answers"


def test_every_voter_out_of_sight_has_to_be_named() -> None:
    assert refused(sight("n1 n2 n3"), "n2") == "recover-unaccounted"
    assert refused(sight("n1 n2 n3"), "") == "recover-unaccounted"


def test_one_that_may_vote_without_our_knowing_has_to_be_named_too() -> None:
    """A change of members that is not committed: by the roster before it n3 votes, or it may have been promoted."""
    assert refused(sight("n1 n2", electable="n1 n2 n3"), "n2") == "recover-unaccounted"
    assert isinstance(verdict(sight("n1 n2", electable="n1 n2 n3"), "n2 n3"), Recovery)


def test_an_observer_out_of_sight_need_not_be_named() -> None:
    assert verdict(sight(observers="n3"), "n2") == Recovery(("n2",), ("n3",), whole=True)


@pytest.mark.parametrize("log", [Base(101, 3), Base(1, 4)])
def test_a_survivor_with_a_longer_log_is_the_one_to_go_on(log: Base) -> None:
    found = verdict(sight("n1 n2 n3 n4", reached="n2"), "n3 n4", {"n2": log})
    assert isinstance(found, Refusal)
    assert found.code == "recover-elsewhere"
    assert "host-n2" in found.reason
    assert found.hint == "recover on host-n2"


def test_of_two_survivors_that_are_told_at_once_not_both_go_on() -> None:
    at = sight("n1 n2 n3 n4", reached="n2")
    logs = {"n2": at.last}
    assert isinstance(decide(at, {"n3", "n4"}, logs, {}), Recovery)
    found = decide(at, {"n3", "n4"}, logs, {"n2": "host-n2"}, {"n2"})
    assert isinstance(found, Refusal)
    assert (found.code, "host-n2 is told to go on alone" in found.reason) == ("recover-elsewhere", True)


def test_an_observer_may_have_the_longest_log() -> None:
    assert refused(sight(reached="n3", observers="n3"), "n2", {"n3": Base(101, 3)}) == "recover-elsewhere"


@pytest.mark.parametrize("log", [Base(100, 3), Base(5000, 2), Base(99, 3)])
def test_an_equal_or_shorter_log_is_no_reason(log: Base) -> None:
    assert isinstance(verdict(sight("n1 n2 n3 n4", reached="n2"), "n3 n4", {"n2": log}), Recovery)


def test_a_survivor_that_does_not_say_how_far_its_log_reaches_may_have_more() -> None:
    assert refused(sight("n1 n2 n3 n4", reached="n2"), "n3 n4", {"n2": None}) == "recover-unheard"


def test_a_node_that_has_stopped_or_has_no_log_leads_nobody() -> None:
    assert refused(sight(halted="the disk is full"), "n2") == "recover-halted"
    assert refused(sight(last=Base(0, 0)), "n2") == "recover-no-log"
    assert refused(sight("n2 n3"), "n2 n3") == "recover-no-log"  # n1 is no member
    assert refused(sight(), "n1") == "recover-itself"
    assert refused(sight(), "n1 n2") == "recover-itself"


def test_names_are_said_and_not_ids() -> None:
    found = verdict(sight("n1 n2 n3"), "n2")
    assert isinstance(found, Refusal)
    assert "host-n3" in found.reason
    assert " n3" not in found.reason


def test_the_survivor_is_the_only_member_and_votes_where_it_listens() -> None:
    before = Roster(
        tuple(
            Member(one, f"192.0.2.{at}:1995", voter=one != "n2", nominated=one == "n2") for at, one in enumerate(NAMES)
        )
    )
    for at, one in enumerate(NAMES):
        change = survival(before, one)
        assert before.after(change) == Roster((Member(one, f"192.0.2.{at}:1995", voter=True),))
        assert Roster(()).after(change) == before.after(change)  # by whatever members a log is read


def test_no_leader_is_asked_to_survive() -> None:
    roster = Roster((Member("n1", "192.0.2.1:1995", voter=True), Member("n2", "192.0.2.2:1995", voter=True)))
    for one in ("n1", "n2", "n9"):
        assert roster.objection(Change("survive", one), leader="n1", behind={"n2": 0}) == "no leader is asked for that"


def test_its_term_is_beyond_those_that_the_others_may_reach() -> None:
    assert term_after(7, 5) == 7 + TERMS
    assert term_after(5, 7) == 7 + TERMS
