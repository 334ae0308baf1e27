"""A machine on a real file, and commands one entry each at a clock that tests move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import msgspec

from girginosvm.core import codec, ids
from girginosvm.core.access import Actor, Role
from girginosvm.core.action import Command
from girginosvm.core.codec import Envelope, Outcome
from girginosvm.core.entries import Applied, Entry
from girginosvm.core.log import Log
from girginosvm.core.manifest import Registry
from girginosvm.state import db as dbs
from girginosvm.state.fingerprint import Fingerprint, fingerprint
from girginosvm.state.machine import Machine
from tests.floors.state import toyroom

ADA = Actor(kind="session", id="ada", name="ada@example.org", role=Role.OPERATOR)
BOB = Actor(kind="session", id="bob", name="bob@example.org", role=Role.OPERATOR)
START_MS = 1_800_000_000_000


class Bench:
    """Keeps every entry, as a log does; the first one makes the tables."""

    def __init__(self, path: Path, registry: Registry = toyroom.REGISTRY) -> None:
        self.path = path
        self.registry = registry
        self.machine = Machine(path, registry, Log(), incarnation="bench")
        self.reader = dbs.open_reader(path)
        self.log: list[Entry] = []
        self.at_ms = max(START_MS, self.machine.last_stamp_ms())
        self._made = 0
        migration = self.machine.migration(self.request_id(), "n1")
        if migration is not None:
            self.apply(migration)

    def request_id(self, at_ms: int | None = None) -> str:
        """A fresh one."""
        self._made += 1
        return ids.uuid7(self.at_ms if at_ms is None else at_ms, self._made.to_bytes(10))

    def envelope(self, command: Command, *, request_id: str = "", **words: Any) -> Envelope:
        """The command as it would travel."""
        body = codec.encode(command)
        given = {"actor": ADA, "why": "a test", "key": "", "digest": body, "version": 1} | words
        return Envelope(
            request_id=request_id or self.request_id(), name=type(command).__name__, body=msgspec.Raw(body), **given
        )

    def entry(self, *commands: bytes) -> Entry:
        """The next entry of the log."""
        self.at_ms += 1
        return Entry(self.machine.applied_index() + 1, 1, self.at_ms, "n1", commands)

    def apply(self, *envelopes: Envelope | bytes) -> Applied:
        """One entry of these."""
        entry = self.entry(*(one if isinstance(one, bytes) else codec.encode(one) for one in envelopes))
        applied = self.machine.apply(entry)
        self.log.append(entry)
        return applied

    def run(self, command: Command, **words: Any) -> Outcome:
        """One entry of one command."""
        return codec.outcome(self.apply(self.envelope(command, **words)).outcomes[0])

    def rows(self, sql: str, *params: Any) -> list[dbs.Row]:
        """What another connection sees."""
        return dbs.rows(self.reader, sql, params)

    def names(self) -> list[str]:
        """The toys there are."""
        return [row["name"] for row in self.rows("SELECT name FROM toy ORDER BY name")]

    def fingerprint(self) -> Fingerprint:
        """Of what another connection sees."""
        return fingerprint(self.reader)

    @property
    def writer(self) -> apsw.Connection:
        """The machine's own connection, for faults that only it can have."""
        return self.machine._db

    def close(self) -> None:
        """Leave the file."""
        self.reader.close()
        self.machine.close()


def code(outcome: Outcome) -> str:
    """The problem's code, or the empty text."""
    return outcome.problem.code if outcome.problem else ""


def value(outcome: Outcome) -> Any:
    """The value as plain data."""
    return msgspec.msgpack.decode(outcome.value)
