"""Snapshots between members, step by step: what is asked, what is believed, and when anything is acknowledged."""

from __future__ import annotations

import hashlib
import json

import msgspec
import pytest
from floors.raft.book import FakeClock
from floors.raft.power import Dark
from floors.raft.stand import Stand, item

from girginosvm.core.entries import Change, Entry
from girginosvm.core.errors import HostFault
from girginosvm.core.log import Log
from girginosvm.raft.apply import Checkpointed
from girginosvm.raft.applying import Retention, forgettable
from girginosvm.raft.files import Begin, Discard, Seal, Write
from girginosvm.raft.journal import Base
from girginosvm.raft.log import Rosters
from girginosvm.raft.membership import founded
from girginosvm.raft.messages import PIECE_BYTES, Ack, Append, AskPiece, Offer, Piece, Snapshot

KEEP = Retention(entries=10, tail_entries=3)
DATA = msgspec.msgpack.encode([Entry(index, 1, 1000 + index, "n2", (b"c%d" % index,)) for index in range(1, 51)])
ROSTER = founded({"n1": "", "n2": "", "n4": ""}, frozenset({"n1", "n2"}))
ROSTERS = msgspec.msgpack.encode(Rosters(((7, ROSTER),)))
FIFTY = Snapshot(50, 1, 1050, len(DATA), hashlib.sha256(DATA).digest())
OFFER = Offer(FIFTY, ROSTERS)


def leading(clock: FakeClock, entries: int) -> tuple[Stand, int]:
    """A leader whose log was compacted, with n2 at its side and n3 far behind."""
    stand = Stand(clock=clock, retention=KEEP)
    term = stand.lead()
    for number in range(entries):
        stand.propose(b"c%d" % number)
        stand.hear("n2", term, Ack(stand.node.log.last.index + 1, True, False))
        stand.settle()
    assert stand.node.log.first_index > 1
    stand.sent = []
    return stand, term


def test_a_log_that_cannot_be_compacted_is_kept_and_the_reason_said(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("floors.raft.stand.LOG", Log(level="warning"))
    stand = Stand(clock=clock, retention=KEEP)
    monkeypatch.setattr(
        stand.applier, "checkpoint", lambda: stand.applier.done.append(Checkpointed(0, "OSError: no room"))
    )
    term = stand.lead()
    for number in range(20):
        stand.propose(b"c%d" % number)
        stand.hear("n2", term, Ack(stand.node.log.last.index + 1, True, False))
        stand.settle()
    assert stand.node.log.first_index == 1
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert {one["fault"] for one in lines if one["event"] == "journal.not-compacted"} == {"OSError: no room"}


def beat(stand: Stand, clock: FakeClock, term: int, *answers: tuple[str, Ack]) -> None:
    """A heartbeat's time passes, and is answered for."""
    clock.mono += 120
    stand.turn()
    for peer, ack in answers:
        stand.hear(peer, term, ack)
    stand.settle()


def offer_of(stand: Stand, clock: FakeClock, term: int) -> Offer:
    """What the leader offers to n3."""
    for _ in range(3):
        beat(stand, clock, term, ("n3", Ack(1, False, True)), ("n2", Ack(stand.node.log.last.index + 1, True, False)))
    ((_, offer),) = stand.said(Offer)
    assert isinstance(offer, Offer)
    return offer


def offered(stand: Stand) -> None:
    """A member that has nothing hears a leader, who offers."""
    stand.follow(1, 40, 1, commit=40)
    stand.hear("n2", 1, OFFER)


def received(stand: Stand) -> None:
    """And sends."""
    offered(stand)
    stand.hear("n2", 1, Piece(FIFTY, 0, DATA))


# The leader.


def test_a_member_that_lacks_what_the_log_has_no_more_gets_heartbeats_and_an_offer(clock: FakeClock) -> None:
    stand, term = leading(clock, 30)
    lost, kept = Ack(1, False, True), Ack(stand.node.log.last.index + 1, True, False)
    for _ in range(3):
        beat(stand, clock, term, ("n3", lost), ("n2", kept))
    base = stand.node.log.base
    sent = [frame.body for peer, frame in stand.sent if peer == "n3"]
    assert Append(term, base.index, base.term, base.index, ()) in sent
    offers = [body for body in sent if isinstance(body, Offer)]
    assert len(offers) == 1
    assert offers[0].snapshot.index == stand.node.applied_index
    assert offers[0].snapshot.index >= base.index
    assert stand.node.core.leading


def test_a_member_that_turns_out_to_have_enough_gets_entries_and_no_snapshot(clock: FakeClock) -> None:
    """The leader was started with a log from before what its database has; the other began to look further back still.
    (Three members after a loss of power stood like that for ever; a soak found it.)"""
    before, _ = leading(clock, 30)
    stand = Stand(disk=before.disk, book=before.book, clock=clock, retention=KEEP)
    term = stand.lead()
    base = stand.node.log.base
    assert base.index < stand.node.applied_index
    beat(stand, clock, term, ("n3", Ack(max(1, base.index - 2), False, True)))
    stand.sent = []
    beat(stand, clock, term, ("n3", Ack(base.index + 1, True, False)))
    beat(stand, clock, term)
    sent = [body for peer, body in stand.said(Append) if peer == "n3" and isinstance(body, Append) and body.items]
    assert sent
    assert sent[0].prev_index == base.index
    assert len(sent[0].items) == stand.node.log.last.index - base.index


def test_pieces_are_read_as_they_are_asked_for_and_what_is_no_question_is_nothing(clock: FakeClock) -> None:
    stand, term = leading(clock, 30)
    offer = offer_of(stand, clock, term)
    stand.hear("n3", term, AskPiece(offer.snapshot, 10))
    stand.settle()
    whole = msgspec.msgpack.encode(stand.book.entries)
    assert stand.said(Piece) == [("n3", Piece(offer.snapshot, 10, whole[10 : 10 + PIECE_BYTES]))]
    stand.hear("n3", term, AskPiece(offer.snapshot, offer.snapshot.size))
    stand.hear("n3", term, AskPiece(FIFTY, 0))
    stand.settle()
    assert stand.said(Piece) == []


def test_the_log_goes_on_after_a_snapshot_that_is_being_sent(clock: FakeClock) -> None:
    stand, term = leading(clock, 30)
    offer = offer_of(stand, clock, term)
    stand.hear("n3", term, AskPiece(offer.snapshot, 0))
    for number in range(14):
        stand.propose(b"more%d" % number)
        stand.hear("n2", term, Ack(stand.node.log.last.index + 1, True, False))
        stand.settle()
    assert stand.node.log.first_index <= offer.snapshot.index + 1
    for number in range(40):  # but not for ever
        stand.propose(b"much more%d" % number)
        stand.hear("n2", term, Ack(stand.node.log.last.index + 1, True, False))
        stand.settle()
    assert stand.node.log.first_index > offer.snapshot.index + 1


def test_what_may_be_forgotten_leaves_a_tail_and_waits_for_others_only_so_long(clock: FakeClock) -> None:
    stand, _ = leading(clock, 9)
    log = stand.node.log
    for number in range(100):
        log.add(b"\1" + msgspec.msgpack.encode(Entry(0, 0, 0, "n1", (b"x%d" % number,))), log.last.index + 2, 1)
    last = log.last.index
    keep = Retention(tail_entries=5, tail_bytes=10**6)
    assert forgettable(log, last, keep, []) == last - 5
    assert forgettable(log, last, keep, [last - 12]) == last - 12
    assert forgettable(log, last, keep, [0]) == last - 20
    size = len(log._entries[-1][0])
    assert forgettable(log, last, Retention(tail_entries=50, tail_bytes=3 * size), []) == last - 3


def test_the_memory_of_a_log_does_not_grow(clock: FakeClock) -> None:
    stand, term = leading(clock, 30)
    most = 0
    for number in range(200):
        stand.propose(b"c%d" % number)
        stand.hear("n2", term, Ack(stand.node.log.last.index + 1, True, False))
        stand.settle()
        most = max(most, len(stand.node.log))
        assert stand.node.log.bytes == sum(len(command) for command, _, _ in stand.node.log._entries[1:])
    assert most <= KEEP.entries + 4 * KEEP.tail_entries + 3
    assert len(stand.disk.names()) <= 2


# Who is sent one.


def test_a_snapshot_is_acknowledged_by_the_log_and_only_when_database_and_journal_have_it(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, item(1, 1, b"c1"), commit=1)
    stand.settle()
    stand.sent = []
    offered(stand)
    assert stand.said(AskPiece) == [("n2", AskPiece(FIFTY, 0))]
    stand.hear("n2", 1, Piece(FIFTY, 0, DATA))
    stand.turn()
    stand.turn()
    assert stand.book.applied_index() == 50
    stand.follow(1, 50, 1, item(51, 1, b"next"), commit=50)
    assert all(ack.next_index <= 51 for _, ack in stand.said(Ack) if isinstance(ack, Ack))
    stand.settle()
    assert ("n2", Ack(52, True, False)) in stand.said(Ack)
    assert (stand.node.applied_index, stand.node.log.first_index, stand.jumps) == (50, 51, 1)
    assert stand.node.log.roster == ROSTER
    assert stand.node.core.voters == {"n1", "n2"}
    assert not [name for name in stand.book.snapshots.names() if name.startswith("in")]


def test_pieces_move_no_commit_index_and_nothing_is_applied_before_the_last(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, item(1, 1, b"mine"), item(2, 1, b"uncommitted"), commit=1)
    stand.settle()
    offered(stand)
    for at in range(0, len(DATA) - 100, 100):
        stand.hear("n2", 1, Piece(FIFTY, at, DATA[at : at + 100]))
        stand.settle()
        assert (stand.node.core.committed, stand.node.log.last.index, stand.book.applied_index()) == (1, 2, 1)


def test_only_the_leader_of_this_term_offers_and_only_what_was_asked_for_is_taken(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 40, 1, commit=40)
    stand.hear("n3", 1, OFFER)
    stand.hear("n2", 0, OFFER)
    assert stand.said(AskPiece) == []
    stand.hear("n2", 1, OFFER)
    for wrong in (
        Piece(FIFTY, 7, DATA[7:]),
        Piece(FIFTY, 0, DATA + b"more"),
        Piece(Snapshot(9, 1, 1, 5, bytes(32)), 0, b"x"),
    ):
        stand.hear("n2", 1, wrong)
        stand.settle()
    assert stand.book.applied_index() == 0
    stand.hear("n2", 1, Piece(FIFTY, 0, DATA))
    stand.settle()
    assert stand.book.applied_index() == 50


def test_another_content_than_was_offered_is_thrown_away_and_asked_for_again_later(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    offered(stand)
    stand.hear("n2", 1, Piece(FIFTY, 0, bytes(len(DATA))))
    stand.settle()
    assert (stand.book.applied_index(), stand.node.log.last) == (0, Base(0, 0))
    assert stand.book.snapshots.names() == []
    stand.sent = []
    stand.hear("n2", 1, OFFER)
    assert stand.said(AskPiece) == []
    clock.mono += 6000
    received(stand)
    stand.settle()
    assert stand.book.applied_index() == 50


def test_a_full_disk_for_a_snapshot_stops_nobody(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.book.snapshots.room = 10
    offered(stand)
    stand.settle()
    assert (stand.node.stopped, stand.node.halted) == ("", "")
    stand.book.snapshots.room = 1 << 30
    clock.mono += 6000
    received(stand)
    stand.settle()
    assert stand.book.applied_index() == 50


def test_a_lost_piece_is_asked_for_again_and_another_leader_is_heard_when_none_comes(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    offered(stand)
    assert stand.said(AskPiece) == [("n2", AskPiece(FIFTY, 0))]
    clock.mono += 2100
    stand.turn()
    assert stand.said(AskPiece) == [("n2", AskPiece(FIFTY, 0))]
    stand.follow(2, 40, 1, commit=40, peer="n3")
    stand.hear("n3", 2, OFFER)
    assert stand.said(AskPiece) == []
    clock.mono += 1000
    stand.hear("n3", 2, OFFER)
    assert ("n3", AskPiece(FIFTY, 0)) in stand.said(AskPiece)


def test_one_that_its_sender_has_no_more_is_left_for_the_next(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 40, 1, commit=40)
    stand.hear("n2", 1, Offer(Snapshot(45, 1, 1045, 9999, bytes(32)), ROSTERS))
    received(stand)
    stand.settle()
    assert stand.book.applied_index() == 50


def test_what_came_as_entries_meanwhile_needs_no_snapshot(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    offered(stand)
    stand.follow(1, 0, 0, *(item(index, 1, b"c%d" % index) for index in range(1, 61)), commit=60)
    stand.settle()
    stand.hear("n2", 1, Piece(FIFTY, 0, DATA))
    stand.settle()
    assert (stand.node.applied_index, stand.node.log.last.index, stand.jumps) == (60, 60, 0)
    assert stand.book.snapshots.names() == []


def test_what_was_acknowledged_behind_a_snapshot_while_it_was_installed_stays_in_the_log(clock: FakeClock) -> None:
    """It may be the copy that makes a majority."""
    stand = Stand(clock=clock)
    offered(stand)
    stand.node._applying._applier = Held(stand)
    stand.hear("n2", 1, Piece(FIFTY, 0, DATA))
    stand.settle()
    stand.follow(1, 0, 0, *(item(index, 1, b"c%d" % index) for index in range(1, 56)))
    stand.settle()
    assert ("n2", Ack(56, True, False)) in stand.said(Ack)
    stand.node._applying._applier.goes = True
    stand.settle()
    assert (stand.node.applied_index, stand.node.log.last.index, stand.jumps) == (50, 55, 1)
    again = Stand(disk=stand.disk.lose_power(Dark()), book=stand.book, clock=clock)
    assert again.node.log.last.index == 55


class Held:
    """An applier that says that it has installed when it is let."""

    def __init__(self, stand: Stand) -> None:
        self._inner = stand.node._applying._applier
        self.goes = False

    def __getattr__(self, name: str):
        return getattr(self._inner, name)

    def collect(self):
        return self._inner.collect() if self.goes else []


# A death on the way.


def sealed(stand: Stand, *, installed: bool) -> None:
    """As a death leaves it after the seal, or after the install."""
    for task in (Begin(FIFTY), Write(FIFTY, 0, DATA), Seal(OFFER)):
        outcome = stand.files.do(task)
    if installed:
        stand.book.install(outcome.path)


@pytest.mark.parametrize("installed", [False, True])
@pytest.mark.parametrize("entries", [0, 3, 49, 55])
def test_a_start_finishes_the_install_of_what_is_sealed(clock: FakeClock, installed: bool, entries: int) -> None:
    """Whatever the journal has: less, or another leader's end that goes further."""
    stand = Stand(clock=clock)
    if entries:
        stand.follow(0, 0, 0, *(item(index, 0, b"other%d" % index) for index in range(1, entries + 1)))
    stand.settle()
    sealed(stand, installed=installed)
    stand.book.snapshots = stand.book.snapshots.lose_power(Dark())
    again = Stand(disk=stand.disk.lose_power(Dark()), book=stand.book, clock=clock)
    assert (again.node.applied_index, again.node.log.last) == (50, Base(50, 1))
    assert again.node.log.roster == ROSTER
    assert again.book.snapshots.names() == []
    third = Stand(disk=again.disk.lose_power(Dark()), book=stand.book, clock=clock)
    assert third.node.log.last == Base(50, 1)


def test_a_start_throws_away_what_is_not_sealed(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, item(1, 1, b"x"))
    stand.settle()
    for task in (Begin(FIFTY), Write(FIFTY, 0, DATA)):
        stand.files.do(task)
    again = Stand(disk=stand.disk, book=stand.book, clock=clock)
    assert again.node.log.last == Base(1, 1)
    assert again.book.snapshots.names() == []


def test_a_database_ahead_of_its_journal_without_a_seal_is_still_refused(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    sealed(stand, installed=True)
    stand.files.do(Discard())
    with pytest.raises(HostFault, match="missing from the journal"):
        Stand(disk=stand.disk, book=stand.book, clock=clock)


def test_a_restart_after_an_install_goes_on_with_the_entries_behind_it(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    received(stand)
    stand.settle()
    stand.follow(1, 50, 1, item(51, 1, b"a"), item(52, 1, change=Change("demote", "n1")), commit=52)
    stand.settle()
    stand.follow(1, 52, 1, commit=52)
    stand.settle()
    again = Stand(disk=stand.disk.lose_power(Dark()), book=stand.book, clock=clock)
    assert (again.node.applied_index, again.node.log.last.index) == (52, 52)
    assert again.node.log.roster.voters == {"n2"}
