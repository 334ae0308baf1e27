"""Every way in which pysyncobj 0.3.17 is known to lose or part what it agreed on, tried on a member of ours.

This is the contract: it runs before the pin may change.
"""

from __future__ import annotations

import errno
import pickle
import random
from collections.abc import Iterator

import msgspec
import pysyncobj.syncobj
import pytest
from floors.raft.book import Book, FakeClock
from floors.raft.stand import Stand, item

from girginosvm.core.entries import Entry
from girginosvm.core.errors import Busy, HostFault, Unknown
from girginosvm.raft import messages, seams
from girginosvm.raft.journal import Base, Journal, Vote
from girginosvm.raft.lines import Heard, Up
from girginosvm.raft.log import NOTHING, command_of
from girginosvm.raft.messages import Ack, Append, AskPreVote, AskVote, Item, Malformed, Newer, PreVote, TimeoutNow

FIVE = ("n1", "n2", "n3", "n4", "n5")


class Dark(random.Random):
    """Chance at its worst: nothing that was not flushed reaches the platter."""

    def random(self) -> float:
        return 1.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeClock]:
    """One time for the member and the core."""
    one = FakeClock()
    one.mono = 10_000
    monkeypatch.setattr(pysyncobj.syncobj, "monotonicTime", lambda: one.mono / 1000)
    return one


def items(first: int, last: int, term: int) -> list[Item]:
    return [item(index, term, b"c%d" % index) for index in range(first, last + 1)]


# What the library would say: nothing is flushed; acknowledgements and votes leave first.


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


# A snapshot chunk (or any append) commits the follower's own, unverified end.


def test_an_append_commits_no_more_than_it_vouches_for(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.lead()
    answers: list[object] = []
    stand.node.propose(b"lost", answers.append)
    stand.settle()
    stand.follow(5, 0, 0, commit=1000)
    stand.settle()
    assert (stand.node.core.committed, stand.book.entries, answers) == (0, [], [])


def test_the_wire_has_no_word_for_a_snapshot_chunk_or_a_pickle() -> None:
    chunk = {"type": "append_entries", "term": 5, "commit_index": 1000, "serialized": (b"x", True, False)}
    for data in (msgspec.msgpack.encode(chunk), pickle.dumps(chunk), b"", b"\xc1", bytes(100)):
        with pytest.raises(Malformed):
            messages.decode(data)


# The log is cut after prev_index at every append.


def test_a_prefix_that_comes_again_deletes_nothing(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, *items(1, 20, 1))
    stand.settle()
    stand.follow(1, 0, 0, *items(1, 5, 1))
    stand.settle()
    assert stand.node.log.last == Base(20, 1)
    assert len(Journal(stand.disk.lose_power(Dark())).entries) == 20
    assert stand.said(Ack)[-1] == ("n2", Ack(6, True, False))


def test_a_conflict_cuts_the_log_there_on_disk_too(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, *items(1, 20, 1))
    stand.settle()
    stand.follow(2, 5, 1, item(6, 2, b"other"), peer="n3")
    stand.settle()
    found = Journal(stand.disk.lose_power(Dark()))
    assert stand.node.log.last == Base(6, 2)
    assert [(entry.index, entry.term) for entry in found.entries] == [*((index, 1) for index in range(1, 6)), (6, 2)]
    assert found.vote == Vote(2, "")


def test_a_log_that_parts_goes_back_by_a_term_and_not_to_what_is_committed(clock: FakeClock) -> None:
    """The next leader may have compacted what is further back."""
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, *items(1, 5, 1), commit=2)
    stand.follow(2, 5, 1, *items(6, 9, 2))
    stand.settle()
    stand.said(Ack)
    stand.follow(3, 8, 3, peer="n3")
    stand.settle()
    assert stand.said(Ack)[-1] == ("n3", Ack(6, False, True))
    stand.follow(3, 5, 3, peer="n3")
    stand.settle()
    assert stand.said(Ack)[-1] == ("n3", Ack(3, False, True))


def test_two_contents_of_one_entry_stop_the_member(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, *items(1, 5, 1))
    stand.follow(1, 0, 0, item(1, 1, b"something else"))
    assert "two contents" in stand.node.stopped
    assert sorted(stand.dropped) == ["n2", "n3"]


def test_another_entry_where_one_is_committed_stops_the_member(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, *items(1, 5, 1), commit=5)
    stand.settle()
    stand.follow(3, 2, 1, item(3, 3, b"other"), peer="n3")
    assert "entry 3 is committed here in term 1" in stand.node.stopped
    assert len(stand.book.entries) == 5


def test_two_leaders_of_one_term_stop_the_member(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(4, 0, 0)
    stand.follow(4, 0, 0, peer="n3")
    assert "n3 leads term 4, and so does n2" in stand.node.stopped


# Replies carry no term; votes are a bare number.


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


# What is persisted: a lost end with a commit index beyond it, and replays at start.


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


# An exception while applying wedges the log.


def test_a_state_machine_that_halts_is_said_and_the_log_goes_on(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.book.halt_at = 3
    stand.follow(1, 0, 0, *items(1, 5, 1), commit=5)
    stand.settle()
    assert (stand.node.halted, stand.node.applied_index) == ("told to", 2)
    stand.follow(1, 5, 1, item(6, 1), commit=6)
    stand.settle()
    assert stand.said(Ack)[-1] == ("n2", Ack(7, True, False))
    assert isinstance(stand.propose(b"x")[0], Busy)


def test_a_leader_that_cannot_apply_steps_down_and_does_not_stand_again(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    term = stand.lead()
    stand.book.halt_at = 2
    stand.hear("n2", term, Ack(2, True, False))
    answers: list[object] = []
    stand.node.propose(b"x", answers.append)
    stand.settle()
    stand.hear("n2", term, Ack(3, True, False))
    stand.settle()
    assert isinstance(answers[0], Unknown)
    assert not stand.node.core.leading
    stand.said(AskPreVote)
    clock.mono += 60_000
    stand.settle()
    assert stand.said(AskPreVote) == []


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


# No pre-vote, no stickiness, leaders that nobody hears; timers judged before the sockets are read.


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


# Entries of any size we allow travel whole.


def test_an_entry_of_the_largest_size_is_sent_in_one_piece(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.lead()
    stand.node.propose(bytes(1024 * 1024), lambda answer: None)
    stand.node.propose(bytes(1024 * 1024), lambda answer: None)
    stand.settle()
    sizes = [len(one.command) for _, body in stand.said(Append) if isinstance(body, Append) for one in body.items]
    assert max(sizes) > 1024 * 1024
    assert max(sizes) < messages.ENTRY_BYTES


# What a member says is looked at before the core sees it.


def test_an_entry_that_lies_about_its_place_is_dropped(clock: FakeClock) -> None:
    entry = Entry(9, 1, 1, "n2", (b"x",))
    liar = Item(1, command_of(entry, msgspec.msgpack.encode(entry)))
    version = Item(1, b"\3" + item(1, 1, b"x").command[1:])
    for bad in (liar, Item(1, NOTHING), Item(1, b"\0\x80\x04garbage"), version, item(1, 2, b"later than its leader")):
        stand = Stand(clock=clock)
        stand.follow(1, 0, 0, bad)
        stand.settle()
        assert stand.node.log.last == Base(0, 0)
        assert stand.node.stopped == ""


def test_garbage_from_a_member_costs_it_its_line(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.turn(Heard("n2", pickle.dumps({"type": "append_entries"})))
    assert stand.dropped == ["n2"]


def test_another_release_of_the_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    seams.check()
    monkeypatch.setattr("pysyncobj.version.VERSION", "0.3.18")
    with pytest.raises(RuntimeError, match=r"0\.3\.18 is not 0\.3\.17"):
        seams.check()


def test_the_library_can_neither_pickle_nor_unpickle_nor_make_a_journal() -> None:
    with pytest.raises(RuntimeError, match="pickled"):
        pysyncobj.syncobj.pickle.load(None)
    with pytest.raises(RuntimeError, match="not of our making"):
        pysyncobj.syncobj.pickle.dumps({"a": "dump"})
    with pytest.raises(msgspec.DecodeError):
        pysyncobj.syncobj.pickle.loads(pickle.dumps(print))
    with pytest.raises(RuntimeError, match="a journal of ours"):
        pysyncobj.syncobj.createJournal(None)


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
