"""The log: what an append may commit, cut and hold, and what becomes of it when the state machine does not follow.

One of four parts of the contract (``test_core_flush`` says of what). What the library would do: commit its own,
unverified end at any append, cut the log after prev_index at every one, and stand still after an exception.
"""

from __future__ import annotations

import msgspec
from floors.raft.book import FakeClock
from floors.raft.power import Dark
from floors.raft.stand import Stand, item, items

from girginosvm.core.entries import Entry
from girginosvm.core.errors import Busy, Unknown
from girginosvm.raft import messages
from girginosvm.raft.journal import Base, Journal, Vote
from girginosvm.raft.log import NOTHING, command_of
from girginosvm.raft.messages import Ack, Append, AskPreVote, Item


def test_an_append_commits_no_more_than_it_vouches_for(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.lead()
    answers: list[object] = []
    stand.node.propose(b"lost", answers.append)
    stand.settle()
    stand.follow(5, 0, 0, commit=1000)
    stand.settle()
    assert (stand.node.core.committed, stand.book.entries, answers) == (0, [], [])


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


def test_an_entry_of_the_largest_size_is_sent_in_one_piece(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.lead()
    stand.node.propose(bytes(1024 * 1024), lambda answer: None)
    stand.node.propose(bytes(1024 * 1024), lambda answer: None)
    stand.settle()
    sizes = [len(one.command) for _, body in stand.said(Append) if isinstance(body, Append) for one in body.items]
    assert max(sizes) > 1024 * 1024
    assert max(sizes) < messages.ENTRY_BYTES


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
