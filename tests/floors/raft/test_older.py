"""A member among newer ones: it keeps its lines and its log, applies no further than it understands, and goes on from
there when it is upgraded."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest
from floors.raft.book import FakeClock
from floors.raft.stand import Stand, item
from hypothesis import given, settings
from hypothesis import strategies as st

from girginosvm.core.entries import Entry
from girginosvm.core.errors import Busy
from girginosvm.raft import messages
from girginosvm.raft.files import Begin, Seal, Write
from girginosvm.raft.journal import Base
from girginosvm.raft.lines import Heard
from girginosvm.raft.log import Rosters
from girginosvm.raft.membership import founded
from girginosvm.raft.messages import Ack, Append, AskPiece, Malformed, Offer, Snapshot, Strange, Vote

# What a newer release may say: another message, more to a message, more to a frame.
NEWER = (
    [3, [99, "x", b"y", {"z": 1}]],
    [3, [99]],
    [3, [4, 3, 0, "why"]],
    [3, [1, 3, 0, 0, 0, [], "more"]],
    [3, [4, 3], "more"],
)
# What nobody may say.
NEVER: tuple[Any, ...] = (
    [], [3], 3, {"term": 3}, [3, []], [3, [4]], [3, [4, -1]], [3, [4, "x"]], [-1, [99]], ["x", [99]], [3, [0]],
    [3, [-5]], [3, ["vote", 3]], [3, [2**17]], [3, 4], [3, {"a": 1}], [3, [99, *range(40)]], [3, [99], *range(40)],
)  # fmt: skip
DATA = msgspec.msgpack.encode([Entry(index, 1, 1000 + index, "n2", (b"c%d" % index,)) for index in range(1, 51)])
FIFTY = Snapshot(50, 1, 1050, len(DATA), hashlib.sha256(DATA).digest())
VOTERS = founded({"n1": "", "n2": "", "n3": ""}, frozenset({"n1", "n2", "n3"}))
OFFER = Offer(FIFTY, msgspec.msgpack.encode(Rosters(((7, VOTERS),))))


@pytest.mark.parametrize("said", NEWER, ids=str)
def test_what_only_a_newer_release_says_is_passed_over_and_the_line_stays(clock: FakeClock, said: Any) -> None:
    stand = Stand(clock=clock)
    stand.follow(3, 0, 0, item(1, 3, b"a"))
    stand.turn(Heard("n2", msgspec.msgpack.encode(said)))
    stand.follow(3, 1, 3, item(2, 3, b"b"), commit=2)
    stand.settle()
    assert (stand.dropped, stand.node.stopped) == ([], "")
    assert stand.book.commands == [b"a", b"b"]


@pytest.mark.parametrize("said", NEVER, ids=str)
def test_what_nobody_says_still_ends_the_line(clock: FakeClock, said: Any) -> None:
    data = msgspec.msgpack.encode(said)
    with pytest.raises(Malformed):
        messages.decode(data)
    stand = Stand(clock=clock)
    stand.turn(Heard("n2", data))
    assert stand.dropped == ["n2"]


def test_a_newer_word_counts_for_nothing_of_what_it_resembles(clock: FakeClock) -> None:
    """A vote with a field that is not known is no vote."""
    stand = Stand(clock=clock)
    term = stand.campaign()
    stand.turn(Heard("n2", msgspec.msgpack.encode([term, [4, term, "unless"]])))
    stand.settle()
    assert not stand.node.core.leading
    stand.hear("n2", term, Vote(term))
    stand.settle()
    assert stand.node.core.leading


FRAMES = (
    messages.encode(3, Append(3, 1, 3, 0, (item(2, 3, b"a"),))), messages.encode(3, Vote(3)), messages.encode(7, OFFER),
    messages.encode(7, messages.Introduce(9, (messages.Known("n4", "192.0.2.4:1995"),))),
)  # fmt: skip
# One byte of a good frame is another one: most of what comes of it is nearly right.
DAMAGED = st.builds(
    lambda frame, at, byte: frame[: at % len(frame)] + bytes((byte,)) + frame[at % len(frame) + 1 :],
    st.sampled_from(FRAMES), st.integers(0, 1000), st.integers(0, 255),
)  # fmt: skip


@settings(max_examples=1000)
@given(st.one_of(st.binary(max_size=200), DAMAGED))
def test_any_bytes_are_a_frame_or_strange_or_malformed(data: bytes) -> None:
    try:
        frame = messages.decode(data)
    except (Malformed, Strange):
        return
    assert messages.decode(messages.encode(frame.term, frame.body)) == frame


def test_a_member_that_cannot_apply_an_entry_keeps_the_log_and_its_vote_and_does_not_lead(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.book.halt_at = 3
    stand.follow(1, 0, 0, *(item(index, 1, b"c%d" % index) for index in range(1, 6)), commit=5)
    stand.settle()
    assert (stand.node.halted, stand.node.applied_index) == ("told to", 2)
    stand.sent = []
    stand.follow(1, 5, 1, item(6, 1, b"c6"), commit=6)
    stand.settle()
    assert stand.said(Ack) == [("n2", Ack(7, True, False))]
    clock.mono += 5000
    stand.settle()
    assert stand.said(messages.AskPreVote) == []
    stand.hear("n2", 2, messages.AskVote(2, 6, 1))
    stand.settle()
    assert stand.said(Vote) == [("n2", Vote(2, 6006))]
    # After an upgrade it goes on with what it has kept.
    stand.book.halt_at = 0
    again = Stand(disk=stand.disk, book=stand.book, clock=clock)
    again.follow(2, 6, 1, item(7, 2), commit=7)
    again.settle()
    assert again.node.applied_index == 7


def refusing(stand: Stand) -> None:
    """A snapshot came that only a newer release can take in."""
    stand.book.beyond = "it is of a newer release: upgrade this node"
    stand.follow(1, 40, 1, commit=40)
    stand.hear("n2", 1, OFFER)
    stand.hear("n2", 1, messages.Piece(FIFTY, 0, DATA))
    stand.settle()


def test_a_snapshot_of_a_newer_release_ends_applying_and_stays_for_the_upgrade(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    refusing(stand)
    assert (stand.node.halted, stand.node.stopped) == ("it is of a newer release: upgrade this node", "")
    for _ in range(2):  # as often as it is started
        again = Stand(disk=stand.disk, book=stand.book, clock=clock)
        assert (again.node.halted, again.node.applied_index) == ("it is of a newer release: upgrade this node", 0)
        (refused,) = again.propose(b"x")
        assert isinstance(refused, Busy)
        again.hear("n2", 1, Append(1, 40, 1, 40, ()))
        again.hear("n2", 1, OFFER)
        again.settle()
        assert again.said(AskPiece) == []
        assert sorted(again.book.snapshots.names()) == ["in.db", "in.sealed"]
    stand.book.beyond = ""
    upgraded = Stand(disk=stand.disk, book=stand.book, clock=clock)
    assert (upgraded.node.halted, upgraded.node.applied_index) == ("", 50)
    assert upgraded.node.log.last == Base(50, 1)
    assert upgraded.book.snapshots.names() == []


def test_one_that_died_after_the_seal_finds_out_at_its_start(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, item(1, 1, b"x"), commit=1)
    stand.settle()
    for task in (Begin(FIFTY), Write(FIFTY, 0, DATA), Seal(OFFER)):
        stand.files.do(task)
    stand.book.beyond = "upgrade this node"
    again = Stand(disk=stand.disk, book=stand.book, clock=clock)
    assert (again.node.halted, again.node.applied_index, again.node.log.last) == ("upgrade this node", 1, Base(1, 1))
    again.follow(1, 1, 1, item(2, 1, b"y"), commit=2)  # it follows all the same
    again.settle()
    assert (again.node.applied_index, again.node.log.last.index) == (1, 2)
