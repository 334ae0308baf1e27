"""The log on disk: preallocated segments of chained records. What is flushed here is never lost.

A segment is named by its first index. A record is

    magic 2 | kind 1 | length 4 | sequence 8 | first sequence of its batch 8 | chain of the record before 4 | crc 4

and its payload; ``crc`` (CRC-32 over header and payload) is the next record's chain. The kinds are an entry, a vote,
a cut (what follows an index is void: another leader's log won), a base (the entry that the log continues after), and
the members; each segment begins with vote, members and base, so that those before it may go. Opening reads
everything. A record that does not fit ends the log. If that is the torn end of a write that was never flushed, it is
cut (the records were never acknowledged). If a whole record behind it belongs to a later batch, then a flush had
succeeded in between and the disk has lost acknowledged data: HostFault ``journal-damaged``, and this node must not
go on by itself.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

import msgspec

from girginosvm.core.entries import Entry
from girginosvm.core.errors import HostFault
from girginosvm.core.points import reach
from girginosvm.raft.disk import Disk
from girginosvm.raft.standing import Flushes, JournalHealth

SEGMENT_BYTES: Final = 16 * 1024 * 1024
MAX_PAYLOAD: Final = 4 * 1024 * 1024
_MAGIC: Final = b"gR"
_HEAD: Final = struct.Struct("<2sBIQQI")
_CRC: Final = struct.Struct("<I")
_OVERHEAD: Final = _HEAD.size + _CRC.size
_ENTRY: Final = 1
_VOTE: Final = 2
_CUT: Final = 3
_BASE: Final = 4
_MEMBERS: Final = 5
SUFFIX: Final = ".seg"


class Vote(msgspec.Struct, frozen=True):
    """The current term and whom this node voted for in it."""

    term: int
    voted_for: str


class Base(msgspec.Struct, frozen=True):
    """The entry that a log, or a part of it, continues after."""

    index: int
    term: int


class _Segment(msgspec.Struct):
    name: str
    first: int  # index of the first entry that belongs into it
    end: int = 0  # where the next record goes


def _damaged(detail: str) -> HostFault:
    return HostFault(
        "journal-damaged",
        f"the journal has lost data that was acknowledged: {detail}",
        hint="this node does not go on by itself; restore it, or wipe it and let it rejoin under a new identity",
    )


class Journal:
    """One writer. Not thread-safe: the caller gives it one thread."""

    def __init__(
        self, disk: Disk, *, segment_bytes: int = SEGMENT_BYTES, keep_payloads: bool = False, applied: int = 0
    ) -> None:
        """``applied``: where the database stands. An end that was applied is no torn one, and is left as it is."""
        self._disk = disk
        self._applied = applied
        self._keep = keep_payloads
        self._segment_bytes = segment_bytes
        self._segments: list[_Segment] = []
        self._chain = 0
        self._sequence = 0
        self._batch_first = 1
        self._dirty: set[str] = set()
        self.vote = Vote(0, "")
        self.cut_bytes = 0  # what opening cut off as a torn end
        self.entries: list[Entry] = []  # what opening found; the caller takes and clears it
        self.payloads: list[bytes] = []  # the same as they were written, if asked for: a newer release may say more
        self.members = b""  # who belongs to the cluster, in the caller's words
        self.base = Base(0, 0)  # what the oldest entry here follows
        self._last = self._last_term = 0
        self._open()

    @property
    def segments(self) -> int:
        """How many files it has."""
        return len(self._segments)

    @property
    def last_index(self) -> int:
        """The last entry's index; 0 for an empty log."""
        return self._last

    @property
    def last_term(self) -> int:
        """The last entry's term."""
        return self._last_term

    @property
    def first_index(self) -> int:
        """The oldest entry that is still here."""
        return self._segments[0].first if self._segments else 1

    def health(self, flushes: Flushes, *, flushing_ms: int) -> JournalHealth:
        """A look from the side, perhaps from another thread."""
        segments = tuple(self._segments)
        used = sum(segment.end for segment in segments)
        return JournalHealth(len(segments), used, self.cut_bytes, flushes.last_ms, flushes.worst_ms, flushing_ms)

    def check_reaches(self, applied: int) -> None:
        """HostFault ``journal-behind`` when a database that stands at ``applied`` has more than this log."""
        if applied > self._last:
            raise HostFault(
                "journal-behind",
                f"the database has applied entry {applied}, the journal ends at {self._last}: acknowledged "
                "entries are missing from the journal",
            )

    def check_follows(self, applied: int) -> None:
        """HostFault ``database-behind`` when a database that stands at ``applied`` lacks what is no longer here."""
        if applied + 1 < self.first_index:
            raise HostFault(
                "database-behind",
                f"the database stands at entry {applied}, the journal begins at {self.first_index}, and there is no "
                "other member to fetch what is between from",
            )

    def append(self, entry: Entry) -> None:
        """Write an entry; durable after ``flush`` only. OSError (disk full) leaves the log as it was."""
        self.append_payload(entry.index, entry.term, msgspec.msgpack.encode(entry))

    def append_payload(self, index: int, term: int, payload: bytes) -> None:
        """Write an entry as another node encoded it, byte for byte."""
        if index != self._last + 1:
            raise ValueError(f"entry {index} does not follow {self._last}")
        self._put(_ENTRY, payload, index)
        self._last, self._last_term = index, term

    def cut(self, base: Base) -> None:
        """The entries after ``base`` are void: the leader's log has others in their place."""
        if base.index > self._last:
            raise ValueError(f"a cut after {base.index} of a log that ends at {self._last}")
        self._put(_CUT, msgspec.msgpack.encode(base), base.index + 1)
        self._last, self._last_term = base.index, base.term

    def restart(self, base: Base) -> None:
        """The log continues after ``base``, which a snapshot holds; what it had before is void."""
        self._last, self._last_term = base.index, base.term
        if not self._segments or self._segments[-1].end:
            self._roll(base.index + 1, 0)
        self._segments[-1].first = base.index + 1
        self._put(_BASE, msgspec.msgpack.encode(base), base.index + 1)
        self.base = base

    def set_vote(self, vote: Vote) -> None:
        """Write term and vote; durable after ``flush`` only."""
        self._put(_VOTE, msgspec.msgpack.encode(vote), self._last + 1)
        self.vote = vote

    def set_members(self, members: bytes) -> None:
        """Write who belongs to the cluster; durable after ``flush`` only."""
        self._put(_MEMBERS, members, self._last + 1)
        self.members = members

    def flush(self) -> None:
        """Everything written is durable. OSError: it is not known what is; the process must stop."""
        reach("journal.flush:before")
        for name in sorted(self._dirty):
            self._disk.flush(name)
        self._dirty.clear()
        self._batch_first = self._sequence + 1
        reach("journal.flush:after")

    def drop_through(self, index: int) -> int:
        """Remove whole segments whose entries are all at or below ``index``; answers how many."""
        dropped = 0
        if self._dirty:
            self.flush()
        # The vote that a segment begins with may go only once the next one has it too: an empty one has not yet.
        while len(self._segments) > 1 and self._segments[1].end and self._segments[1].first <= index + 1:
            reach("journal.drop:before")
            self._disk.remove(self._segments.pop(0).name)
            reach("journal.drop:after")
            dropped += 1
        return dropped

    def close(self) -> None:
        """Let go of the disk."""
        self._disk.close()

    def _put(self, kind: int, payload: bytes, index: int) -> None:
        if len(payload) > MAX_PAYLOAD:
            raise ValueError(f"a record of {len(payload)} bytes")
        size = _OVERHEAD + len(payload)
        # An empty segment is used as it is: a second one would get its name.
        if not self._segments or 0 < self._segments[-1].end > self._segment_bytes - size:
            self._roll(index, size)
        fresh = not self._segments[-1].end
        if fresh and self.vote.term:
            # Vote, members and base live in the log: each segment begins with them, so that those before may go.
            self._write(_VOTE, msgspec.msgpack.encode(self.vote))
        if fresh and self.members:
            self._write(_MEMBERS, self.members)
        if fresh and self._last and kind != _BASE:
            self._write(_BASE, msgspec.msgpack.encode(Base(self._last, self._last_term)))
        self._write(kind, payload)

    def _write(self, kind: int, payload: bytes) -> None:
        segment = self._segments[-1]
        head = _HEAD.pack(_MAGIC, kind, len(payload), self._sequence + 1, self._batch_first, self._chain)
        crc = zlib.crc32(payload, zlib.crc32(head))
        reach("journal.write:before")
        self._disk.write(segment.name, segment.end, head + _CRC.pack(crc) + payload)
        self._dirty.add(segment.name)
        reach("journal.write:after")
        self._sequence += 1
        self._chain = crc
        segment.end += _OVERHEAD + len(payload)

    def _roll(self, index: int, size: int) -> None:
        # A torn end is only legal in the last segment, so the one before is durable first.
        self.flush()
        name = f"{index:020d}-{self._sequence + 1:020d}{SUFFIX}"
        reach("journal.roll:before")
        self._disk.create(name, max(self._segment_bytes, size + 1024))
        reach("journal.roll:after")
        self._segments.append(_Segment(name, index))

    def _open(self) -> None:
        try:
            self._read()
            # A process that died between write and flush left its records in the page cache only. They are about to
            # be applied and answered for, so they become durable first. Segments before the last one already are.
            if self._segments:
                self._disk.flush(self._segments[-1].name)
        except OSError as fault:
            raise HostFault("journal-faulty", f"the journal cannot be opened: {fault}") from fault
        self._batch_first = self._sequence + 1

    def _read(self) -> None:
        # In the order they were made: after a cut a later segment may begin with an earlier index.
        names = sorted((name for name in self._disk.names() if name.endswith(SUFFIX)), key=lambda one: _numbers(one)[1])
        for number, name in enumerate(names):
            first, sequence = _numbers(name)
            data = self._disk.read(name)
            if number == 0:
                self._sequence, self._last = sequence - 1, first - 1
                self.base = Base(first - 1, 0)
            elif sequence != self._sequence + 1:
                raise _damaged(f"segment {name} does not follow record {self._sequence}")
            segment = _Segment(name, first)
            self._segments.append(segment)
            segment.end = self._scan(data, fresh=number == 0)
            self._check_rest(name, data, segment.end, last=number == len(names) - 1)

    def _scan(self, data: bytes, *, fresh: bool) -> int:
        at = 0
        while (record := _record(data, at)) is not None:
            kind, payload, sequence, _, chain, crc = record
            if sequence != self._sequence + 1 or (chain != self._chain and not (fresh and at == 0)):
                break
            self._take(kind, payload)
            self._sequence, self._chain = sequence, crc
            at += _OVERHEAD + len(payload)
        return at

    def _take(self, kind: int, payload: bytes) -> None:
        try:
            if kind == _VOTE:
                self.vote = msgspec.msgpack.decode(payload, type=Vote)
                return
            if kind == _MEMBERS:
                self.members = payload
                return
            if kind in (_CUT, _BASE):
                self._take_base(kind, msgspec.msgpack.decode(payload, type=Base))
                return
            entry = msgspec.msgpack.decode(payload, type=Entry)
        except msgspec.MsgspecError as fault:
            # Whole by its checksum: another release wrote it.
            detail = f"record {self._sequence + 1} is not of this release: {fault}"
            raise HostFault("journal-unreadable", detail) from fault
        if entry.index != self._last + 1:
            raise _damaged(f"entry {entry.index} follows entry {self._last}")
        self.entries.append(entry)
        if self._keep:
            self.payloads.append(payload)
        self._last, self._last_term = entry.index, entry.term

    def _take_base(self, kind: int, base: Base) -> None:
        """A cut voids what follows its base. A base that is not the log's present end begins the log anew."""
        if kind == _BASE and base == Base(self._last, self._last_term):
            return
        if kind == _CUT and base.index > self._last:
            raise _damaged(f"a cut after entry {base.index} in a log that ends at {self._last}")
        kept = max(0, base.index - self.base.index) if kind == _CUT else 0
        if not kept:
            self.base = base
        del self.entries[kept:], self.payloads[kept:]
        if kind == _BASE:
            self._segments[-1].first = base.index + 1
        self._last, self._last_term = base.index, base.term

    def _check_rest(self, name: str, data: bytes, end: int, *, last: bool) -> None:
        """What lies behind the last good record: nothing, a torn end (cut), or proof of damage (refused)."""
        rest = data[end:]
        if not rest.strip(b"\0"):
            return
        bad = self._sequence + 1
        found = rest.find(_MAGIC)
        while found >= 0:
            record = _record(data, end + found)
            if record is not None and record[2] > bad and record[3] > bad:
                raise _damaged(f"{name}: record {bad} is broken, record {record[2]} of a later flush is whole")
            found = rest.find(_MAGIC, found + 1)
        if not last:
            raise _damaged(f"{name}: record {bad} is broken and a later segment exists")
        self.check_reaches(self._applied)  # what lies there may be all that is left of it
        self.cut_bytes = len(rest.rstrip(b"\0"))
        self._disk.write(name, end, bytes(len(rest)))
        self._disk.flush(name)


def _numbers(name: str) -> tuple[int, int]:
    """First index and first sequence, from a segment's name."""
    first, _, sequence = name.removesuffix(SUFFIX).partition("-")
    if not (first.isdecimal() and sequence.isdecimal()):
        raise HostFault("journal-stranger", f"{name!r} lies in the journal's directory and is no segment of it")
    return int(first), int(sequence)


def _record(data: bytes, at: int) -> tuple[int, bytes, int, int, int, int] | None:
    """(kind, payload, sequence, batch first, chain, crc) of a whole record at ``at``, or None."""
    if at + _OVERHEAD > len(data):
        return None
    magic, kind, length, sequence, batch_first, chain = _HEAD.unpack_from(data, at)
    start = at + _OVERHEAD
    if magic != _MAGIC or not _ENTRY <= kind <= _MEMBERS or length > MAX_PAYLOAD or start + length > len(data):
        return None
    payload = data[start : start + length]
    (crc,) = _CRC.unpack_from(data, at + _HEAD.size)
    if crc != zlib.crc32(payload, zlib.crc32(data[at : at + _HEAD.size])):
        return None
    return kind, payload, sequence, batch_first, chain, crc
