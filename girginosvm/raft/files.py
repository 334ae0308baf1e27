"""Snapshots on disk: those that this member makes for others, and the one that it is being sent.

A snapshot that is being sent here lies in ``in.db``. When all of it is there and its SHA-256 fits, ``in.sealed`` is
written behind it and says what it is. From then on it is going to be installed, whatever dies on the way:

    sealed  ->  into the database (one transaction)  ->  the journal begins after it  ->  both files removed

``opened`` is what a start does instead of opening the journal alone: it finishes that. So a database that is ahead of
its journal is no mystery, a half-sent snapshot is nothing, and nobody has to guess.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, Protocol

import msgspec

from girginosvm.core.entries import Beyond, Place, Unfit
from girginosvm.core.errors import HostFault
from girginosvm.core.points import reach
from girginosvm.raft.disk import Disk
from girginosvm.raft.journal import SEGMENT_BYTES, Base, Journal
from girginosvm.raft.messages import PIECE_BYTES, Offer, Snapshot

IN: Final = "in.db"
SEALED: Final = "in.sealed"
_PIECE: Final = 1024 * 1024


class Source(Protocol):
    """What a state machine can say of itself as a whole (``alone.StateMachine``)."""

    def applied_index(self) -> int: ...

    def snapshot(self, path: Path) -> Place: ...

    def install(self, path: Path) -> Place: ...


class Make(msgspec.Struct, frozen=True):
    """A snapshot of what is applied here, in place of the last one."""


class Read(msgspec.Struct, frozen=True):
    """Some bytes of a snapshot that was made here, for a peer."""

    peer: str
    snapshot: Snapshot
    offset: int


class Begin(msgspec.Struct, frozen=True):
    """Room for a snapshot that is going to be sent here."""

    snapshot: Snapshot


class Write(msgspec.Struct, frozen=True):
    """Some of it came."""

    snapshot: Snapshot
    offset: int
    data: bytes


class Seal(msgspec.Struct, frozen=True):
    """All of it came."""

    offer: Offer


class Discard(msgspec.Struct, frozen=True):
    """What was sent here is installed, or of no use."""


Task = Make | Read | Begin | Write | Seal | Discard


class Made(msgspec.Struct, frozen=True):
    """A snapshot that can be sent."""

    snapshot: Snapshot


class WasRead(msgspec.Struct, frozen=True):
    """``offset``'s bytes are ``data``."""

    peer: str
    snapshot: Snapshot
    offset: int
    data: bytes


class HasRoom(msgspec.Struct, frozen=True):
    """Up to ``offset`` it is there; the rest may come."""

    snapshot: Snapshot
    offset: int


class IsSealed(msgspec.Struct, frozen=True):
    """It is whole, durable, and going to be installed. ``path``: the file."""

    offer: Offer
    path: Path


class Failed(msgspec.Struct, frozen=True):
    """``task`` could not be done. ``unfit``: what was sent is not what was offered."""

    task: Task
    reason: str
    unfit: bool = False


Outcome = Made | WasRead | HasRoom | IsSealed | Failed


class Files:
    """One member's snapshots, on the disk ``disk`` that is the directory ``path``. For one thread at a time."""

    def __init__(self, disk: Disk, path: Path, machine: Source, *, piece_bytes: int = PIECE_BYTES) -> None:
        self._disk, self._path, self._machine = disk, path, machine
        self._piece_bytes = piece_bytes
        self._made: tuple[Snapshot, str] | None = None
        self._count = 0
        self.beyond = ""  # why a sealed snapshot waits for an upgrade of this node

    def do(self, task: Task) -> Outcome | None:
        """Do one thing; whatever goes wrong with it is an outcome, too."""
        try:
            match task:
                case Make():
                    return self._make()
                case Read(peer, snapshot, offset):
                    if self._made is None or self._made[0] != snapshot:
                        return Failed(task, "another snapshot took its place")
                    data = self._disk.piece(self._made[1], offset, min(self._piece_bytes, snapshot.size - offset))
                    return WasRead(peer, snapshot, offset, data)
                case Begin(snapshot):
                    self._remove(SEALED, IN)
                    self._disk.create(IN, snapshot.size)
                    return HasRoom(snapshot, 0)
                case Write(snapshot, offset, data):
                    self._disk.write(IN, offset, data)
                    return HasRoom(snapshot, offset + len(data))
                case Seal(offer):
                    return self._seal(task, offer)
                case Discard():
                    self._remove(SEALED, IN)
                    return None
        except Exception as fault:  # of the disk or of the database: the node goes on without a snapshot
            return Failed(task, f"{type(fault).__name__}: {fault}")

    def opened(self, journal_disk: Disk, *, segment_bytes: int = SEGMENT_BYTES) -> Journal:
        """The journal, after an install that was begun has been finished. Halt: this node cannot take it in. One that
        only a newer release can take in stays sealed, and ``beyond`` says so: this node can show what it has."""
        try:
            offer = self._found()
        except OSError as fault:
            raise HostFault("snapshot-unreadable", f"{self._path} cannot be read: {fault}") from fault
        applied = self._machine.applied_index()
        if offer is not None and applied < offer.snapshot.index and self._fits(offer):
            try:
                applied = self._machine.install(self._path / IN).index
            except Unfit:  # nothing was changed, and nothing was promised
                pass
            except Beyond as newer:
                self.beyond = str(newer)
        # What a snapshot holds need not be in the journal: its torn end may be cut.
        settled = offer is not None and applied == offer.snapshot.index
        journal = Journal(
            journal_disk, segment_bytes=segment_bytes, keep_payloads=True, applied=0 if settled else applied
        )
        if offer is not None and settled:
            _begin_after(journal, offer)
        if not self.beyond:
            self._remove(SEALED, IN)
        return journal

    def close(self) -> None:
        """Let go of the disk."""
        self._disk.close()

    def _make(self) -> Outcome:
        self._made = None
        self._remove(*(name for name in self._disk.names() if name.startswith("out")))
        self._count += 1
        name = f"out.{self._count}.db"  # another name each time: a handle of the last one cannot be meant
        reach("machine.snapshot:before")
        place = self._machine.snapshot(self._path / name)
        reach("machine.snapshot:after")
        snapshot = Snapshot(place.index, place.term, place.at_ms, self._disk.size(name), self._digest(name))
        self._made = (snapshot, name)
        return Made(snapshot)

    def _seal(self, task: Seal, offer: Offer) -> Outcome:
        if not self._fits(offer):
            self._remove(IN)
            return Failed(task, "its SHA-256 is not the one that was offered", unfit=True)
        reach("snapshot.seal:before")
        self._disk.flush(IN)
        data = msgspec.msgpack.encode(offer)
        data = hashlib.sha256(data).digest() + len(data).to_bytes(4) + data
        self._disk.create(SEALED, len(data))
        reach("snapshot.seal:named")
        self._disk.write(SEALED, 0, data)
        self._disk.flush(SEALED)
        reach("snapshot.seal:after")
        return IsSealed(offer, self._path / IN)

    def _found(self) -> Offer | None:
        """What is sealed; everything else in the directory is removed."""
        names = self._disk.names()
        offer = self._sealed(names)
        keep = (IN, SEALED) if offer is not None else ()
        self._remove(*(name for name in names if name not in keep))
        return offer

    def _sealed(self, names: list[str]) -> Offer | None:
        if IN not in names or SEALED not in names:
            return None
        data = self._disk.read(SEALED)
        whole = data[36 : 36 + int.from_bytes(data[32:36])]
        if hashlib.sha256(whole).digest() != data[:32]:
            return None
        try:
            return msgspec.msgpack.decode(whole, type=Offer)
        except msgspec.MsgspecError:
            return None  # another release's: the leader will send it again

    def _fits(self, offer: Offer) -> bool:
        return self._disk.size(IN) == offer.snapshot.size and self._digest(IN) == offer.snapshot.digest

    def _digest(self, name: str) -> bytes:
        total, size = hashlib.sha256(), self._disk.size(name)
        for offset in range(0, size, _PIECE):
            total.update(self._disk.piece(name, offset, _PIECE))
        return total.digest()

    def _remove(self, *names: str) -> None:
        """In this order: the seal goes before what it vouches for."""
        there = set(self._disk.names())
        for name in names:
            if name in there:
                reach("snapshot.remove:before")
                self._disk.remove(name)
                reach("snapshot.remove:after")


def _begin_after(journal: Journal, offer: Offer) -> None:
    """The journal goes on after a snapshot that the database holds, unless it has that entry already."""
    snapshot = offer.snapshot
    at = snapshot.index - journal.base.index - 1
    if at < -1 or (at == -1 and journal.base.term == snapshot.term):
        return
    if 0 <= at < len(journal.entries) and journal.entries[at].term == snapshot.term:
        return
    reach("snapshot.restart:before")
    try:
        journal.set_members(offer.rosters)
        journal.restart(Base(snapshot.index, snapshot.term))
        journal.flush()
    except OSError as fault:
        raise HostFault("journal-faulty", f"the journal cannot begin after a snapshot: {fault}") from fault
    reach("snapshot.restart:after")
    journal.entries.clear()
    journal.payloads.clear()
