"""Who is let in though the own log does not know them. Pure."""

from __future__ import annotations

import pytest

from girginosvm.raft import messages
from girginosvm.raft.introductions import Introductions, introduction
from girginosvm.raft.membership import Member, Roster, founded
from girginosvm.raft.messages import Introduce, Known

OWN = founded({"n1": "192.0.2.1:1995", "n2": "192.0.2.2:1995"}, {"n1", "n2"})
NEW = Roster((*OWN.members, Member("n4", "192.0.2.4:1995", voter=True)))


def test_who_joined_meanwhile_is_let_in_and_counts_nowhere() -> None:
    known = Introductions()
    assert known.heard("n2", introduction(9, NEW), OWN, changed_at=5)
    whom = known.whom(OWN, changed_at=5)
    assert whom.ids == {"n1", "n2", "n4"}
    assert whom.voters == whom.electable == OWN.voters


def test_what_the_own_log_says_later_counts_for_more() -> None:
    known = Introductions()
    known.heard("n2", introduction(9, NEW), OWN, changed_at=5)
    assert known.whom(OWN, changed_at=9) == OWN
    assert not known.heard("n2", introduction(9, NEW), OWN, changed_at=9)


def test_a_stranger_introduces_nobody_and_an_old_word_takes_nobody_back() -> None:
    known = Introductions()
    assert not known.heard("n4", introduction(9, NEW), OWN, changed_at=5)
    assert known.heard("n2", introduction(9, NEW), OWN, changed_at=5)
    assert not known.heard("n1", introduction(8, OWN), OWN, changed_at=5)
    assert "n4" in known.whom(OWN, changed_at=5).ids


@pytest.mark.parametrize(
    "place", ["nowhere", "192.0.2.4", "192.0.2.4:x", "192.0.2.4:99999", "host.example:1995", "1:1:1"]
)
def test_an_address_that_is_none_is_nobodys(place: str) -> None:
    known = Introductions()
    known.heard("n2", Introduce(9, (Known("n4", place),)), OWN, changed_at=5)
    assert known.whom(OWN, changed_at=5) == OWN


def test_it_survives_the_wire() -> None:
    said = introduction(9, NEW)
    assert messages.decode(messages.encode(3, said)).body == said
