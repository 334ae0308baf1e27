"""What a command's ``apply`` may touch: one transaction, the entry's stamp, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final, NamedTuple

import apsw
import msgspec

from girginosvm.core import ids
from girginosvm.core.access import Actor
from girginosvm.core.codec import Envelope
from girginosvm.state import db as dbs

_EVENT: Final = f"INSERT INTO event VALUES ({', '.join('?' * 15)})"


@cache
def _insert(table: str, columns: tuple[str, ...]) -> str:
    """One row of these columns. Names come from code: there are as many as there are inserts in it."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


class Event(msgspec.Struct, frozen=True):
    """One line of history, before it gets its place in the chain."""

    kind: str
    noun: str
    subject_id: str
    text: str
    fields: dict[str, Any]


class Tx:
    """Deterministic: every replica that runs the same command with the same ``Tx`` inputs writes the same rows."""

    def __init__(
        self, db: apsw.Connection, envelope: Envelope, *, index: int, at_ms: int, node: str, level: int,
        rise: Callable[[int, Iterable[Any]], tuple[str, ...]],
    ) -> None:  # fmt: skip
        self._db = db
        self._envelope = envelope
        self._made = 0
        self._rise = rise
        self.level = level  # the active feature level
        self.index = index
        self.at_ms = at_ms
        self.node = node
        self.events: list[Event] = []

    @property
    def actor(self) -> Actor:
        """Who asked."""
        return self._envelope.actor

    @property
    def version(self) -> int:
        """The version of the command that the log holds: commands are forever, so ``apply`` keeps each one's way."""
        return self._envelope.version

    @property
    def why(self) -> str:
        """The reason trail."""
        return self._envelope.why

    def new_id(self) -> str:
        """The next id of this request: UUIDv5 of request id and counter."""
        self._made += 1
        return ids.derived(self._envelope.request_id, self._made)

    def all(self, sql: str, params: Iterable[Any] = ()) -> list[dbs.Row]:
        """All rows. More than one: the ORDER BY ends in a unique key."""
        return dbs.rows(self._db, sql, params)

    def one(self, sql: str, params: Iterable[Any] = ()) -> dbs.Row | None:
        """The first row, or None."""
        found = dbs.rows(self._db, sql, params)
        return found[0] if found else None

    def run(self, sql: str, params: Iterable[Any] = ()) -> int:
        """Write; answers how many rows changed."""
        self._db.execute(sql, tuple(params))
        return self._db.changes()

    def insert(self, table: str, **columns: Any) -> None:
        """One row. Names come from code, values are bound."""
        self._db.execute(_insert(table, tuple(columns)), tuple(columns.values()))

    def raise_level(self, level: int, steps: Iterable[Any]) -> tuple[str, ...]:
        """Go on to a feature level, whose migrations these ``steps`` are (``migrate.Step``); answers what ran. Halt on
        a node whose release does not have them."""
        return self._rise(level, steps)

    def begin_anew(self) -> str:
        """From here on this history is another one than the cluster's other nodes may have: whoever follows it by ids
        of before reads everything anew. Answers the new incarnation, which begins with the cluster's first."""
        first = lineage(str(dbs.rows(self._db, "SELECT incarnation FROM machine_state")[0]["incarnation"]))
        incarnation = f"{first}-r{self.new_id()[:8]}"
        self._db.execute("UPDATE machine_state SET incarnation = ?", (incarnation,))
        return incarnation

    def event(self, kind: str, noun: str, subject_id: str, text: str, **fields: Any) -> None:
        """Write a line of history; kept only when the command is."""
        self.events.append(Event(kind, noun, subject_id, text, fields))

    def prune_events(self, before_ms: int, limit: int) -> Pruned | None:
        """Take at most ``limit`` events out at the beginning of the history, those from before ``before_ms``. The chain
        of the last of them is kept as the anchor that the rest hangs on (``history.anchor``). None: there was none."""
        rows = self.all("SELECT log_index, n, at_ms, chain FROM event ORDER BY log_index, n LIMIT ?", (limit,))
        old = [row for row in rows if row["at_ms"] < before_ms]
        if not old:
            return None
        last = old[-1]
        entry, number, chain = last["log_index"], last["n"], bytes(last["chain"])
        self.run("DELETE FROM event WHERE (log_index, n) <= (?, ?)", (entry, number))
        before = self.one("SELECT events FROM event_anchor")
        events = len(old) + (before["events"] if before else 0)
        self.run("INSERT OR REPLACE INTO event_anchor VALUES (1, ?, ?, ?, ?)", (entry, number, chain, events))
        return Pruned(len(old), entry, number, chain.hex(), events, last["at_ms"])


class Pruned(NamedTuple):
    """How many events went, the place and chain (hex) of the last of them, how many ever went, and its time (ms)."""

    gone: int
    entry: int
    number: int
    chain: str
    events: int
    at_ms: int


def lineage(incarnation: str) -> str:
    """The incarnation that a cluster was founded with."""
    return incarnation.partition("-r")[0]


class History(NamedTuple):
    """Where the chain of events stands: the next event's number in its entry, and the last one's hash."""

    number: int
    chain: bytes


def record(db: apsw.Connection, tx: Tx, history: History) -> History:
    """Write the transaction's events at the end of ``history``; answers where it stands then. Each row's ``chain`` is
    SHA-256 of the row before and this row, so that a changed or missing line shows (``history.verify``)."""
    number, chain = history
    for event in tx.events:
        row = (
            tx.index, number, tx.new_id(), tx.at_ms, event.kind, event.noun, event.subject_id, event.text,
            tx.actor.id, tx.actor.name, tx.actor.address, tx.why, tx.node,
            msgspec.json.encode(event.fields, order="deterministic").decode(),
        )  # fmt: skip
        chain = link(chain, row)
        db.execute(_EVENT, (*row, chain))
        number += 1
    return History(number, chain)


def link(chain: bytes, row: tuple[Any, ...]) -> bytes:
    """The chain's head after ``row``."""
    return hashlib.sha256(chain + msgspec.msgpack.encode(row)).digest()
