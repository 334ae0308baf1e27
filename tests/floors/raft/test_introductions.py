"""Who is let in though the own log does not know them. Pure."""

from __future__ import annotations

import msgspec
import pytest
from floors.raft.stand import Stand

from girginosvm.raft import messages
from girginosvm.raft.introductions import Introductions, introduction
from girginosvm.raft.membership import Member, Roster, founded
from girginosvm.raft.messages import AskSnapshot, Introduce, Known, Offer

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
    known.heard("n1", introduction(8, OWN), OWN, changed_at=5)
    assert not known.heard("n2", introduction(8, OWN), OWN, changed_at=5)
    assert "n4" in known.whom(OWN, changed_at=5).ids


def test_who_was_removed_has_introduced_nobody_not_even_itself() -> None:
    """A member that lies names an entry that never comes; its line outlived its removal, and it read the new keys."""
    known = Introductions()
    known.heard("n2", Introduce(2**53, (*introduction(9, OWN).members, Known("n9", "192.0.2.9:1995"))), OWN, 5)
    assert known.whom(OWN, changed_at=5).ids == {"n1", "n2", "n9"}
    without = founded({"n1": "192.0.2.1:1995"}, {"n1"})
    assert known.whom(without, changed_at=7) == without
    assert known.whom(OWN, changed_at=7) == OWN


def test_a_lie_about_the_entry_keeps_nobody_else_from_being_heard() -> None:
    known = Introductions()
    known.heard("n1", Introduce(2**53, ()), OWN, 5)
    assert known.heard("n2", introduction(9, NEW), OWN, changed_at=5)
    assert "n4" in known.whom(OWN, changed_at=5).ids


def test_who_leads_lets_nobody_in_on_anothers_word_and_gives_no_guest_the_state() -> None:
    stand = Stand()
    stand.follow(1, 0, 0)
    guest = Introduce(2**40, (Known("x", "192.0.2.9:1995"),))
    stand.hear("n3", 1, guest)
    assert stand.guests == {"x"}
    stand.hear("x", 1, AskSnapshot(0))
    stand.settle()
    assert stand.said(Offer) == []
    stand.lead()
    assert stand.guests == set()
    stand.hear("n3", 3, msgspec.structs.replace(guest, index=2**41))
    assert stand.guests == set()


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
