"""Append-only migrations, each room's numbered from 1, frozen by a checksum."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import apsw

from girginosvm.core.errors import Conflict
from girginosvm.core.manifest import Manifest, Migration
from girginosvm.state import db as dbs

_LEDGER: Final = """
CREATE TABLE IF NOT EXISTS migration (
  room TEXT NOT NULL, number INTEGER NOT NULL, checksum TEXT NOT NULL, PRIMARY KEY (room, number)
) STRICT, WITHOUT ROWID"""


def checksum(step: Migration) -> str:
    """SHA-256 of the step's SQL: a released step is never edited."""
    return hashlib.sha256(step.sql.encode()).hexdigest()


def migrate(db: apsw.Connection, rooms: Iterable[Manifest]) -> tuple[str, ...]:
    """Run what is missing, each step with its ledger row in one transaction; answers what it ran.

    Conflict ``schema-changed`` when a step that ran here was another one, ``schema-newer`` when one ran that this
    release does not know: an older release must not write what it does not understand. While a node is alone its
    schema moves at start, before the first entry is applied; between nodes it becomes a log entry
    (``schema.migrate``).
    """
    db.execute(_LEDGER)
    done = {(row["room"], row["number"]): row["checksum"] for row in dbs.rows(db, "SELECT * FROM migration")}
    rooms = tuple(rooms)
    newer = sorted(set(done) - {(room.name, step.number) for room in rooms for step in room.migrations})
    if newer:
        names = ", ".join(f"{room}.{number}" for room, number in newer)
        raise Conflict("schema-newer", f"the database has migrations that this release does not know: {names}")
    ran: list[str] = []
    for room in rooms:
        for step in room.migrations:
            before = done.get((room.name, step.number))
            if before is None:
                with db:
                    db.execute(step.sql)
                    db.execute("INSERT INTO migration VALUES (?, ?, ?)", (room.name, step.number, checksum(step)))
                ran.append(f"{room.name}.{step.number}")
            elif before != checksum(step):
                raise Conflict("schema-changed", f"migration {room.name}.{step.number} ran here in another form")
    return tuple(ran)
