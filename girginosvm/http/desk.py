"""What the front desk needs from behind it: the daemon implements these, tests have a small one in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import msgspec

from girginosvm.core.access import Actor
from girginosvm.core.action import Command, Condition, Query, Stream


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request. ``value`` is a struct or plain data, encoded as JSON; ``None`` is an empty body.

    ``index``: the applied index that the answer is at least as new as. ``repeated``: the recorded answer of an
    earlier request with the same Idempotency-Key. ``status`` 0 means the action's own.
    """

    value: Any = None
    index: int = 0
    repeated: bool = False
    status: int = 0


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who is at the desk. ``actor`` is None before sign-in; ``token`` is the bearer token as sent, never logged."""

    actor: Actor | None = None
    token: str = ""
    address: str = ""
    # The password was given by somebody else: nothing but choosing a new one is allowed.
    must_change: bool = False
    # Another node hands the request on, in the actor's name.
    by_node: bool = False


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A body that was streamed into ``path``; the receiver moves or deletes it."""

    path: Path
    size_bytes: int
    sha256: str


class Desk(Protocol):
    """Everything behind the counter. Problems are raised; whatever else leaves these is answered as a bug."""

    async def command(
        self, command: Command, actor: Actor, *, key: str, why: str, condition: Condition | None = None
    ) -> Answer:
        """Check access, resolve names, hash secrets, replicate, wait until applied here. With a ``condition`` only
        while that holds, also in the log."""
        ...

    async def query(self, query: Query, actor: Actor, *, min_index: int, fresh: bool) -> Answer:
        """Check access and read the local database at ``min_index`` or newer; ``fresh``: newer than this moment."""
        ...

    async def leader_age_ms(self) -> int | None:
        """How long ago this node heard of a leader (about 0 on the leader): as old as that may be what it shows. None:
        never, since its raft process began."""
        ...

    async def perform(self, stream: Stream, caller: Caller, *, key: str, why: str) -> Answer:
        """Streams with JSON on both sides: sign-in and out, who am I, making a token. Access is checked inside.
        ``key`` is only sent for one that is ``keyed``; a secret that was shown under it is a Conflict
        ``secret-shown-once``."""
        ...

    async def caller(self, token: str, address: str) -> Caller:
        """Whose token this is; Unauthenticated ``token-invalid`` for unknown, expired, revoked, disabled: one answer
        for all, in the same time."""
        ...

    async def permit(self, stream: Stream, actor: Actor) -> Stream:
        """Check access to a stream and replace names in it by ids."""
        ...

    async def receive(self, stream: Stream, actor: Actor, upload: Upload, *, key: str, why: str) -> Answer:
        """Take an uploaded file; the same one once more under the same ``key`` is answered as the first was."""
        ...

    def upload_room(self, stream: Stream, size: int | None) -> AbstractContextManager[tuple[Path, int]]:
        """Where an upload of ``size`` bytes (None: the sender does not say) is written, and how many it may have. The
        room is kept for it until the context ends."""
        ...

    async def output(self, stream: Stream, actor: Actor, *, by_node: bool) -> AsyncIterator[bytes]:
        """Pieces of a growing output (a serial port): first what is there, then what comes, without end. Another node's
        is fetched from it, unless it was another node that asked."""
        ...

    async def member(self, certificate: Mapping[str, Any] | None) -> str:
        """The member that a verified certificate names; Forbidden ``peer-unknown`` when it names none, or one that has
        left."""
        ...

    async def image_file(self, image: str) -> Path:
        """The file of an image that this node has ready; Missing ``image-missing``."""
        ...

    async def finished(self, operation: str, actor: Actor, *, wait_s: float) -> Answer | None:
        """The operation's public form once it has ended, or None when it still runs after ``wait_s``."""
        ...
