"""Snapshots on their way: to peers that need entries which are no longer here, and to this member.

Whoever receives asks for piece after piece, so at most one is on a line, at most one in memory, and a line that was
lost costs one question. Nothing of this reaches the core: what a snapshot holds becomes this member's log in one step,
when the database has it (``Applying``).

    leader   Offer  ->  AskPiece 0 -> Piece  ->  AskPiece 1 -> Piece  ...  ->  sealed, installed
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from girginosvm.core.log import Log as Lines
from girginosvm.raft.files import Begin, Discard, Failed, HasRoom, IsSealed, Made, Make, Read, Seal, WasRead, Write
from girginosvm.raft.log import Log, Rosters
from girginosvm.raft.messages import AskPiece, Body, Offer, Piece, Snapshot
from girginosvm.raft.store import Store

OFFER_MS: Final = 1000  # between two offers to a peer that does not answer
ASK_MS: Final = 2000  # after which a piece is asked for again
STALLED_MS: Final = 3000  # without a piece for so long, another's offer is taken
FAILED_MS: Final = 5000  # before it is tried again
KEEP_MS: Final = 60_000  # after its last question, in which a peer may install what it was sent
Say = Callable[[str, Body], None]


class _Peer(msgspec.Struct):
    offered_ms: int
    heard_ms: int  # when it last asked for a piece
    reading: bool = False


class Sending:
    """One member's snapshot for others: made when somebody needs it, and kept while the log continues it."""

    def __init__(self, store: Store, say: Say, lines: Lines) -> None:
        self._store, self._say, self._lines = store, say, lines
        self._made: Snapshot | None = None
        self._not_before_ms = 0
        self._peers: dict[str, _Peer] = {}
        self.making = False

    def short(self, peer: str, after: int, log: Log, committed: int, now_ms: int) -> None:
        """``peer`` needs a snapshot of the entry ``after`` or a later one, which is applied here."""
        if self._made is None or self._made.index < after:
            if not self.making and now_ms >= self._not_before_ms:
                self.making, self._made = True, None
                self._store.submit(Make())
            return
        known = self._peers.get(peer)
        if known is None or now_ms - max(known.offered_ms, known.heard_ms) >= OFFER_MS:
            self._peers[peer] = _Peer(now_ms, known.heard_ms if known else 0, known.reading if known else False)
            self._say(peer, Offer(self._made, log.known(committed)))

    def asked(self, peer: str, body: AskPiece, now_ms: int) -> None:
        """A peer wants some bytes. One question of each at a time."""
        one = self._peers.setdefault(peer, _Peer(now_ms, now_ms))
        if body.snapshot != self._made or one.reading or body.offset >= body.snapshot.size:
            return
        one.heard_ms, one.reading = now_ms, True
        self._store.submit(Read(peer, body.snapshot, body.offset))

    def done(self, outcome: Made | WasRead | Failed, now_ms: int) -> None:
        """What came of a task."""
        match outcome:
            case Made(snapshot):
                self._lines.info("raft.snapshot-made", index=snapshot.index, bytes=snapshot.size)
                self.making, self._made = False, snapshot
                self._peers.clear()
            case WasRead(peer, snapshot, offset, data):
                self._read(peer)
                self._say(peer, Piece(snapshot, offset, data))
            case Failed(Read(peer), _):
                self._read(peer)
            case Failed(_, reason):
                self._lines.error("raft.snapshot-not-made", reason=reason)
                self.making, self._not_before_ms = False, now_ms + FAILED_MS

    def _read(self, peer: str) -> None:
        if peer in self._peers:
            self._peers[peer].reading = False

    def lost(self, peer: str) -> None:
        """The line is gone."""
        self._peers.pop(peer, None)

    def floor(self, now_ms: int) -> int | None:
        """The entry after which the log has to go on as long as somebody is being sent what is before."""
        at_work = any(now_ms - one.heard_ms < KEEP_MS for one in self._peers.values())
        return self._made.index if self._made is not None and at_work else None


class Receiving:
    """The snapshot that this member is being sent, if any."""

    def __init__(self, store: Store, say: Say, lines: Lines) -> None:
        self._store, self._say, self._lines = store, say, lines
        self._peer = ""
        self.offset = 0  # up to here it has come
        self._moved_ms = self._asked_ms = self._not_before_ms = 0
        self._phase: Literal["idle", "writing", "asking", "sealed"] = "idle"
        self._until: int | None = None
        self.offer: Offer | None = None

    def offered(self, peer: str, offer: Offer, now_ms: int) -> None:
        """The leader has one for us. What is under way goes on, whoever leads now, as long as pieces come, and until
        whoever sends it has another in its place."""
        gone = self.offer is not None and self._peer == peer and self.offer.snapshot != offer.snapshot
        stalled = self._phase == "asking" and (gone or now_ms - self._moved_ms >= STALLED_MS)
        if now_ms < self._not_before_ms or not (self._phase == "idle" or stalled) or not _sound(offer):
            return
        self._lines.info("raft.snapshot-offered", by=peer, index=offer.snapshot.index, bytes=offer.snapshot.size)
        self.offer, self._peer, self._phase, self._moved_ms = offer, peer, "writing", now_ms
        self.offset = 0
        self._store.submit(Begin(offer.snapshot))

    def piece(self, peer: str, body: Piece, now_ms: int) -> None:
        """Some bytes came; what was not asked for is nothing."""
        if self.offer is None or self._phase != "asking" or body.snapshot != self.offer.snapshot:
            return
        if body.offset == self.offset and body.offset + len(body.data) <= body.snapshot.size:
            self._phase, self._moved_ms = "writing", now_ms
            self._store.submit(Write(body.snapshot, body.offset, body.data))

    def turn(self, now_ms: int) -> None:
        """Ask again for what did not come."""
        if self._phase == "asking" and now_ms - self._asked_ms >= ASK_MS:
            self._ask(now_ms)

    def done(self, outcome: HasRoom | Failed, now_ms: int) -> None:
        """What came of a task. (``IsSealed`` is the node's: it ends with ``over``.)"""
        if self.offer is None:
            return
        match outcome:
            case HasRoom(snapshot, offset) if snapshot == self.offer.snapshot:
                self.offset = offset
                if offset < snapshot.size:
                    self._phase = "asking"
                    self._ask(now_ms)
                else:
                    self._phase = "sealed"
                    self._store.submit(Seal(self.offer))
            case Failed(_, reason):
                self._lines.error("raft.snapshot-not-taken", reason=reason, index=self.offer.snapshot.index)
                self._not_before_ms = now_ms + FAILED_MS
                self.over()

    def waits(self, now_ms: int) -> bool:
        """None is under way, or none that moves: another may be asked for."""
        return self._phase == "idle" or (self._phase == "asking" and now_ms - self._moved_ms >= STALLED_MS)

    @property
    def installed(self) -> bool:
        """The database has it; the journal is yet to begin after it."""
        return self._until is not None

    def install_done(self, generation: int) -> None:
        """The database has it. When the journal's ``generation`` is durable, nothing of it is needed any more."""
        self._until = generation

    def flushed(self, generation: int) -> None:
        """The journal is durable up to this generation."""
        if self._until is not None and generation >= self._until:
            self.over()

    def refused(self, reason: str, now_ms: int) -> None:
        """The database cannot become what was sent."""
        self._lines.error("raft.snapshot-unfit", reason=reason)
        self._not_before_ms = now_ms + FAILED_MS
        self.over()

    def over(self) -> None:
        """It is installed and the journal begins after it, or it is of no use."""
        self.offer, self._phase, self._until = None, "idle", None
        self._store.submit(Discard())

    def _ask(self, now_ms: int) -> None:
        assert self.offer is not None
        self._asked_ms = now_ms
        self._say(self._peer, AskPiece(self.offer.snapshot, self.offset))


class Transfers:
    """Both directions of one member."""

    def __init__(self, store: Store, say: Say, lines: Lines) -> None:
        self._store = store
        self.sending = Sending(store, say, lines)
        self.receiving = Receiving(store, say, lines)

    def turn(self, now_ms: int, *, journal_done: int) -> IsSealed | None:
        """Take in what the store has done; answers a snapshot that is whole and durable."""
        sealed = None
        for outcome in self._store.collect():
            match outcome:
                case IsSealed():
                    sealed = outcome
                case HasRoom() | Failed(Begin() | Write() | Seal()):
                    self.receiving.done(outcome, now_ms)
                case Made() | WasRead() | Failed():
                    self.sending.done(outcome, now_ms)
        self.receiving.flushed(journal_done)
        self.receiving.turn(now_ms)
        return sealed


def _sound(offer: Offer) -> bool:
    """The members in it can be read."""
    try:
        return bool(msgspec.msgpack.decode(offer.rosters, type=Rosters).known)
    except (msgspec.MsgspecError, UnicodeError):
        return False
