"""Nothing is said that the disk does not hold yet, and what it holds is all that a next life may rely on.

One of four parts of the contract (``test_core_*``), which runs before the pin may change: every way in which pysyncobj
0.3.17 is known to lose or part what it agreed on, tried on a member of ours. What the library would do here: flush
nothing, and let acknowledgements and votes leave first.
"""

from __future__ import annotations

import errno
import random

import pytest
from floors.raft.book import Book, FakeClock
from floors.raft.power import Dark
from floors.raft.stand import Stand, item, items

from girginosvm.core.entries import Entry
from girginosvm.core.errors import HostFault, Unknown
from girginosvm.raft import messages
from girginosvm.raft.lines import Up
from girginosvm.raft.messages import Ack, Append, AskVote


def test_an_acknowledgement_leaves_after_the_flush(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, *items(1, 3, 1))
    assert stand.said(Ack) == []
    stand.flusher.flush()
    stand.turn()
    assert stand.said(Ack) == [("n2", Ack(4, True, False))]


def test_a_vote_leaves_after_the_flush_and_is_not_given_twice_in_a_term(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.hear("n2", 7, AskVote(7, 9, 3))
    assert stand.said(messages.Vote) == []
    stand.flusher.flush()
    stand.turn()
    assert stand.said(messages.Vote) == [("n2", messages.Vote(7, stand.clock.wall))]
    again = Stand(disk=stand.disk.lose_power(Dark()), clock=clock)
    again.hear("n3", 7, AskVote(7, 9, 3))
    again.settle()
    assert again.said(messages.Vote) == []
    assert again.node.core.term == 7


def test_a_campaign_leaves_after_the_flush_of_its_own_vote(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.node.core.campaign()
    stand.turn()
    assert stand.said(AskVote) == []
    stand.flusher.flush()
    stand.turn()
    assert len(stand.said(AskVote)) == 2


def test_what_was_acknowledged_in_one_term_is_not_said_in_the_next(clock: FakeClock) -> None:
    """The acknowledgement waits for the disk; meanwhile another leader is there, whose log it knows nothing of."""
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, *items(1, 3, 1))
    stand.follow(2, 0, 0, item(1, 2), peer="n3")
    stand.settle()
    told = [(peer, frame.term, frame.body) for peer, frame in stand.sent if isinstance(frame.body, Ack)]
    assert ("n2", 1, Ack(4, True, False)) in told
    assert all(term == 2 for peer, term, _ in told if peer == "n3")


def test_a_leader_does_not_count_its_own_copy_before_it_is_flushed(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    term = stand.lead()
    answers: list[object] = []
    stand.node.propose(b"x", answers.append)
    stand.turn()
    assert [len(body.items) for _, body in stand.said(Append) if isinstance(body, Append)][-2:] == [1, 1]
    stand.hear("n2", term, Ack(3, True, False))
    stand.turn()
    assert (stand.node.core.committed, answers) == (0, [])
    stand.settle()
    assert answers == [b"did x"]


def test_a_single_voter_says_nothing_of_an_entry_before_it_is_flushed(clock: FakeClock) -> None:
    stand = Stand(clock=clock, voters=("n1",))
    stand.node.core.campaign()
    answers: list[object] = []
    stand.node.propose(b"x", answers.append)
    stand.turn()
    stand.turn()
    assert stand.node.core.leading
    assert stand.book.entries == []
    stand.settle()
    assert answers == [b"did x"]


def test_a_single_voter_sends_nothing_in_a_term_that_is_not_on_its_disk(clock: FakeClock) -> None:
    """After a power loss it would stand in that term again, and make other entries of it."""
    stand = Stand(clock=clock, voters=("n1",))
    stand.turn(Up("o1"))
    stand.node.core.campaign()
    stand.turn()
    stand.turn()
    assert stand.node.core.leading
    assert stand.said(Append) == []
    stand.flusher.flush()
    clock.mono += 150
    stand.settle()
    assert stand.said(Append) != []


def test_a_leader_that_lost_its_log_commits_nothing_alone(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, *items(1, 20, 1), commit=20)
    stand.turn()
    again = Stand(disk=stand.disk.lose_power(Dark()), clock=clock)
    again.lead()
    assert again.propose(b"solo") == []
    assert again.book.entries == []


def test_what_is_applied_is_not_applied_again_after_a_restart(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, *items(1, 10, 1), commit=7)
    stand.settle()
    assert len(stand.book.entries) == 7
    again = Stand(disk=stand.disk, book=stand.book, clock=clock)
    again.follow(2, 10, 1, item(11, 2), commit=11, peer="n3")
    again.settle()
    assert [entry.index for entry in again.book.entries] == list(range(1, 12))


def test_a_database_ahead_of_the_log_is_refused(clock: FakeClock) -> None:
    book = Book()
    book.entries = [Entry(index, 1, index, "n2", ()) for index in range(1, 10)]
    with pytest.raises(HostFault, match="missing from the journal"):
        Stand(book=book, clock=clock)


def test_a_disk_that_takes_no_more_stops_the_member_and_its_lines(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.lead()

    def done() -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    answers: list[object] = []
    stand.node.propose(b"x", answers.append)
    stand.turn()
    stand.flusher.done = done  # type: ignore[method-assign]
    stand.turn()
    assert "No space left" in stand.node.stopped
    assert sorted(stand.dropped) == ["n2", "n3"]
    assert isinstance(answers[0], Unknown)


def test_a_dead_power_supply_at_any_time_leaves_a_member_that_starts(clock: FakeClock) -> None:
    for seed in range(20):
        chance = random.Random(seed)
        stand = Stand(clock=clock)
        for term in range(1, 8):
            prev = stand.node.log.last
            at = chance.randrange(0, prev.index + 1)
            stand.follow(term, at, stand.node.log.term_at(at) or 0, *items(at + 1, at + 4, term))
            if chance.random() < 0.7:
                stand.settle()
        again = Stand(disk=stand.disk.lose_power(chance), clock=clock)
        assert again.node.stopped == ""
