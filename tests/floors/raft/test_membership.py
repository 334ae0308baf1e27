"""Who belongs, who votes: rosters as values, and what the log does with them."""

from __future__ import annotations

import msgspec
import pytest
from floors.raft.book import FakeClock
from floors.raft.power import Dark, PowerLossDisk
from floors.raft.stand import Stand, item

from girginosvm.core.entries import Change
from girginosvm.core.errors import Busy, Conflict, Problem
from girginosvm.raft import messages
from girginosvm.raft.lines import Up
from girginosvm.raft.membership import Roster, founded
from girginosvm.raft.messages import Ack, AskVote

THREE = founded({"n1": "", "n2": "", "n3": "", "n4": ""}, frozenset({"n1", "n2", "n3"}))


@pytest.mark.parametrize(
    ("change", "objection"),
    [
        (Change("add", "n5", "192.0.2.5:1995"), ""),
        (Change("add", "n4"), "it is a member already"),
        (Change("add", "n5", "999.1.1.1:80"), "999.1.1.1:80 is no IP address and port"),
        (Change("nominate", "n4"), ""),
        (Change("nominate", "n9"), "it is no member"),
        (Change("nominate", "n2"), "it votes already"),
        (Change("promote", "n4"), "nominate it first"),
        (Change("demote", "n2"), ""),
        (Change("demote", "n1"), "it leads: hand over first"),
        (Change("demote", "n4"), "it does not vote"),
        (Change("remove", "n2"), "it votes: demote it first"),
        (Change("remove", "n4"), ""),
    ],
)
def test_what_stands_against_a_change(change: Change, objection: str) -> None:
    assert THREE.objection(change, leader="n1", behind={"n4": 10}) == objection


def test_a_learner_is_promoted_only_when_it_is_reached_and_has_caught_up() -> None:
    nominated = THREE.after(Change("nominate", "n4"))
    assert nominated.objection(Change("promote", "n4"), leader="n1", behind={}) == "it is not reached"
    assert nominated.objection(Change("promote", "n4"), leader="n1", behind={"n4": 9999}) == "it lacks 9999 entries"
    assert nominated.objection(Change("promote", "n4"), leader="n1", behind={"n4": 3}) == ""


# In the log.


def changed(stand: Stand, change: Change) -> list[bytes | Problem]:
    answers: list[bytes | Problem] = []
    stand.node.change(change, answers.append)
    stand.settle()
    return answers


def acknowledged(stand: Stand, *peers: str) -> None:
    for peer in peers:
        stand.hear(peer, stand.node.core.term, Ack(stand.node.log.last.index + 1, True, False))
    stand.settle()


def test_a_second_change_waits_for_the_first(clock: FakeClock) -> None:
    """The library notes a change that is under way nowhere."""
    stand = Stand(clock=clock)
    stand.lead()
    assert isinstance(changed(stand, Change("add", "n4"))[0], Busy)  # nothing of this term is committed yet
    acknowledged(stand, "n2")
    first = changed(stand, Change("add", "n4", "192.0.2.4:1995"))
    assert isinstance(changed(stand, Change("add", "n5"))[0], Busy)
    assert first == []
    acknowledged(stand, "n2")
    assert first == [b""]
    assert [member.id for member in stand.node.log.roster.members] == ["n1", "n2", "n3", "n4"]
    assert isinstance(changed(stand, Change("promote", "n4"))[0], Conflict)


def test_a_promoted_learner_counts_from_then_on(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.lead()
    stand.turn(Up("n4"))
    acknowledged(stand, "n2")
    for change in (Change("add", "n4"), Change("nominate", "n4"), Change("promote", "n4")):
        acknowledged(stand, "n4")
        answers = changed(stand, change)
        acknowledged(stand, "n2", "n3")
        assert answers == [b""], change
    assert stand.node.core.voters == {"n1", "n2", "n3", "n4"}
    before = stand.node.core.committed
    stand.propose(b"x")
    acknowledged(stand, "n4")
    assert stand.node.core.committed == before  # two of four
    acknowledged(stand, "n2")
    assert stand.node.core.committed == before + 1


def test_a_follower_that_has_the_next_change_is_not_put_back_when_it_applies_the_last(clock: FakeClock) -> None:
    """The library makes a change again when it applies its entry."""
    stand = Stand(clock=clock, voters=("n1", "n2", "n3"))
    stand.follow(1, 0, 0, item(1, 1, change=Change("demote", "n3")))
    stand.follow(1, 1, 1, item(2, 1, change=Change("nominate", "n3")), item(3, 1, change=Change("promote", "n3")))
    stand.settle()
    stand.follow(1, 3, 1, commit=1)
    stand.settle()
    assert stand.node.core.committed == 1
    assert {peer.id for peer in stand.node.core._raft.otherNodes} == {"n2", "n3"}


def test_a_change_leaves_only_from_the_disk_of_its_leader(clock: FakeClock) -> None:
    """Else a power loss could leave it with the one whose vote it takes: who may not stand, and will not vote back."""
    stand = Stand(clock=clock, voters=("n1", "n2"))
    stand.lead()
    acknowledged(stand, "n2")
    stand.sent = []
    stand.node.change(Change("demote", "n2"), lambda answer: None)
    stand.turn()
    stand.hear("n2", stand.node.core.term, Ack(2, False, True))  # send from there on
    clock.mono += 150
    stand.turn()
    assert not any(body.items for _, body in stand.said(messages.Append) if isinstance(body, messages.Append))
    stand.flusher.flush()
    clock.mono += 150
    stand.settle()
    stand.hear("n2", stand.node.core.term, Ack(2, False, True))
    clock.mono += 150
    stand.settle()
    assert any(body.items for _, body in stand.said(messages.Append) if isinstance(body, messages.Append))


def test_a_change_that_another_leader_takes_back_is_gone_on_disk_too(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, item(1, 1, b"x"), item(2, 1, change=Change("demote", "n3")))
    stand.settle()
    assert stand.node.core.voters == {"n1", "n2"}
    # n3 leads by the roster before: it does not have the change, and is heard all the same.
    stand.follow(2, 1, 1, item(2, 2, b"y"), peer="n3")
    stand.settle()
    assert stand.node.core.voters == {"n1", "n2", "n3"}
    again = Stand(disk=stand.disk.lose_power(Dark()), clock=clock)
    assert again.node.log.roster == stand.node.log.roster
    assert again.node.core.voters == {"n1", "n2", "n3"}


def test_members_are_found_again_after_a_restart_and_a_dropped_segment(clock: FakeClock) -> None:
    disk = PowerLossDisk()
    stand = Stand(disk=disk, clock=clock)
    stand.follow(1, 0, 0, item(1, 1, change=Change("demote", "n3")))
    for index in range(2, 60):
        stand.follow(1, index - 1, 1, item(index, 1, bytes(5000)), commit=index)
        stand.settle()
    assert len(disk.names()) > 3
    stand.node.log.forget_through(50)
    stand.settle()
    assert len(disk.names()) < 3
    again = Stand(disk=disk.lose_power(Dark()), book=stand.book, clock=clock)
    assert again.node.log.roster.voters == {"n1", "n2"}


def test_a_member_without_a_vote_neither_stands_nor_votes_nor_is_voted_for(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, item(1, 1, change=Change("demote", "n1")), commit=1)
    stand.settle()
    assert stand.node.role == "observer"
    clock.mono += 60_000
    stand.settle()
    stand.hear("n3", 2, AskVote(2, 9, 1))
    stand.settle()
    assert stand.said(messages.AskPreVote) == []
    assert stand.said(messages.Vote) == []


def test_a_log_that_ends_where_the_leader_had_no_vote_goes_on(clock: FakeClock) -> None:
    """It is being sent, and ends between the entries that took the vote and gave it back. Who leads knows better."""
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, item(1, 1, change=Change("demote", "n3")))
    stand.settle()
    stand.follow(1, 1, 1, commit=1)
    stand.settle()
    clock.mono += 1000
    stand.follow(2, 1, 1, item(2, 1, change=Change("nominate", "n3")), peer="n3")
    stand.settle()
    stand.follow(2, 2, 1, item(3, 2), peer="n3")
    stand.settle()
    assert ("n3", Ack(4, True, False)) in stand.said(Ack)
    stand.follow(2, 3, 2, commit=3, peer="n3")
    stand.settle()
    assert stand.book.applied_index() == 3


def test_a_voter_that_is_behind_votes_for_whom_it_knows_without_a_vote(clock: FakeClock) -> None:
    """n3 got its vote back in entries that did not come here; without this vote nobody might ever lead."""
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, item(1, 1, change=Change("demote", "n3")))
    stand.settle()
    stand.follow(1, 1, 1, commit=1)
    stand.settle()
    clock.mono += 60_000
    stand.hear("n3", 1, messages.AskPreVote(7, 2, 9, 1))
    stand.settle()
    assert stand.said(messages.PreVote) == [("n3", messages.PreVote(7))]
    stand.hear("n3", 2, AskVote(2, 9, 1))
    stand.settle()
    assert [(peer, vote.term) for peer, vote in stand.said(messages.Vote)] == [("n3", 2)]


def test_a_roster_is_what_it_was_after_the_wire() -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(THREE), type=Roster) == THREE


def test_an_observer_that_hears_nobody_rests_between_its_turns(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, item(1, 1, change=Change("demote", "n1")), commit=1)
    stand.settle()
    assert stand.node.role == "observer"
    clock.mono += 60_000
    assert stand.node.turn(()) - clock.mono == stand.node.timing.heartbeat_ms
