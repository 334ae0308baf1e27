"""Terms and votes: who leads, who may ask, and what counts as an answer.

One of four parts of the contract (``test_core_flush`` says of what). What the library would do: send replies without a
term and votes as a bare number, hold no pre-vote, let a leader lead whom nobody hears, and judge patience before it
reads its sockets.
"""

from __future__ import annotations

import pytest
from floors.raft.book import FakeClock
from floors.raft.power import Dark
from floors.raft.stand import Stand, item, items

from girginosvm.raft import messages
from girginosvm.raft.journal import Journal, Vote
from girginosvm.raft.messages import Ack, Append, AskPreVote, AskVote, Newer, PreVote, TimeoutNow

FIVE = ("n1", "n2", "n3", "n4", "n5")


def test_two_leaders_of_one_term_stop_the_member(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(4, 0, 0)
    stand.follow(4, 0, 0, peer="n3")
    assert "n3 leads term 4, and so does n2" in stand.node.stopped


def test_acknowledgements_of_another_term_or_beyond_the_log_do_not_count(clock: FakeClock) -> None:
    stand = Stand(clock=clock, voters=FIVE)
    term = stand.lead("n2", "n3")
    for peer in ("n2", "n3", "n4"):
        stand.hear(peer, term - 1, Ack(2, True, False))
        stand.hear(peer, term, Ack(999, True, False))
    stand.settle()
    assert stand.node.core.leading
    assert stand.node.core.committed == 0
    for peer in ("n2", "n3"):
        stand.hear(peer, term, Ack(2, True, False))
    stand.settle()
    assert stand.node.core.committed == 1


@pytest.mark.parametrize("voters", [["n2", "n2", "n2"], ["o1", "o2", "n2"], ["n9", "n8", "n7"]])
def test_votes_count_once_per_voter_and_only_of_voters(clock: FakeClock, voters: list[str]) -> None:
    stand = Stand(clock=clock, voters=FIVE)
    term = stand.campaign()
    for peer in voters:
        stand.hear(peer, term, messages.Vote(term))
    stand.settle()
    assert not stand.node.core.leading
    stand.hear("n3", term, messages.Vote(term))
    stand.hear("n4", term, messages.Vote(term))
    assert stand.node.core.leading


def test_a_vote_of_an_earlier_term_does_not_count(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.campaign()
    term = stand.campaign()
    stand.hear("n2", term, messages.Vote(term - 1))
    assert not stand.node.core.leading


@pytest.mark.parametrize(
    "body", [Append(9, 0, 0, 5, ()), AskVote(9, 99, 9, True), TimeoutNow(9), Newer(), Ack(99, True, False)]
)
def test_an_observer_changes_nothing_while_there_is_a_leader(clock: FakeClock, body: messages.Body) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, item(1, 1))
    stand.settle()
    before = (stand.node.core.term, stand.node.log.last)
    stand.hear("o1", 9, body)
    stand.settle()
    assert (stand.node.core.term, stand.node.log.last) == before
    assert stand.said(messages.Vote) == []


def test_a_leader_that_nobody_answers_steps_down_before_another_could_be_elected(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.lead()
    clock.mono += 260
    stand.turn()
    assert not stand.node.core.leading


def test_an_append_of_an_old_leader_is_answered_with_the_newer_term(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(9, 0, 0)
    stand.settle()
    stand.sent = []
    stand.follow(3, 0, 0, peer="n3")
    assert [(peer, frame.term) for peer, frame in stand.sent if isinstance(frame.body, Newer)] == [("n3", 9)]


def test_a_newer_term_ends_a_leadership(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    term = stand.lead()
    stand.hear("n3", term + 4, Newer())
    assert (stand.node.core.leading, stand.node.core.term) == (False, term + 4)
    stand.settle()
    assert Journal(stand.disk.lose_power(Dark())).vote == Vote(term + 4, "")


def test_a_candidate_gets_no_vote_while_the_leader_is_alive_unless_the_leader_sent_it(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0)
    stand.hear("n3", 2, AskVote(2, 9, 1))
    stand.hear("n3", 1, AskPreVote(5, 2, 9, 1))
    stand.settle()
    assert stand.said(messages.Vote) == []
    assert stand.node.core.term == 1
    stand.hear("n3", 2, AskVote(2, 9, 1, True))
    stand.settle()
    assert stand.said(messages.Vote) == [("n3", messages.Vote(2, clock.wall))]


def test_a_pre_vote_is_for_logs_that_are_not_behind_and_changes_nothing(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, *items(1, 5, 1))
    stand.settle()
    clock.mono += 500
    stand.sent = []
    stand.hear("n3", 1, AskPreVote(1, 2, 4, 1))
    assert stand.said(PreVote) == []
    stand.hear("n3", 1, AskPreVote(2, 2, 5, 1))
    assert stand.said(PreVote) == [("n3", PreVote(2))]
    assert stand.node.core.term == 1


def test_what_waits_in_the_sockets_is_heard_before_patience_is_judged(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0)
    clock.mono += 5000  # the process stood still; the leader's heartbeats wait in the socket
    stand.sent = []
    stand.follow(1, 0, 0)
    stand.settle()
    assert stand.said(AskPreVote) == []
    clock.mono += 900
    stand.turn()
    assert len(stand.said(AskPreVote)) == 2
