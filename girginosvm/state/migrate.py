"""Append-only migrations, each room's numbered from 1, frozen by a checksum; they move through the log like any write.

Every node's tables change at the same index, so no node runs a step by itself: a release that brings new steps has
``MigrateSchema`` proposed, and a node that does not have one of its steps halts there until it is upgraded. Only what
the first entry itself needs, the state floor's own tables, is made when the file is (``found``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Annotated, Final

import apsw
import msgspec

from girginosvm.core.action import Command, action
from girginosvm.core.errors import Conflict
from girginosvm.core.manifest import Manifest, Migration
from girginosvm.state import db as dbs
from girginosvm.state import schema
from girginosvm.state.tx import Tx

_LEDGER: Final = """
CREATE TABLE migration (
  room TEXT NOT NULL, number INTEGER NOT NULL, checksum TEXT NOT NULL, PRIMARY KEY (room, number)
) STRICT, WITHOUT ROWID"""


class Step(msgspec.Struct, frozen=True):
    """One migration by name; the checksum says which SQL is meant."""

    room: str
    number: int
    checksum: str


@action(
    "POST /v1/schema/migrate",
    permission="schema.report",
    summary="Bring the tables to the form that a release needs",
    audit="migrated the schema",
    answers=dict[str, int],
)
class MigrateSchema(Command, frozen=True, kw_only=True):
    """All or none. A step that ran already is passed over: two nodes may have asked for it."""

    steps: Annotated[tuple[Step, ...], msgspec.Meta(max_length=1000)]

    def apply(self, tx: Tx) -> dict[str, int]:
        ran = [step for step in self.steps if tx.migrate(step.room, step.number, step.checksum)]
        if ran:
            names = ", ".join(f"{step.room}.{step.number}" for step in ran)
            tx.event("schema.migrated", "schema", "", f"migrated {names}")
        return {"ran": len(ran)}


def checksum(step: Migration) -> str:
    """SHA-256 of the step's SQL: a released step is never edited."""
    return hashlib.sha256(step.sql.encode()).hexdigest()


def found(db: apsw.Connection, incarnation: str) -> None:
    """Make the state floor's own tables in a new file; nothing in one that has them."""
    if dbs.rows(db, "SELECT 1 FROM sqlite_schema WHERE name = 'migration'"):
        return
    with db:
        db.execute(_LEDGER)
        for step in schema.FOUNDING:
            run(db, schema.MANIFEST.name, step)
        db.execute("INSERT INTO machine_state VALUES (1, 0, 0, 0, ?, 1, x'')", (incarnation,))


def run(db: apsw.Connection, room: str, step: Migration) -> None:
    """Run a step and write it into the ledger, inside the caller's transaction."""
    db.execute(step.sql)
    db.execute("INSERT INTO migration VALUES (?, ?, ?)", (room, step.number, checksum(step)))


def missing(db: apsw.Connection, rooms: Iterable[Manifest]) -> tuple[Step, ...]:
    """The steps of this release that have not run here, in order.

    Conflict ``schema-changed`` when a step that ran here was another one, ``schema-newer`` when one ran that this
    release does not know: an older release must not write what it does not understand.
    """
    known = {(room.name, step.number): checksum(step) for room in (schema.MANIFEST, *rooms) for step in room.migrations}
    done = {(row["room"], row["number"]): row["checksum"] for row in dbs.rows(db, "SELECT * FROM migration")}
    newer = ", ".join(f"{room}.{number}" for room, number in sorted(done.keys() - known.keys()))
    if newer:
        raise Conflict("schema-newer", f"the database has migrations that this release does not know: {newer}")
    for (room, number), ran in done.items():
        if ran != known[room, number]:
            raise Conflict("schema-changed", f"migration {room}.{number} ran here in another form")
    return tuple(Step(room, number, digest) for (room, number), digest in known.items() if (room, number) not in done)
