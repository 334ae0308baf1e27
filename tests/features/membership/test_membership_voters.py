"""Who votes: the right number, apart from each other, and never fewer than a loss allows."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from msgspec.structs import replace

from girginosvm.core.entries import Change
from girginosvm.features.membership.voters import (
    Candidate,
    Choice,
    Demote,
    Nominate,
    Promote,
    choose,
    wanted_voters,
)
from girginosvm.raft.membership import Member, Roster

Members = tuple[Candidate, ...]


def members(count: int, *, voting: int = 1) -> Members:
    return tuple(Candidate(f"m{n}", f"n{n}", votes=n < voting) for n in range(count))


def change(one: Candidate, **what: object) -> Candidate:
    return replace(one, **what)


def after(all_: Members, choice: Choice) -> Members:
    votes, nominated = isinstance(choice, Promote), isinstance(choice, Nominate)
    return tuple(replace(one, votes=votes, nominated=nominated) if one.id == choice.member else one for one in all_)


def voters(all_: Members) -> set[str]:
    return {one.id for one in all_ if one.votes}


def allowed(all_: Members, choice: Choice, leader: str) -> str:
    """What the log would say against it."""
    roster = Roster(tuple(Member(one.id, "", one.votes, one.nominated) for one in all_))
    behind = {one.id: 0 for one in all_ if one.ready}
    return roster.objection(Change(type(choice).__name__.lower(), choice.member), leader=leader, behind=behind)


def settled(all_: Members, leader: str = "m0") -> tuple[Members, list[Choice]]:
    """All that a leader would change by itself, one at a time."""
    made: list[Choice] = []
    while (choice := choose(all_, leader=leader)) is not None:
        assert allowed(all_, choice, leader) == ""
        made.append(choice)
        all_ = after(all_, choice)
        assert len(made) < 60, made[-6:]
    return all_, made


@pytest.mark.parametrize(("count", "vote"), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 5), (6, 5), (7, 5), (60, 5)])
def test_how_many_vote(count: int, vote: int) -> None:
    assert wanted_voters(count) == vote
    grown, _ = settled(members(count))
    assert len(voters(grown)) == vote
    shrunk, _ = settled(members(count, voting=count))
    assert len(voters(shrunk)) == vote
    assert "m0" in voters(shrunk)


def test_a_fourth_does_not_vote_until_a_fifth_can() -> None:
    five = members(5, voting=3)
    waiting = (*five[:4], change(five[4], ready=False))
    assert choose(waiting, leader="m0") is None
    assert choose(five, leader="m0") == Nominate("m3", "5 of 5 members are to vote, and 3 do")
    four_vote = (*(change(one, votes=True) for one in five[:4]), change(five[4], ready=False))
    assert choose(four_vote, leader="m0") == Demote("m3", "4 vote, and 3 are enough")


def test_of_too_many_voters_one_that_is_not_reached_goes_first() -> None:
    four = members(4, voting=4)
    away = (four[0], change(four[1], ready=False), *four[2:])
    assert choose(away, leader="m0") == Demote("m1", "4 vote, and 3 are enough")


def test_voters_are_spread_over_domains_and_follow_when_domains_are_told_later() -> None:
    racks = tuple(change(one, domain=f"rack{n // 3}") for n, one in enumerate(members(9)))
    spread, _ = settled(racks)
    assert sorted(Counter(one.domain for one in spread if one.votes).values()) == [1, 2, 2]
    crowded = tuple(change(one, domain="a" if n < 3 else "b") for n, one in enumerate(members(4, voting=3)))
    assert choose(crowded, leader="m0") == Nominate("m3", "3 voters share domain a")
    moved, made = settled(crowded)
    assert voters(moved) == {"m0", "m1", "m3"}
    assert [type(one) for one in made] == [Nominate, Promote, Demote]


def test_a_node_of_no_known_domain_fails_with_nobody() -> None:
    unknown = members(4, voting=3)
    assert choose((*unknown[:3], change(unknown[3], domain="a")), leader="m0") is None


def test_who_is_away_is_replaced_before_it_loses_its_vote() -> None:
    four = members(4, voting=3)
    lost = (*four[:2], change(four[2], away=True, ready=False), four[3])
    made_so, made = settled(lost)
    assert voters(made_so) == {"m0", "m1", "m3"}
    assert [type(one) for one in made] == [Nominate, Promote, Demote]
    assert made[-1] == Demote("m2", "n2 has been away for 10 minutes; 3 others vote")


@pytest.mark.parametrize("count", [2, 3])
def test_who_is_away_keeps_its_vote_when_nobody_can_take_it(count: int) -> None:
    all_ = members(count, voting=count)
    assert choose((*all_[:-1], change(all_[-1], away=True, ready=False)), leader="m0") is None


def test_of_five_the_two_that_are_away_give_their_votes_up_and_get_them_back() -> None:
    all_ = members(5, voting=5)
    left, _ = settled((*all_[:3], *(change(one, away=True, ready=False) for one in all_[3:])))
    assert voters(left) == {"m0", "m1", "m2"}
    back, _ = settled(tuple(change(one, away=False, ready=True) for one in left))
    assert len(voters(back)) == 5


@pytest.mark.parametrize("seed", range(300))
def test_whatever_comes_and_goes_the_choice_is_allowed_ends_and_leaves_enough(seed: int) -> None:
    chance = random.Random(seed)
    all_ = members(chance.randint(1, 8), voting=1)
    leader = "m0"
    for _ in range(30):
        all_ = tuple(
            one if one.id == leader or chance.random() < 0.6
            else change(one, ready=chance.random() < 0.7, away=False, domain=chance.choice("abc"))
            if chance.random() < 0.7
            else change(one, ready=False, away=True)
            for one in all_
        )  # fmt: skip
        before = voters(all_)
        choice = choose(all_, leader=leader)
        if choice is not None:
            assert allowed(all_, choice, leader) == ""
            all_ = after(all_, choice)
        now = voters(all_)
        assert len(now ^ before) <= 1
        here = {one.id for one in all_ if one.votes and not one.away}
        if isinstance(choice, Demote):
            assert choice.member != leader
            assert len(here) >= 3 or (len(now) < len(before) and len(before) > wanted_voters(len(all_)))
        leader = chance.choice(sorted(one.id for one in all_ if one.votes and (one.ready or one.id == leader)))
        assert next(one for one in all_ if one.id == leader).votes
    rested, _ = settled(tuple(change(one, ready=True, away=False) for one in all_), leader)
    assert len(voters(rested)) == wanted_voters(len(rested))
