"""What raft processes say to each other: closed types with bounds, nothing that could be executed.

A frame is 4 bytes of length and one msgpack ``Frame``: the sender's term, and one body. Sizes and numbers are bounded
before anything is built from them; whatever does not fit is ``Malformed``, and its connection is closed. But for what
has the outline of a frame and a body that this release does not know: that is ``Strange``, a newer release's, and it is
passed over whole. So a message never changes; what a newer release has more to say is another one, with a number of its
own, that nobody has to understand before the feature level says that all do.
"""

from __future__ import annotations

from typing import Annotated, Final, get_args

import msgspec
from msgspec import Meta

FRAME_BYTES: Final = 4 * 1024 * 1024
ENTRY_BYTES: Final = 3 * 512 * 1024  # a batch's 1 MiB and what surrounds it
APPEND_BYTES: Final = 2 * 1024 * 1024  # one append_entries ends with the entry that passes this
PIECE_BYTES: Final = 512 * 1024  # 5 ms on a line of 1 Gb/s: a heartbeat behind it is not late
_MOST: Final = 2**53

Number = Annotated[int, Meta(ge=0, le=_MOST)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Nonce = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Malformed(Exception):
    """A frame that no member of ours would send."""


class Strange(Exception):
    """A frame that a newer release may send; the line stays."""


class Shape(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Arrays of known length: no field can be slipped in."""


class Item(Shape, frozen=True):
    """An entry on its way: its term, and the core's command (one byte of kind, then the entry)."""

    term: Number
    command: Annotated[bytes, Meta(min_length=1, max_length=ENTRY_BYTES)]


class Append(Shape, frozen=True, tag=1):
    """Entries that follow (``prev_index``, ``prev_term``); without entries a heartbeat."""

    term: Number
    prev_index: Number
    prev_term: Number
    commit_index: Number
    items: Annotated[tuple[Item, ...], Meta(max_length=100_000)]


class Ack(Shape, frozen=True, tag=2):
    """How far a log reaches. ``reset``: send from ``next_index`` on."""

    next_index: Number
    success: bool
    reset: bool


class AskVote(Shape, frozen=True, tag=3):
    """Vote for me in ``term``. ``transfer``: the leader itself told me to ask."""

    term: Number
    last_index: Number
    last_term: Number
    transfer: bool = False


class Vote(Shape, frozen=True, tag=4):
    """You have my vote in ``term``. ``at_ms``: what time the log has, as far as I know."""

    term: Number
    at_ms: Number = 0


class AskPreVote(Shape, frozen=True, tag=5):
    """Would you vote for me in ``term``? Changes nothing anywhere."""

    nonce: Nonce
    term: Number
    last_index: Number
    last_term: Number


class PreVote(Shape, frozen=True, tag=6):
    """I would."""

    nonce: Nonce


class Newer(Shape, frozen=True, tag=7):
    """The frame's term is newer than what you said."""


class TimeoutNow(Shape, frozen=True, tag=8):
    """Stand for election at once: the leader hands over."""

    term: Number


class Confirm(Shape, frozen=True, tag=9):
    """Am I still your leader?"""

    nonce: Nonce


class Confirmed(Shape, frozen=True, tag=10):
    """You are."""

    nonce: Nonce


class Forward(Shape, frozen=True, tag=11):
    """Put this batch into the log, if you lead in ``term``. ``number`` grows within one ``life`` of a process.
    ``again``: it may be there already, said over a line that was lost."""

    term: Number
    life: Nonce
    number: Nonce
    commands: Annotated[tuple[bytes, ...], Meta(min_length=1, max_length=10_000)]
    again: bool = False


class NotTaken(Shape, frozen=True, tag=12):
    """The batch is not in the log and will not be."""

    number: Nonce


class AskRead(Shape, frozen=True, tag=13):
    """From which index on is a read up to date?"""

    nonce: Nonce


class ReadAt(Shape, frozen=True, tag=14):
    """From this one on."""

    nonce: Nonce
    index: Number


class Snapshot(Shape, frozen=True):
    """A copy of the state after the entry ``index`` of ``term``: ``size`` bytes with this SHA-256."""

    index: Annotated[int, Meta(ge=1, le=_MOST)]
    term: Number
    at_ms: Number
    size: Annotated[int, Meta(ge=1, le=2**40)]
    digest: Annotated[bytes, Meta(min_length=32, max_length=32)]


class Offer(Shape, frozen=True, tag=15):
    """You lack entries that I no longer have: ask for the pieces of this snapshot. ``rosters``: who belongs to the
    cluster (``log.Rosters``), no older than the snapshot."""

    snapshot: Snapshot
    rosters: Annotated[bytes, Meta(min_length=1, max_length=256 * 1024)]


class AskPiece(Shape, frozen=True, tag=16):
    """The bytes of a snapshot from ``offset`` on."""

    snapshot: Snapshot
    offset: Number


class Piece(Shape, frozen=True, tag=17):
    """Some of them."""

    snapshot: Snapshot
    offset: Number
    data: Annotated[bytes, Meta(min_length=1, max_length=PIECE_BYTES)]


class AskSnapshot(Shape, frozen=True, tag=18):
    """My database lacks what my own log no longer has: offer me a snapshot of the entry ``index`` or a later one. Said
    at every feature level: a member that does not know it passes it over, and another one is asked."""

    index: Number


class Known(Shape, frozen=True):
    """A member, and the IP and port it listens on."""

    id: Name
    address: Annotated[str, Meta(max_length=64)]


class Introduce(Shape, frozen=True, tag=19):
    """Who belongs to the cluster since the entry ``index``, for whoever has been away: one of them may lead by now.
    Said at every feature level: who does not know it passes it over, and is where it was."""

    index: Number
    members: Annotated[tuple[Known, ...], Meta(max_length=1_000)]


Body = (
    Append | Ack | AskVote | Vote | AskPreVote | PreVote | Newer | TimeoutNow | Confirm | Confirmed | Forward
    | NotTaken | AskRead | ReadAt | Offer | AskPiece | Piece | AskSnapshot
    | Introduce
)  # fmt: skip


class Frame(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The sender's term, and what it says."""

    term: Number
    body: Body


_FIELDS: Final = {kind.__struct_config__.tag: len(kind.__struct_fields__) for kind in get_args(Body)}
_PARTS: Final = 32  # of a body; the largest has 5

_encoder: Final = msgspec.msgpack.Encoder()
_parts: Final = msgspec.msgpack.Decoder(Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=_PARTS)])
_number: Final = msgspec.msgpack.Decoder(Number)
_tag: Final = msgspec.msgpack.Decoder(Annotated[int, Meta(ge=1, le=2**16)])
_decoder: Final = msgspec.msgpack.Decoder(Frame)


def encode(term: int, body: Body) -> bytes:
    """A frame without its length."""
    return _encoder.encode(Frame(term, body))


def decode(data: bytes) -> Frame:
    """A frame; Strange when it is a newer release's, Malformed when it is none."""
    if len(data) > FRAME_BYTES:
        raise Malformed(f"a frame of {len(data)} bytes")
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as fault:
        newer = _newer(data)
        raise Strange(newer) if newer else Malformed(str(fault)) from fault


def _newer(data: bytes) -> str:
    """In which way it is more than a frame of this release, whose beginning it has; "" when it is not."""
    try:
        frame = _parts.decode(data)
        _number.decode(frame[0])
        body = _parts.decode(frame[1] if len(frame) > 1 else b"")
        tag = _tag.decode(body[0])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""
    if len(frame) > len(Frame.__struct_fields__):
        return f"a frame of {len(frame)} parts"
    if tag not in _FIELDS:
        return f"message {tag}"
    return f"message {tag} with {len(body) - 1} fields" if len(body) - 1 > _FIELDS[tag] else ""
