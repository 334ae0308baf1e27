"""What people are told of the members."""

from __future__ import annotations

from msgspec.structs import replace

from girginosvm.daemon.picture import Releases, membership_of
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
