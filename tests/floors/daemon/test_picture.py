"""What people are told of the members."""

from __future__ import annotations

from msgspec.structs import replace

from girginosvm.daemon.partings import voice_of
from girginosvm.daemon.picture import Releases, membership_of
from girginosvm.raft.standing import Status
from tests.floors.daemon.test_quorum import LEADS, PLACE, ROWS

NOTHING = Releases(1, (), 0)


def test_a_drained_node_that_still_votes_is_said_with_what_it_waits_for() -> None:
    rows = (ROWS[0], replace(ROWS[1], drained=True), ROWS[2])
    said = membership_of(rows, LEADS, PLACE, [], NOTHING, out=False)
    assert said.problems == ["n2 is drained, and votes on until the others decide without it"]
    gave = replace(LEADS, voters=("id-n1", "id-n3"))
    assert membership_of(rows, gave, PLACE, [], NOTHING, out=False).problems == []


def test_a_lag_that_only_the_leader_knows_is_none_elsewhere() -> None:
    follows = replace(LEADS, role="follower", leader="id-n2", lag={})
    assert [one.lag for one in membership_of(ROWS, follows, PLACE, [], NOTHING, out=False).members] == [None] * 3
    assert [one.lag for one in membership_of(ROWS, LEADS, PLACE, [], NOTHING, out=False).members] == [0, 0, 7]


def test_machines_of_a_silent_node_and_of_all_others_on_one_that_is_cut_off_are_as_they_were() -> None:
    def heard(standing: Status, silent: frozenset[str] = frozenset()) -> list[bool]:
        releases = Releases(1, (), 0, silent)
        return [one.heard for one in membership_of(ROWS, standing, PLACE, [], releases, out=False).members]

    assert heard(LEADS) == [True, True, True]
    assert heard(LEADS, frozenset({"id-n1", "id-n2"})) == [True, False, True]  # n1 is the one that is asked
    assert heard(replace(LEADS, leader_age_ms=5_000)) == [True, False, False]
    assert heard(replace(LEADS, leader_age_ms=None)) == [True, False, False]


def test_whom_an_observer_does_not_look_at_is_neither_reached_nor_away() -> None:
    watches = replace(LEADS, role="observer", leader="id-n2", voters=("id-n2",), reached=("id-n2",))
    unwatched = replace(watches, unwatched=("id-n3",))
    for status, reached in ((watches, False), (unwatched, None)):
        found = membership_of(ROWS, status, PLACE, [], NOTHING, out=False)
        assert [one.reached for one in found.members] == [True, True, reached]


def test_whom_an_observer_does_not_look_at_holds_new_keys_up_only_when_the_leader_does_not_reach_it() -> None:
    names = {row.id: row.name for row in ROWS}
    watches = replace(LEADS, role="observer", leader="id-n2", voters=("id-n2",), reached=("id-n2",))
    watches = replace(watches, unwatched=("id-n3",))
    assert voice_of("id-n1", names, watches).reached == {"n1", "n2", "n3"}
    assert voice_of("id-n1", names, watches, away=frozenset({"id-n3"})).reached == {"n1", "n2"}
