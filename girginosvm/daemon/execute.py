"""From a request to the log and back: who may, what names mean, what must not be written in clear."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from girginosvm.core import access, codec
from girginosvm.core.access import Actor
from girginosvm.core.action import ONLY, Command, Condition, Query, Request
from girginosvm.core.clock import Chance, Clock, new_request_id
from girginosvm.core.codec import Envelope, Outcome, Seen
from girginosvm.core.errors import Busy, Conflict, Fault, Invalid, Missing, NoQuorum, Problem, Unknown, problem_of
from girginosvm.core.fields import extra_of
from girginosvm.core.levels import said_at
from girginosvm.core.manifest import Registry
from girginosvm.daemon.secrets import ClusterKey, Turns
from girginosvm.state import db as dbs
from girginosvm.state.reader import Reader, Readers, Sight

_KEPT_ROWS: Final = 200
Prepare = Callable[[Any, Actor], Awaitable[Command]]
Look = tuple[Any, int, int, tuple[Seen, ...]]


async def _at_once() -> None:
    """A cluster of one is never behind."""


async def _anywhere() -> Sight:
    """Nobody is asked in particular."""
    return Sight()


class Answer(msgspec.Struct, frozen=True):
    """What a request came to: plain data, and the index it is true at."""

    value: Any
    index: int
    repeated: bool = False


class Executor:
    """One per agent. ``propose`` hands bytes to the raft process and answers the outcome's bytes. ``fresh`` returns
    when the database here has every write that was acknowledged anywhere before."""

    def __init__(
        self,
        registry: Registry,
        readers: Readers,
        propose: Callable[[bytes], Awaitable[bytes]],
        *,
        key: ClusterKey,
        hash_password: Callable[[str], str],
        clock: Clock,
        chance: Chance,
        turns: Turns | None = None,
        fresh: Callable[[], Awaitable[None]] = _at_once,
        sight: Callable[[], Awaitable[Sight]] = _anywhere,
    ) -> None:
        self._registry = registry
        self._readers = readers
        self._propose = propose
        self._fresh = fresh
        self._sight = sight
        self._key = key
        self._hash = hash_password
        self._turns = turns or Turns()
        self._clock = clock
        self._chance = chance
        words = {kind: extra_of(kind) for kind in registry.actions}
        self._nouns = {kind: _having("ref", fields) for kind, fields in words.items()}
        self._secrets = {kind: _having("secret", fields) for kind, fields in words.items()}
        self._in_flight: set[tuple[str, str]] = set()
        # Commands whose facts are looked up outside before they may enter the log.
        self.prepares: dict[type[Command], Prepare] = {}

    async def command(
        self,
        asked: Command,
        actor: Actor,
        *,
        key: str = "",
        why: str = "",
        condition: Condition | None = None,
        of: Request | None = None,
    ) -> Answer:
        """Check, prepare, propose; answers when it is applied on this node, or raises the problem it came to. The
        ``condition`` is checked here and, by the rows it was checked on, once more in the log. ``of``: the request that
        ``asked`` was made of, where it is another one each time (a secret, an id): by it the key knows it again."""
        access.check(actor, type(asked).action.permission)
        if condition is not None:
            access.check(actor, type(condition.show).action.permission)
        same = of or asked
        digest = self._key.digest(type(same).__name__.encode() + b"\0" + codec.encode(same))
        if not key:
            return await self._run(asked, actor, "", digest, why, condition)
        scope = (actor.id, key)
        if scope in self._in_flight:
            raise Conflict("request-in-flight", "the first request with this Idempotency-Key is still running")
        self._in_flight.add(scope)
        try:
            return await self._known(actor, key, digest) or await self._run(asked, actor, key, digest, why, condition)
        finally:
            self._in_flight.discard(scope)

    async def query(self, asked: Query, actor: Actor) -> Answer:
        """Read the local database in one transaction."""
        access.check(actor, type(asked).action.permission)

        sight = await self._sight()

        def fetch(reader: Reader) -> Answer:
            reader.sight = sight
            resolved = self._resolved(asked, reader)
            return Answer(resolved.fetch(reader), reader.applied_index)

        # An answer is the question, the state and from where it is seen, nothing else; long pages are not worth their
        # memory.
        small = getattr(asked, "limit", 0) <= _KEPT_ROWS
        return await self._readers.glance(fetch, same=(type(asked), asked, sight) if small else None)

    async def resolve(self, asked: Request, actor: Actor) -> Any:
        """A stream's request with names made ids, once it is allowed."""
        access.check(actor, type(asked).action.permission)
        return await self._readers.glance(lambda reader: self._resolved(asked, reader))

    async def _known(self, actor: Actor, key: str, digest: bytes) -> Answer | None:
        def fetch(reader: Reader) -> dbs.Row | None:
            sql = "SELECT digest, outcome FROM request WHERE actor = ? AND key = ?"
            return reader.one(sql, (actor.id, key))

        row = await self._readers.glance(fetch)
        if row is None:
            return None
        if row["digest"] != digest:
            detail = "this Idempotency-Key was used with another body; a new request wants a new key"
            raise Invalid("idempotency-mismatch", detail)
        return _answer(msgspec.structs.replace(codec.outcome(row["outcome"]), repeated=True))

    async def _run(
        self, asked: Command, actor: Actor, key: str, digest: bytes, why: str, condition: Condition | None
    ) -> Answer:
        sight = Sight() if condition is None else await self._sight()  # nothing else asks from where it is seen

        def look(reader: Reader) -> Look:
            reader.sight = sight
            return self._resolved(asked, reader), reader.at_ms, reader.level, self._seen(condition, reader)

        try:
            ready, stamp_ms, level, seen = await self._readers.glance(look)
        except Problem:
            # This node may be behind: what the request names may be there, or the request be done already.
            await self._fresh()
            known = await self._known(actor, key, digest) if key else None
            if known is not None:
                return known
            ready, stamp_ms, level, seen = await self._readers.glance(look)
        hook = self.prepares.get(type(asked))
        if hook is not None:
            ready = await hook(ready, actor)
        ready = await self._turns.take(self._guarded, ready) if self._costly(ready) else self._guarded(ready)
        said = said_at(ready, level)
        envelope = Envelope(
            request_id=new_request_id(self._clock, self._chance, not_before_ms=stamp_ms), actor=actor, why=why,
            name=type(ready).__name__, version=said.version, body=msgspec.Raw(said.body), key=key, digest=digest,
            seen=seen, level=said.needs,
        )  # fmt: skip
        data = codec.encode(envelope)
        if len(data) > codec.MAX_COMMAND_BYTES:
            raise Invalid("command-too-large", f"the request is {len(data):,} bytes; {codec.MAX_COMMAND_BYTES:,} fit")
        return await self._sent(data)

    async def _sent(self, data: bytes) -> Answer:
        """The same request id is safe to send again: the log answers it once. Once it was sent without an answer, no
        refusal of a later try says that the first one was not done."""
        doubt: Unknown | None = None
        for attempt in range(5):
            try:
                outcome = await self._propose(data)
            except Unknown as fault:
                doubt = fault
            except (Busy, NoQuorum):
                if doubt is None:
                    raise
            else:
                return _answer(codec.outcome(outcome))
            if attempt < 4:
                await asyncio.sleep(0.25 * 2**attempt)
        assert doubt is not None
        raise doubt

    def _costly(self, asked: Command) -> bool:
        """It holds a password that has to be hashed; sealing takes no time."""
        return any(how == "hash" and getattr(asked, name) for name, how in self._secrets[type(asked)])

    def _guarded(self, asked: Command) -> Command:
        changes: dict[str, str] = {}
        for name, how in self._secrets[type(asked)]:
            value = getattr(asked, name)
            if value:
                changes[name] = self._hash(value) if how == "hash" else self._key.seal(value)
        return msgspec.structs.replace(asked, **changes) if changes else asked

    def _seen(self, condition: Condition | None, reader: Reader) -> tuple[Seen, ...]:
        """The rows that the condition holds on, in the transaction that it was checked in."""
        if condition is None:
            return ()
        show = self._resolved(condition.show, reader)
        condition.check(show.fetch(reader))
        subjects = type(show).action.path_fields
        which = getattr(show, subjects[0]) if subjects else ONLY
        return tuple(reader.seen(table, column, which) for table, column in show.rows)

    def _resolved(self, asked: Any, reader: Reader) -> Any:
        changes: dict[str, str] = {}
        for name, noun in self._nouns[type(asked)]:
            value = getattr(asked, name)
            if not value:
                continue
            found = self._registry.resolvers[noun](reader, value)
            if found is None:
                detail = f"there is no {noun} {value!r}"
                raise Missing(f"{noun}-missing", detail, faults=(Fault(f"/{name}", detail),))
            changes[name] = found
        return msgspec.structs.replace(asked, **changes) if changes else asked


def _having(word: str, fields: dict[str, dict[str, Any]]) -> tuple[tuple[str, str], ...]:
    """The fields of an action that have this word, and what it is there."""
    return tuple((name, words[word]) for name, words in fields.items() if words.get(word))


def _answer(outcome: Outcome) -> Answer:
    if outcome.problem is not None:
        raise problem_of(outcome.problem)
    value = msgspec.msgpack.decode(outcome.value) if outcome.value else None
    return Answer(value, outcome.index, outcome.repeated)
