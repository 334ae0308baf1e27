"""What travels in the log and on the local socket: closed msgpack messages, nothing unpickled, sizes bounded."""

from __future__ import annotations

from typing import Final

import msgspec

from girginosvm.core.access import Actor, Role
from girginosvm.core.errors import ProblemBody

MAX_COMMAND_BYTES: Final = 256 * 1024


class Seen(msgspec.Struct, frozen=True):
    """Rows as the caller knew them: those of ``table`` whose ``column`` is ``value``, by their digest."""

    table: str
    column: str
    value: str
    digest: bytes


class Envelope(msgspec.Struct, frozen=True):
    """One command on its way into the log. It carries no time: the leader stamps the entry."""

    request_id: str
    actor: Actor
    why: str
    name: str
    version: int
    body: msgspec.Raw
    # The caller's Idempotency-Key and the digest of the body it came with (before names became ids).
    key: str = ""
    digest: bytes = b""
    # What the request was made for (If-Match). When these rows are others by now, it is refused.
    seen: tuple[Seen, ...] = ()
    # The feature level that its version needs: with it, a release that does not know the version can refuse it, too.
    level: int = 1


class _Known(Envelope, frozen=True, forbid_unknown_fields=True):
    """One with nothing in it that this release does not know."""


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a command: a value, or a problem. Recorded under the request id."""

    index: int
    value: bytes = b""  # msgpack of the answer; empty when there is a problem
    problem: ProblemBody | None = None
    # The first of several answers to the same request, not a second execution.
    repeated: bool = False


# Deterministic: a set or a dict in an outcome has the same bytes on every replica, whatever its hash seed.
_encoder: Final = msgspec.msgpack.Encoder(order="deterministic")
_envelope: Final = msgspec.msgpack.Decoder(Envelope)
_known: Final = msgspec.msgpack.Decoder(_Known)
_outcome: Final = msgspec.msgpack.Decoder(Outcome)


def encode(value: object) -> bytes:
    """Msgpack of a struct of ours."""
    return _encoder.encode(value)


def word(node: str, request_id: str, name: str, body: bytes, *, version: int = 1, level: int = 1) -> bytes:
    """What a node's own agreement says by itself, as it travels."""
    actor = Actor(kind="node", id=f"node:{node}", name=node, role=Role.ADMIN)
    return encode(Envelope(request_id, actor, "", name, version, msgspec.Raw(body), level=level))


def envelope(data: bytes) -> Envelope:
    """Decoded strictly; msgspec.ValidationError or DecodeError when it is none."""
    return _envelope.decode(data)


def known(data: bytes) -> Envelope | None:
    """As ``envelope`` does, in one look; None when it has a field that this release does not know, or is none."""
    try:
        return _known.decode(data)
    except msgspec.ValidationError:
        return None


def outcome(data: bytes) -> Outcome:
    """Decoded strictly; msgspec.ValidationError or DecodeError when it is none."""
    return _outcome.decode(data)
