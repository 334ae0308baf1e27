"""A member whose database is gone while its log was compacted: it promises as always, applies nothing, and asks."""

from __future__ import annotations

import hashlib
import random

import msgspec
import pytest
from floors.raft.book import Book, FakeClock
from floors.raft.stand import Stand, item

from girginosvm.core.entries import Entry
from girginosvm.core.errors import Busy, HostFault
from girginosvm.raft.applying import Retention
from girginosvm.raft.journal import Base
from girginosvm.raft.lacking import ASK_MS, PATIENCE_MS, Asking, order
from girginosvm.raft.log import Rosters
from girginosvm.raft.membership import founded
from girginosvm.raft.messages import (
    Ack,
    Append,
    AskPiece,
    AskPreVote,
    AskSnapshot,
    AskVote,
    Offer,
    Piece,
    Snapshot,
    TimeoutNow,
    Vote,
)

KEEP = Retention(entries=10, tail_entries=3)
SMALL = 1024  # a segment has some ten entries
ROSTER = founded({"n1": "", "n2": "", "n3": ""}, frozenset({"n1", "n2", "n3"}))
ROSTERS = msgspec.msgpack.encode(Rosters(((0, ROSTER),)))


def entries(upto: int) -> list[Entry]:
    return [Entry(index, 1, 1000 + index, "n2", (b"c%d" % index,)) for index in range(1, upto + 1)]


def snapshot(upto: int) -> tuple[Offer, bytes]:
    data = msgspec.msgpack.encode(entries(upto))
    return Offer(Snapshot(upto, 1, 1000 + upto, len(data), hashlib.sha256(data).digest()), ROSTERS), data


def lost(clock: FakeClock, *, book: Book | None = None, last: int = 40, retention: Retention = KEEP) -> Stand:
    """A follower of 40 entries, whose log begins after some of them; its process ends, and its database is gone."""
    before = Stand(clock=clock, retention=KEEP, segment_bytes=SMALL)
    for index in range(1, last + 1):
        before.follow(1, index - 1, int(index > 1), item(index, 1, b"c%d" % index), commit=index)
        before.settle()
    assert before.node.log.first_index > 20
    disk = before.disk.lose_power(random.Random(1))
    return Stand(disk=disk, book=book or Book(), clock=clock, retention=retention, segment_bytes=SMALL)


def beat(stand: Stand, clock: FakeClock, ms: int) -> None:
    """Time passes, in which the leader speaks."""
    for _ in range(ms // 100):
        clock.mono += 100
        last = stand.node.log.last
        stand.follow(1, last.index, last.term, commit=last.index)
        stand.settle()


def fetched(stand: Stand, offer: Offer, data: bytes, peer: str = "n2") -> None:
    stand.hear(peer, 1, offer)
    stand.hear(peer, 1, Piece(offer.snapshot, 0, data))
    stand.settle()


def test_it_takes_entries_and_votes_and_applies_nothing(clock: FakeClock) -> None:
    stand = lost(clock)
    base = stand.node.log.base
    assert (stand.node.applied_index, stand.node.core.committed) == (0, base.index)
    stand.sent = []
    stand.follow(1, 40, 1, item(41, 1, b"c41"), commit=41)
    stand.settle()
    assert ("n2", Ack(42, True, False)) in stand.said(Ack)
    assert (stand.book.entries, stand.node.halted, stand.node.stopped) == ([], "", "")
    clock.mono += 5000
    stand.hear("n3", 2, AskVote(2, 40, 1))  # a log that is behind
    stand.settle()
    assert stand.said(Vote) == []
    stand.hear("n3", 3, AskVote(3, 41, 1))
    stand.settle()
    assert [(peer, vote.term) for peer, vote in stand.said(Vote)] == [("n3", 3)]


def test_what_is_asked_of_it_is_surely_not_done(clock: FakeClock) -> None:
    stand = lost(clock)
    beat(stand, clock, 100)
    (said,) = stand.propose(b"late")
    assert isinstance(said, Busy)
    assert said.code == "database-behind"
    assert f"the journal begins at {stand.node.log.first_index}" in said.detail


def test_it_asks_its_leader_takes_the_offer_and_keeps_the_log_behind_it(clock: FakeClock) -> None:
    stand = lost(clock)
    base = stand.node.log.base
    stand.sent = []
    beat(stand, clock, 2 * ASK_MS)
    asked = stand.said(AskSnapshot)
    assert asked == [("n2", AskSnapshot(base.index))] * len(asked)
    assert 2 <= len(asked) <= 4
    offer, data = snapshot(base.index + 2)
    fetched(stand, offer, data)
    assert (stand.node.applied_index, stand.node.lacking, stand.jumps) == (base.index + 2, "", 1)
    assert (stand.node.log.base, stand.node.log.last) == (base, Base(40, 1))
    beat(stand, clock, 300)
    assert stand.node.applied_index == 40
    assert stand.book.commands == [b"c%d" % index for index in range(1, 41)]
    again = Stand(disk=stand.disk.lose_power(random.Random(2)), book=stand.book, clock=clock)
    assert (again.node.applied_index, again.node.lacking) == (40, "")


def test_one_that_goes_further_than_its_own_log_takes_the_logs_place(clock: FakeClock) -> None:
    stand = lost(clock)
    beat(stand, clock, 100)
    offer, data = snapshot(60)
    fetched(stand, offer, data)
    assert (stand.node.applied_index, stand.node.log.base, stand.node.log.last) == (60, Base(60, 1), Base(60, 1))


def test_one_that_ends_before_its_log_begins_is_of_no_use(clock: FakeClock) -> None:
    stand = lost(clock)
    beat(stand, clock, 100)
    offer, data = snapshot(stand.node.log.base.index - 1)
    fetched(stand, offer, data)
    assert (stand.node.applied_index, stand.said(AskPiece)) == (0, [])


def test_whom_it_did_not_ask_it_does_not_hear(clock: FakeClock) -> None:
    stand = lost(clock)
    beat(stand, clock, 100)
    offer, data = snapshot(40)
    fetched(stand, offer, data, peer="n3")
    assert stand.node.applied_index == 0
    fetched(stand, offer, data)
    assert stand.node.applied_index == 40


def test_a_member_that_gives_none_is_left_for_the_next(clock: FakeClock) -> None:
    stand = lost(clock)
    stand.sent = []
    beat(stand, clock, PATIENCE_MS + 2 * ASK_MS)
    asked = [peer for peer, _ in stand.said(AskSnapshot)]
    assert asked.index("n3") > PATIENCE_MS // ASK_MS - 2
    assert set(asked[asked.index("n3") :]) == {"n3"}
    offer, data = snapshot(40)
    fetched(stand, offer, data, peer="n3")
    assert stand.node.applied_index == 40


def test_a_follower_gives_what_it_has_if_that_reaches_so_far(clock: FakeClock) -> None:
    """Nobody leads: the one that asks may be the one that should."""
    stand = Stand(clock=clock)
    stand.follow(1, 0, 0, *(item(index, 1, b"c%d" % index) for index in range(1, 31)), commit=30)
    stand.settle()
    stand.sent = []
    for after in (31, 30, 30):
        clock.mono += ASK_MS
        stand.hear("n3", 1, AskSnapshot(after))
        stand.settle()
    ((peer, offer),) = stand.said(Offer)
    assert isinstance(offer, Offer)
    assert (peer, offer.snapshot.index) == ("n3", 30)
    stand.hear("n3", 1, AskPiece(offer.snapshot, 0))
    stand.settle()
    assert [one for one, _ in stand.said(Piece)] == ["n3"]


def test_it_gives_none_itself(clock: FakeClock) -> None:
    stand = lost(clock)
    for _ in range(3):
        clock.mono += ASK_MS
        stand.hear("n3", 1, AskSnapshot(0))
        stand.settle()
    assert stand.said(Offer) == []
    assert stand.book.snapshots.names() == []


def test_it_leads_when_its_log_is_the_longest_commits_what_it_has_and_is_handed_none_of_the_lead(
    clock: FakeClock,
) -> None:
    """Of two voters the other one could not be elected: nobody would lead, and nobody could be asked."""
    stand = lost(clock)
    beat(stand, clock, 100)
    stand.sent = []
    stand.hear("n2", 1, TimeoutNow(1))
    stand.settle()
    assert stand.said(AskVote) == []
    clock.mono += 3000
    stand.turn()
    assert [peer for peer, _ in stand.said(AskPreVote)] == ["n2", "n3"]
    term = stand.lead()
    stand.hear("n2", term, Ack(42, True, False))
    stand.settle()
    assert (stand.node.core.committed, stand.node.applied_index) == (41, 0)
    clock.mono += ASK_MS
    stand.turn()
    assert stand.said(AskSnapshot)[:1] == [("n2", AskSnapshot(stand.node.log.base.index))]
    offer, data = snapshot(40)
    fetched(stand, offer, data)
    assert stand.node.applied_index >= 40


def test_one_that_has_nothing_behind_its_base_does_not_stand(clock: FakeClock) -> None:
    """It knows no time of the log, and would begin with one that was before."""
    stand = lost(clock)
    beat(stand, clock, 100)
    offer, data = snapshot(60)
    fetched(stand, offer, data)
    again = Stand(disk=stand.disk, book=Book(), clock=clock)
    assert (again.node.log.first_index, again.node.log.last.index) == (61, 60)
    again.sent = []
    clock.mono += 5000
    again.settle()
    kinds = {type(frame.body) for _, frame in again.sent}
    assert AskSnapshot in kinds
    assert AskPreVote not in kinds


def test_a_full_disk_on_the_way_stops_nobody_and_it_asks_again(clock: FakeClock) -> None:
    stand = lost(clock)
    stand.book.snapshots.room = 10
    beat(stand, clock, 100)
    offer, data = snapshot(40)
    fetched(stand, offer, data)
    assert (stand.node.stopped, stand.node.halted, stand.node.applied_index) == ("", "", 0)
    assert stand.book.snapshots.names() == []
    stand.book.snapshots.room = 1 << 30
    stand.sent = []
    beat(stand, clock, 6000)
    assert stand.said(AskSnapshot)
    fetched(stand, offer, data)
    assert stand.node.applied_index == 40


def test_an_older_copy_of_the_database_is_made_up_for_like_none(clock: FakeClock) -> None:
    book = Book()
    book.entries = entries(7)
    stand = lost(clock, book=book)
    assert "the database stands at entry 7, and the journal begins at" in stand.node.lacking
    beat(stand, clock, 100)
    offer, data = snapshot(40)
    fetched(stand, offer, data)
    assert stand.book.commands == [b"c%d" % index for index in range(1, 41)]


def test_it_says_what_it_lacks_and_how_far_it_is(clock: FakeClock) -> None:
    stand = lost(clock)
    beat(stand, clock, 100)
    assert stand.node.lacking.endswith(": a snapshot was asked for of n2")
    offer, _ = snapshot(40)
    stand.hear("n2", 1, offer)
    assert ": a snapshot is fetched from n2, 0 B of " in stand.node.lacking


def test_whoever_cannot_apply_ends_its_part_before_it_fills_memory_and_disk(clock: FakeClock) -> None:
    stand = lost(clock)
    limit = 4 * KEEP.entries
    stand.follow(1, 40, 1, *(item(index, 1, b"x") for index in range(41, 41 + limit)), commit=40)
    stand.settle()
    assert stand.node.stopped == ""
    stand.follow(1, 40 + limit, 1, item(41 + limit, 1, b"x"), commit=40)
    stand.settle()
    assert f"{limit + 1} entries wait to be applied: this node takes no more of them" in stand.node.stopped
    # Nothing is forgotten, and the next process has as much room again.
    again = Stand(disk=stand.disk.lose_power(random.Random(3)), book=stand.book, clock=clock, retention=KEEP)
    assert (again.node.log.last.index, again.node.stopped) == (41 + limit, "")
    beat(again, clock, 100)
    offer, data = snapshot(40)
    fetched(again, offer, data)
    assert again.node.applied_index >= 40


def test_a_member_that_is_too_old_for_the_log_ends_its_part_and_goes_on_after_its_upgrade(clock: FakeClock) -> None:
    stand = Stand(clock=clock, retention=KEEP)
    stand.book.halt_at = 3
    for index in range(1, 4 * KEEP.entries + 4):
        assert stand.node.stopped == "", index
        stand.follow(1, index - 1, int(index > 1), item(index, 1, b"c%d" % index), commit=index)
        stand.settle()
    last = stand.node.log.last.index
    assert stand.node.stopped.startswith(f"told to; {last - 2} entries wait to be applied")
    # Started again as it is, it is full at once; upgraded, it has all that it acknowledged.
    for halts in (True, False):
        stand.book.halt_at = 3 if halts else 0
        stand = Stand(disk=stand.disk.lose_power(random.Random(4)), book=stand.book, clock=clock, retention=KEEP)
        assert stand.node.log.last.index >= last
        last_one = stand.node.log.last
        stand.follow(1, last_one.index, 1, commit=last_one.index)
        stand.settle()
        assert bool(stand.node.stopped) is halts
    assert stand.node.applied_index == stand.node.log.last.index


def test_one_that_waits_for_an_upgrade_with_a_sealed_snapshot_asks_for_no_other(clock: FakeClock) -> None:
    book = Book()
    book.beyond = "it is of a newer release: upgrade this node"
    stand = lost(clock, book=book)
    beat(stand, clock, 100)
    offer, data = snapshot(40)
    fetched(stand, offer, data)
    assert (stand.node.halted, stand.node.applied_index) == (book.beyond, 0)
    stand.sent = []
    beat(stand, clock, 3 * ASK_MS)
    assert stand.said(AskSnapshot) == []
    # Upgraded it finds what it was sent, and all that it acknowledged meanwhile.
    book.beyond = ""
    again = Stand(disk=stand.disk, book=book, clock=clock, segment_bytes=SMALL)
    assert (again.node.applied_index, again.node.lacking, again.node.log.last.index) == (40, "", 40)


def test_alone_there_is_nobody_to_ask(clock: FakeClock) -> None:
    stand = lost(clock)
    with pytest.raises(HostFault, match="no other member") as caught:
        stand.flusher.journal.check_follows(0)
    assert caught.value.code == "database-behind"


def test_the_leader_is_asked_first_then_voters_then_the_others() -> None:
    roster = founded(dict.fromkeys(("a", "b", "c", "d"), ""), frozenset({"b", "c"}))
    assert order(roster, {"a", "b", "c", "x"}, "c") == ["c", "b", "a"]
    assert order(roster, {"a", "d"}, "") == ["a", "d"]
    assert order(roster, set(), "c") == []


def test_while_pieces_come_nobody_is_asked_and_whoever_is_gone_is_left(clock: FakeClock) -> None:
    said: list[tuple[str, object]] = []
    asking = Asking(lambda peer, body: said.append((peer, body)))
    asking.turn(7, ["a", "b"], 1000, waits=True)
    for now in range(2000, 60_000, 500):
        asking.turn(7, ["a", "b"], now, waits=False)
    assert said == [("a", AskSnapshot(7))]
    asking.turn(7, ["b"], 60_000, waits=True)
    assert said[1:] == [("b", AskSnapshot(7))]
    asking.turn(7, [], 61_000, waits=True)
    assert (asking.peer, len(said)) == ("", 2)


def test_the_heartbeats_of_a_leader_move_only_what_is_committed(clock: FakeClock) -> None:
    stand = lost(clock)
    stand.hear("n2", 1, Append(1, 40, 1, 40, ()))
    stand.settle()
    assert (stand.node.core.committed, stand.node.applied_index, stand.book.entries) == (40, 0, [])
