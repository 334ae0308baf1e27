"""What people are told of the members."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from girginosvm.daemon.partings import voice_of
from girginosvm.daemon.picture import Releases, membership_of
from girginosvm.daemon.quorum import quorum_of
from girginosvm.raft.standing import Status
from tests.floors.daemon.test_quorum import FOLLOWS, FORSAKEN, LEADS, PLACE, ROWS, seen

NOTHING = Releases(1, (), 0)


def test_a_drained_node_that_still_votes_is_said_with_what_it_waits_for() -> None:
    rows = (ROWS[0], replace(ROWS[1], drained=True), ROWS[2])
    said = membership_of(seen(LEADS, rows=rows), NOTHING, out=False)
    assert said.problems == ["n2 is drained, and votes on until the others decide without it"]
    gave = replace(LEADS, voters=("id-n1", "id-n3"))
    assert membership_of(seen(gave, rows=rows), NOTHING, out=False).problems == []


def test_why_the_level_stays_comes_with_what_it_was_made_of() -> None:
    said = membership_of(seen(LEADS), NOTHING, out=False)
    assert said.level_reason == said.level_said.text
    assert said.level_said.code == "level.newest"


def test_a_lag_that_only_the_leader_knows_is_none_elsewhere() -> None:
    follows = replace(LEADS, role="follower", leader="id-n2", lag={})
    assert [one.lag for one in membership_of(seen(follows), NOTHING, out=False).members] == [None] * 3
    assert [one.lag for one in membership_of(seen(LEADS), NOTHING, out=False).members] == [0, 0, 7]


def test_machines_of_a_silent_node_and_of_all_others_on_one_that_is_cut_off_are_as_they_were() -> None:
    def heard(standing: Status, silent: frozenset[str] = frozenset()) -> list[bool]:
        releases = Releases(1, (), 0, silent)
        return [one.heard for one in membership_of(seen(standing), releases, out=False).members]

    assert heard(LEADS) == [True, True, True]
    assert heard(LEADS, frozenset({"id-n1", "id-n2"})) == [True, False, True]  # n1 is the one that is asked
    assert heard(replace(LEADS, leader_age_ms=5_000)) == [True, False, False]
    assert heard(replace(LEADS, leader_age_ms=None)) == [True, False, False]


def test_whom_an_observer_does_not_look_at_is_neither_reached_nor_away() -> None:
    watches = replace(LEADS, role="observer", leader="id-n2", voters=("id-n2",), reached=("id-n2",))
    unwatched = replace(watches, unwatched=("id-n3",))
    for status, reached in ((watches, False), (unwatched, None)):
        found = membership_of(seen(status), NOTHING, out=False)
        assert [one.reached for one in found.members] == [True, True, reached]


def test_whom_an_observer_does_not_look_at_holds_new_keys_up_only_when_the_leader_does_not_reach_it() -> None:
    names = {row.id: row.name for row in ROWS}
    watches = replace(LEADS, role="observer", leader="id-n2", voters=("id-n2",), reached=("id-n2",))
    watches = replace(watches, unwatched=("id-n3",))
    assert voice_of("id-n1", names, watches).reached == {"n1", "n2", "n3"}
    assert voice_of("id-n1", names, watches, away=frozenset({"id-n3"})).reached == {"n1", "n2"}


TWO = ("id-n1", "id-n2")
FOUNDER = replace(
    LEADS, voters=("id-n1",), deciding=("id-n1",), members=TWO, reached=("id-n2",), lag={"id-n2": 9},
    silent_ms={"id-n2": 20},
)  # fmt: skip
NEWCOMER = replace(FOUNDER, member="id-n2", role="observer", reached=("id-n1",), lag={}, silent_ms={})
# A node joins a cluster of one: each moment as founder and newcomer see it, and what both pictures have to say of it:
# whether anything can be changed, of how many voters how many are reached, and how many may fail.
MOMENTS: dict[str, tuple[Status, tuple[bool, int, int, int]]] = {
    "a learner": (FOUNDER, (True, 1, 1, 0)),
    "a learner, to itself, before it heard the leader": (replace(NEWCOMER, leader_age_ms=None), (False, 1, 1, 0)),
    "a learner, to itself": (replace(NEWCOMER, leader_age_ms=60), (True, 1, 1, 0)),
    "nominated": (replace(FOUNDER, nominated=("id-n2",)), (True, 1, 1, 0)),
    "promoted, not committed": (replace(FOUNDER, nominated=("id-n2",), deciding=TWO), (True, 1, 1, 0)),
    "promoted, not committed, and gone": (
        replace(FOUNDER, nominated=("id-n2",), deciding=TWO, reached=()), (False, 2, 1, 0),
    ),
    "promoted, not committed, and silent": (
        replace(FOUNDER, nominated=("id-n2",), deciding=TWO, silent_ms={"id-n2": 5_000}), (False, 2, 1, 0),
    ),
    "promoted, not committed, to itself": (
        replace(NEWCOMER, role="follower", nominated=("id-n2",), deciding=TWO, leader_age_ms=60), (True, 1, 1, 0),
    ),
    "promoted": (replace(FOUNDER, voters=TWO, deciding=TWO), (True, 2, 2, 0)),
    "the third promoted, not committed": (replace(LEADS, voters=TWO, deciding=LEADS.voters), (True, 2, 2, 0)),
    "the third promoted": (replace(LEADS, deciding=LEADS.voters), (True, 3, 3, 1)),
    "the third's vote taken, not committed": (replace(LEADS, deciding=TWO), (True, 2, 2, 0)),
    "cut off": (replace(FORSAKEN, deciding=LEADS.voters), (False, 3, 1, 0)),
    "the leader's line is down": (replace(FOLLOWS, reached=("id-n3",)), (False, 3, 2, 0)),
    "between two leaders": (replace(FOLLOWS, leader="", leader_age_ms=2_500), (False, 3, 3, 0)),
    "led, and with a line to few": (
        replace(FOLLOWS, voters=(*"abcd", "id-n1", "id-n2"), reached=("id-n2",)), (True, 6, 2, 0),
    ),
    "halted": (replace(LEADS, halted="the disk is full"), (False, 3, 3, 0)),
    "without its state": (replace(LEADS, lacking="a snapshot is fetched"), (False, 3, 3, 0)),
    "a leader's disk hangs": (replace(LEADS, trouble="the flush hangs"), (False, 3, 3, 0)),
    "a cluster of one": (Status("id-n1", 1, 5, 5, 1, 0, "", 0), (True, 1, 1, 0)),
}  # fmt: skip


@pytest.mark.parametrize("moment", MOMENTS)
def test_quorum_and_membership_status_say_the_same_at_every_moment(moment: str) -> None:
    status, expected = MOMENTS[moment]
    here = replace(PLACE, member=status.member, name=status.member.removeprefix("id-"))
    sight = seen(status, place=here)
    asked, shown = quorum_of(sight), membership_of(sight, NOTHING, out=False)
    assert (asked.quorum, asked.voters, asked.voters_reached, asked.may_fail) == expected
    assert (shown.quorum, shown.voters, shown.voters_reached) == expected[:3]
    assert shown.leader == asked.leader
    assert (asked.says in shown.problems) is not asked.quorum
    assert asked.quorum is not bool(shown.problems)
    roles = {one.name: one.role for one in shown.members}
    assert {one.name for one in asked.members if one.role in ("leader", "voter")} == {
        name for name, role in roles.items() if role in ("leader", "voter")
    }


def test_a_node_whose_raft_process_is_away_has_no_quorum_of_its_own() -> None:
    sight = seen(None, away="the raft process of this node does not answer")
    shown = membership_of(sight, NOTHING, out=False)
    assert (shown.quorum, shown.leader, shown.voters) == (False, "", 0)
    assert shown.problems == [quorum_of(sight).says]
