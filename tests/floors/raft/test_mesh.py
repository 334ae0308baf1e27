"""Who holds a line to whom: over all rosters of a few members, and over ends that know different ones."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest

from girginosvm.raft.mesh import LATE_MS, REDIAL_MOST_MS, REDIAL_MS, Mesh, replaces, turn, useful

NAMES = ("a", "b", "c", "d")


# Every choice of those who may lead.
ROSTERS = [frozenset(some) for count in range(len(NAMES) + 1) for some in itertools.combinations(NAMES, count)]


def pairs() -> Iterator[tuple[str, str]]:
    yield from itertools.permutations(NAMES, 2)


# One roster.


@pytest.mark.parametrize("electable", ROSTERS, ids=lambda one: "".join(sorted(one)) or "nobody")
def test_of_two_who_agree_on_the_roster_one_dials_at_once_or_neither_ever(electable: frozenset[str]) -> None:
    for one, other in pairs():
        said = {turn(one, other, electable), turn(other, one, electable)}
        assert said == ({"first", "late"} if useful(one, other, electable) else {"never"})


@pytest.mark.parametrize("electable", ROSTERS, ids=lambda one: "".join(sorted(one)) or "nobody")
def test_who_may_lead_has_a_line_to_everybody_and_two_others_have_none(electable: frozenset[str]) -> None:
    for one, other in pairs():
        assert useful(one, other, electable) == (one in electable or other in electable)
        assert useful(one, other, electable) == useful(other, one, electable)


def test_an_observer_looks_for_the_voters_whatever_the_ids_are() -> None:
    assert turn("a", "z", frozenset("z")) == turn("z", "a", frozenset("a")) == "first"


# Two rosters.


@pytest.mark.parametrize("mine", ROSTERS, ids=lambda one: "".join(sorted(one)) or "nobody")
def test_whatever_the_two_ends_believe_the_line_that_either_needs_is_dialled(mine: frozenset[str]) -> None:
    for theirs in ROSTERS:
        for one, other in pairs():
            dialled = {turn(one, other, mine), turn(other, one, theirs)} - {"never"}
            assert bool(dialled) == (useful(one, other, mine) or useful(other, one, theirs))


@pytest.mark.parametrize("newest", ROSTERS, ids=lambda one: "".join(sorted(one)) or "nobody")
def test_who_knows_that_it_may_lead_reaches_everybody_however_old_their_rosters_are(newest: frozenset[str]) -> None:
    for one, other in pairs():
        if one in newest:
            assert turn(one, other, newest) != "never"


def test_of_two_lines_both_ends_keep_the_same_in_whatever_order_they_come() -> None:
    for one, other in pairs():
        kept = []
        for me, peer in ((one, other), (other, one)):
            for first, second in ((True, False), (False, True)):
                stays = second if replaces(me, peer, old_dialled=first, new_dialled=second) else first
                kept.append(me if stays else peer)  # who dialled it
        assert kept == [max(one, other)] * 4


def test_who_dials_again_has_lost_the_line_before() -> None:
    for one, other in pairs():
        assert replaces(one, other, old_dialled=True, new_dialled=True)
        assert replaces(one, other, old_dialled=False, new_dialled=False)


# In time.


class Web:
    """Ends that dial, and lines that come up at once where the other end knows the dialler."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.now = 0
        self.names = names
        self.ends = {name: Mesh(name) for name in names}
        self.lines: dict[frozenset[str], str] = {}  # who has dialled it
        self.opened = 0

    def of(self, name: str) -> list[str]:
        return [next(iter(pair - {name})) for pair in self.lines if name in pair]

    def know(self, name: str, electable: frozenset[str], members: tuple[str, ...] = ()) -> None:
        self.ends[name].set_members(members or self.names, electable, self.of(name), self.now)
        for peer in self.of(name):
            if peer not in self.ends[name].members:
                self.end(name, peer)
        dialled = [peer for peer in self.of(name) if self.lines[frozenset((name, peer))] == name]
        for peer in self.ends[name].useless(dialled):
            self.end(name, peer)

    def end(self, one: str, other: str) -> None:
        del self.lines[frozenset((one, other))]
        self.ends[one].lost(other, self.now)
        self.ends[other].lost(one, self.now)

    def passes(self, ms: int) -> None:
        for _ in range(ms // 50):
            self.now += 50
            for name, end in self.ends.items():
                for peer in end.dial(self.now):
                    self._dialled(name, peer)

    def _dialled(self, name: str, peer: str) -> None:
        if name not in self.ends[peer].members:
            self.ends[name].lost(peer, self.now, mute=True)
            return
        self.opened += 1
        self.lines[frozenset((name, peer))] = name
        self.ends[name].up(peer)
        self.ends[peer].up(name)

    def wanted(self, electable: frozenset[str]) -> set[frozenset[str]]:
        return {frozenset(pair) for pair in itertools.combinations(self.names, 2) if useful(*pair, electable)}


@pytest.mark.parametrize("seed", range(100))
def test_when_all_know_the_same_there_are_the_lines_of_the_rule_and_no_others(seed: int) -> None:
    chance = random.Random(seed)
    names = tuple("abcdefg")
    web = Web(names)
    for _ in range(6):  # changes reach the members in any order, some never
        electable = frozenset(chance.sample(names, chance.randrange(1, 4)))
        for name in chance.sample(names, chance.randrange(1, 8)):
            web.know(name, electable)
            web.passes(50 * chance.randrange(0, 20))
    for name in chance.sample(names, len(names)):
        web.know(name, electable)
    web.passes(2 * LATE_MS)
    assert web.lines.keys() == web.wanted(electable)


@pytest.mark.parametrize("seed", range(30))
def test_ends_that_disagree_for_long_neither_miss_a_line_nor_open_one_again_and_again(seed: int) -> None:
    chance = random.Random(seed)
    web = Web(NAMES)
    believed = {name: chance.choice(ROSTERS) for name in NAMES}
    for name, electable in believed.items():
        web.know(name, electable)
    web.passes(2 * LATE_MS)
    opened = web.opened
    for one, other in itertools.combinations(NAMES, 2):
        needed = useful(one, other, believed[one]) or useful(one, other, believed[other])
        assert (frozenset((one, other)) in web.lines) == needed
    web.passes(20_000)
    assert web.opened == opened


def test_a_new_voter_reaches_the_observer_that_was_away_when_it_became_one() -> None:
    web = Web(("o", "v", "x"))
    web.know("o", frozenset("v"))  # what it knew before it went
    for name in "vx":
        web.know(name, frozenset("vx"))
    web.passes(LATE_MS + 100)
    assert frozenset("ox") in web.lines


def test_who_is_no_member_for_the_other_end_is_tried_less_often_and_at_once_again_when_it_is_known() -> None:
    end = Mesh("b")
    end.set_members(("a", "b"), frozenset("ab"), (), 0)
    tries = []
    for now in range(0, 10_000, 10):
        for peer in end.dial(now):
            tries.append(now)
            end.lost(peer, now, mute=True)
    gaps = [later - before for before, later in itertools.pairwise(tries)]
    assert gaps[:4] == [100, 200, 400, 800]
    assert set(gaps[4:]) == {REDIAL_MOST_MS}
    end.heard("a")
    end.lost("a", 20_000)
    assert end.dial(20_000) == ["a"]


def test_a_member_that_is_down_is_tried_every_tenth_of_a_second_and_never_sooner() -> None:
    end = Mesh("b")
    end.set_members(("a", "b"), frozenset("ab"), (), 0)
    tries = []
    for now in range(0, 1000, 10):
        for peer in end.dial(now):
            tries.append(now)
            end.lost(peer, now)
    assert tries == list(range(0, 1000, REDIAL_MS))


def test_what_is_on_its_way_is_not_dialled_again() -> None:
    end = Mesh("b")
    end.set_members(("a", "b"), frozenset("ab"), (), 0)
    assert end.dial(0) == ["a"]
    assert end.dial(5000) == []
    end.set_members(("a", "b"), frozenset("b"), ("a",), 5000)
    assert end.dial(9000) == []
    end.lost("a", 9000)
    assert end.dial(9000 + LATE_MS) == ["a"]


def test_who_is_removed_is_dialled_no_more_and_remembered_nowhere() -> None:
    end = Mesh("b")
    end.set_members(("a", "b", "c"), frozenset("abc"), (), 0)
    end.set_members(("b", "c"), frozenset("bc"), ("a",), 10)
    end.lost("a", 20, mute=True)
    assert end.dial(5000) == ["c"]
    assert end.members == {"c"}


def test_a_guest_is_not_dialled_and_is_once_the_own_log_knows_it() -> None:
    """On a liar's word a voter dialled a thousand addresses a second."""
    end = Mesh("b")
    end.set_members(("a", "b", "x"), frozenset("ab"), (), 0, frozenset("x"))
    assert end.members == {"a", "x"}
    assert end.dial(5000) == ["a"]
    end.lost("x", 5000)
    assert end.dial(9000) == []
    end.set_members(("a", "b", "x"), frozenset("ab"), ("a",), 9000)
    assert end.dial(9000 + LATE_MS) == ["x"]
