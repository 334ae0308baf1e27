"""What a follower says when, and what a leader says last."""

from __future__ import annotations

from floors.raft.book import FakeClock
from floors.raft.stand import Stand, item

from girginosvm.core.errors import NoQuorum
from girginosvm.raft.lines import Down, Up
from girginosvm.raft.messages import Ack, Append, AskRead, Forward


def following() -> Stand:
    """A follower of n2 in term 1, with two entries on its disk."""
    stand = Stand(clock=FakeClock())
    stand.follow(1, 0, 0, item(1, 1, b"a"), item(2, 1, b"b"))
    stand.settle()
    stand.said(Ack)
    return stand


def acks(stand: Stand) -> list[int]:
    """Up to which entry, of each acknowledgement since the last question."""
    return [body.next_index - 1 for _, body in stand.said(Ack) if isinstance(body, Ack) and body.success]


def after(stand: Stand, ms: int) -> None:
    stand.clock.mono += ms
    stand.turn()


def test_what_was_acknowledged_a_moment_ago_is_not_acknowledged_again() -> None:
    stand = following()
    stand.follow(1, 2, 1, commit=2)
    assert acks(stand) == []
    after(stand, 50)
    stand.follow(1, 2, 1, commit=2)
    assert acks(stand) == [2]


def test_a_line_on_which_the_leader_has_not_spoken_may_be_refused_yet_and_gets_no_command() -> None:
    """Else its caller would hear that the outcome is unknown, and not that nothing was done."""
    stand = following()
    stand.turn(Down("n2"), Up("n2"))
    answers = stand.propose(b"a command")
    assert stand.said(Forward) == []
    stand.turn(Down("n2"), Up("n2"))
    after(stand, 60_000)
    assert [type(answer) for answer in answers] == [NoQuorum]
    stand.propose(b"another")
    stand.follow(1, 2, 1)
    assert [peer for peer, _ in stand.said(Forward)] == ["n2"]


def test_a_new_line_a_new_entry_and_a_new_term_are_answered_at_once() -> None:
    stand = following()
    stand.turn(Down("n2"), Up("n2"))
    stand.follow(1, 2, 1)
    assert acks(stand) == [2]
    stand.follow(1, 2, 1, item(3, 1, b"c"))
    stand.settle()
    assert acks(stand) == [3]
    stand.follow(2, 3, 1, peer="n3")
    stand.settle()
    assert acks(stand) == [3]


def test_a_slow_flush_is_said_after_20_ms_once_and_with_what_is_certain() -> None:
    stand = following()
    stand.follow(1, 2, 1, item(3, 1, b"c"))
    after(stand, 19)
    assert acks(stand) == []
    after(stand, 1)
    assert acks(stand) == [2]
    after(stand, 30)
    assert acks(stand) == []
    stand.settle()
    assert acks(stand) == [3]


def test_an_early_acknowledgement_promises_nothing_that_another_leader_has_written() -> None:
    """Entries 3 and 4 are n2's of term 1; n3, which leads term 2, has vouched for 3 only. They reach the disk first."""
    stand = following()
    stand.follow(1, 2, 1, item(3, 1, b"c"), item(4, 1, b"d"))
    stand.turn()
    stand.follow(2, 2, 1, item(3, 1, b"c"), peer="n3")
    stand.flusher.flush()
    stand.turn()
    stand.clock.mono += 100
    stand.follow(2, 2, 1, item(3, 1, b"c"), peer="n3")
    stand.flusher.flush()
    after(stand, 30)
    stand.settle()
    told = [frame.body for peer, frame in stand.sent if peer == "n3" and isinstance(frame.body, Ack)]
    assert {body.next_index - 1 for body in told} == {3}


def leading() -> tuple[Stand, int, int]:
    """A leader whose entry of its own is on its disk and on nobody else's: its term, and that entry's index."""
    stand = Stand(clock=FakeClock())
    term = stand.lead()
    stand.node.propose(b"x", lambda outcome: None)
    stand.settle()
    stand.said(Append)
    return stand, term, stand.node.log.last.index


def told(stand: Stand, index: int) -> list[str]:
    """Who was told since the last question that so much is committed."""
    said = stand.said(Append)
    return sorted(peer for peer, body in said if isinstance(body, Append) and body.commit_index == index)


def test_a_leader_begins_its_flush_and_its_apply_before_it_tells_of_the_commit_index() -> None:
    stand, term, last = leading()
    began: list[int] = []
    submit = stand.node._applying._applier.submit

    def noted(entries: object) -> None:
        began.append(len(stand.sent))
        submit(entries)  # type: ignore[arg-type]

    stand.node._applying._applier.submit = noted  # type: ignore[method-assign]
    stand.hear("n2", term, Ack(last + 1, True, False))
    assert began == [0]
    assert told(stand, last) == []
    after(stand, 2)
    assert told(stand, last) == ["n2", "n3"]


def test_what_is_committed_is_told_with_the_entries_that_come_next() -> None:
    stand, term, last = leading()
    stand.hear("n2", term, Ack(last + 1, True, False))
    stand.node.propose(b"y", lambda outcome: None)
    stand.settle()
    said = [body for _, body in stand.said(Append) if isinstance(body, Append)]
    assert [(len(body.items), body.commit_index) for body in said] == [(1, last)] * 2
    after(stand, 2)
    assert told(stand, last) == []


def test_whose_own_command_is_committed_is_told_at_once() -> None:
    stand = Stand(clock=FakeClock())
    term = stand.lead()
    stand.hear("n3", term, Forward(term, 1, 1 << 32 | 1, (b"theirs",), False))
    stand.settle()
    last = stand.node.log.last.index
    stand.said(Append)
    stand.hear("n2", term, Ack(last + 1, True, False))
    assert told(stand, last) == ["n3"]
    after(stand, 2)
    assert told(stand, last) == ["n2"]


def test_whoever_is_answered_what_to_read_is_told_before_that_so_much_is_committed() -> None:
    stand, term, last = leading()
    stand.hear("n2", term, Ack(last + 1, True, False))
    stand.hear("n3", term, AskRead(7))
    assert told(stand, last) == ["n2", "n3"]  # both are asked whether this node leads


def test_a_notice_of_a_term_that_is_over_is_not_said() -> None:
    stand, term, last = leading()
    stand.hear("n2", term, Ack(last + 1, True, False))
    stand.hear("n2", term + 1, Append(term + 1, last, term, last, ()))
    after(stand, 2)
    assert told(stand, last) == []
