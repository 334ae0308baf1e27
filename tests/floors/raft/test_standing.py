"""What a member says of itself and of the others when it is asked from aside."""

from __future__ import annotations

from floors.raft.stand import Stand, item

from girginosvm.core.entries import Change
from girginosvm.raft import messages
from girginosvm.raft.cluster import look
from girginosvm.raft.lines import Down, Up
from girginosvm.raft.messages import Ack, Append, Vote
from girginosvm.raft.standing import LOOK_MS, Contacts, Flushes, JournalHealth, Status, lags, looked_at


def asked(stand: Stand) -> Status:
    return look(stand.node, stand.flusher.journal, stand.clock.mono, last_stamp_ms=0)


def passes(stand: Stand, ms: int) -> None:
    stand.clock.mono += ms
    stand.turn()


def test_a_leader_says_how_many_entries_each_reached_member_lacks(stand: Stand) -> None:
    term = stand.lead("n2")
    last = stand.node.log.last.index
    stand.hear("n2", term, Ack(last + 1, True, False))
    passes(stand, LOOK_MS)
    # n3 has not said where it stands: no number is made up for it.
    assert asked(stand).lag == {"n2": 0}
    stand.propose(b"one")
    stand.hear("n3", term, Ack(last, True, False))
    passes(stand, LOOK_MS)
    assert asked(stand).lag == {"n2": 1, "n3": 2}
    stand.turn(Down("n3"))
    passes(stand, LOOK_MS)
    assert asked(stand).lag == {"n2": 1}
    assert asked(stand).reached == ("n2",)


def test_a_leader_says_since_when_each_member_is_silent_also_one_that_was_never_heard(stand: Stand) -> None:
    term = stand.lead("n2")
    passes(stand, 150)
    stand.hear("n2", term, Ack(stand.node.log.last.index + 1, True, False))
    stand.clock.mono += 30
    assert asked(stand).silent_ms == {"n2": 30, "n3": 180}


def test_an_observer_says_whom_it_does_not_look_at_and_a_voter_looks_at_everybody(stand: Stand) -> None:
    assert asked(stand).unwatched == ()
    joins = [item(n, 1, change=Change("add", f"o{n}")) for n in (1, 2, 3)]
    stand.follow(1, 0, 0, *joins, item(4, 1, change=Change("nominate", "o3")), commit=4)
    stand.settle()
    assert (asked(stand).role, asked(stand).unwatched) == ("follower", ())
    stand.follow(1, 4, 1, item(5, 1, change=Change("demote", "n1")))
    stand.settle()
    assert asked(stand).unwatched == ()  # the change may be taken back yet
    stand.follow(1, 5, 1, commit=5)
    stand.settle()
    assert (asked(stand).role, asked(stand).unwatched) == ("observer", ("o1", "o2"))
    stand.turn(Up("o2"))
    assert asked(stand).unwatched == ("o1",)  # its line is up, whatever for
    assert [looked_at(one, asked(stand)) for one in ("n2", "o1", "o2", "o3")] == [True, None, True, False]


def test_nobody_is_silent_for_longer_than_this_one_has_led(stand: Stand) -> None:
    stand.clock.mono += 900_000
    stand.lead()
    assert max(asked(stand).silent_ms.values()) < 900_000


def test_who_does_not_lead_says_nothing_of_the_others(stand: Stand) -> None:
    stand.lead("n2")
    stand.hear("n2", stand.node.core.term + 1, Append(stand.node.core.term + 1, 0, 0, 0, ()))
    passes(stand, LOOK_MS)
    said = asked(stand)
    assert (said.role, said.lag, said.silent_ms) == ("follower", {}, {})


def test_the_age_of_the_last_contact_grows_until_a_leader_speaks(stand: Stand) -> None:
    assert asked(stand).leader_age_ms is None  # none was heard since this process began
    stand.follow(1, 0, 0, item(1, 1, b"x"))
    assert asked(stand).leader_age_ms == 0
    stand.clock.mono += 5_000  # whether or not the member has a turn meanwhile
    assert asked(stand).leader_age_ms == 5_000
    stand.turn(Down("n2", reset=True))
    assert asked(stand).leader_age_ms == 5_000  # that its process is gone is no contact
    stand.follow(1, 1, 1)
    assert asked(stand).leader_age_ms == 0


def test_a_vote_is_no_contact_with_a_leader(stand: Stand) -> None:
    stand.follow(1, 0, 0)
    stand.clock.mono += 900
    stand.hear("n3", 1, messages.PreVote(7))
    stand.hear("n3", 1, Vote(1))
    assert asked(stand).leader_age_ms == 900


def test_a_leader_that_steps_down_counts_from_there(stand: Stand) -> None:
    stand.lead("n2")
    passes(stand, 40)
    assert asked(stand).leader_age_ms == 0
    stand.node.core.step_down(stand.node.core.term + 1)
    stand.clock.mono += 700
    assert asked(stand).leader_age_ms == 700


def test_a_flush_that_runs_is_told_and_one_that_hangs_is_trouble(stand: Stand) -> None:
    stand.follow(1, 0, 0, item(1, 1, b"x"))
    stand.clock.mono += 400
    assert asked(stand).journal.flushing_ms == 400
    assert asked(stand).trouble == ""
    stand.clock.mono += 2_600
    assert asked(stand).trouble == "the journal's flush has been running for 3 s: the disk does not answer"
    stand.flusher.flush()
    stand.turn()
    health = asked(stand).journal
    assert (health.flushing_ms, health.flush_ms, health.worst_flush_ms) == (0, 3_000, 3_000)
    assert asked(stand).trouble == ""
    assert health.segments == 1
    assert health.used_bytes > 0


def test_the_status_names_the_commit_index_and_what_the_log_begins_with(stand: Stand) -> None:
    stand.follow(1, 0, 0, item(1, 1, b"x"), item(2, 1, b"y"))
    stand.settle()
    assert (asked(stand).commit_index, asked(stand).last_index) == (0, 2)
    stand.follow(1, 2, 1, commit=2)
    stand.settle()
    assert (asked(stand).commit_index, asked(stand).first_index) == (2, 1)


# The parts.


def test_a_lag_is_never_negative_and_only_of_members_that_are_reached() -> None:
    assert lags({"n2": 12, "n3": 4, "n4": 9}, ["n3", "n2", "n5"], 10) == {"n2": 0, "n3": 6}


def test_a_look_is_due_after_a_while_only() -> None:
    contacts = Contacts(100)
    assert contacts.due(100)
    contacts.looked(100, {}, [], 0)
    assert not contacts.due(100 + LOOK_MS - 1)
    assert contacts.due(100 + LOOK_MS)


def test_the_slowest_of_the_last_64_flushes_is_told() -> None:
    flushes = Flushes()
    flushes.took(900)
    for _ in range(63):
        flushes.took(2)
    assert (flushes.last_ms, flushes.worst_ms) == (2, 900)
    flushes.took(3)
    assert (flushes.last_ms, flushes.worst_ms) == (3, 3)


def test_a_status_of_before_is_read_with_what_it_does_not_say_yet() -> None:
    said = Status("n1", 1, 1, 1, 1, 0, "", 0)
    assert (said.lag, said.silent_ms, said.leader_age_ms, said.journal) == ({}, {}, 0, JournalHealth())


def test_a_voter_that_hears_no_leader_says_who_is_silent(stand: Stand) -> None:
    stand.follow(1, 0, 0)
    stand.clock.mono += 900
    assert asked(stand).silent_ms == {}
    stand.hear("n3", 1, messages.Newer())
    stand.clock.mono += 200
    assert asked(stand).silent_ms == {"n2": 1_100, "n3": 200}


def test_a_leader_says_who_has_given_it_the_lead(stand: Stand) -> None:
    stand.follow(1, 0, 0)
    stand.hear("n2", 1, messages.TimeoutNow(1))
    stand.settle()
    stand.hear("n3", 2, Vote(2))
    stand.settle()
    assert (asked(stand).role, asked(stand).lead_from) == ("leader", "n2")


def test_whoever_was_elected_was_given_nothing(stand: Stand) -> None:
    stand.lead()
    assert (asked(stand).role, asked(stand).lead_from) == ("leader", "")
