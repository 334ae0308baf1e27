"""Migrations: append-only steps of each room's tables, numbered from 1, frozen by a checksum, run by the log.

No node runs a step on its own. ``MigrateSchema`` names the steps that are missing; whoever applies that entry runs
them, in this order, in the entry's transaction. So every replica moves between the same two entries, and a database
that was lost is built again by the same entries. A release that lacks a named step, or has it in another form, halts:
applying what comes behind it would part the replicas. So does a step that fails: it was tried before it was proposed
(``Machine.migration``), and what comes behind it needs it.

A step that is too long for one entry is followed by commands that move the rows piece by piece.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import apsw
import msgspec

from girginosvm.core.action import Command, action
from girginosvm.core.entries import Beyond, Halt
from girginosvm.core.errors import Conflict
from girginosvm.core.manifest import Manifest, Migration
from girginosvm.state import db as dbs
from girginosvm.state import level
from girginosvm.state.schema import BOOTSTRAP


class Step(msgspec.Struct, frozen=True):
    """One migration, by name and by content."""

    room: str
    number: int
    checksum: str

    def __str__(self) -> str:
        return f"{self.room}.{self.number}"


@action("POST /v1/schema", permission="schema.report", summary="Move the tables to a release's", audit="migrate")
class MigrateSchema(Command, frozen=True, kw_only=True):
    """The log's words for "from here on the tables are these". The machine runs it: it alone has the steps."""

    steps: tuple[Step, ...]

    def apply(self, tx: Any) -> object:
        """TypeError: run like any other command it would find no steps."""
        raise TypeError("MigrateSchema is run by the machine")


def checksum(step: Migration) -> str:
    """SHA-256 of the step's SQL: a released step is never edited."""
    return hashlib.sha256(step.sql.encode()).hexdigest()


class Schema:
    """The tables as this release knows them: every room's steps, in the order of the registry."""

    def __init__(self, rooms: Iterable[Manifest]) -> None:
        self._steps = {Step(room.name, step.number, checksum(step)): step for room in rooms for step in room.migrations}

    def open(self, db: apsw.Connection, incarnation: str, supported: int) -> None:
        """Give an empty file the tables that applying itself needs; Conflict as ``check`` and ``level.check`` say."""
        if not dbs.rows(db, "SELECT 1 FROM sqlite_schema WHERE name = 'machine_state'"):
            with db:
                db.execute(BOOTSTRAP)
                db.execute("INSERT INTO machine_state VALUES (1, 0, 0, 0, ?, 1, x'')", (incarnation,))
        level.check(db, supported)
        self.check(db)

    def check(self, db: apsw.Connection) -> None:
        """Conflict ``schema-changed`` when a step that ran there was another one, ``schema-newer`` when one ran that
        this release does not know: an older release must not write what it does not understand."""
        known = {(step.room, step.number) for step in self._steps}
        strange = [step for step in _done(db) if step not in self._steps]
        for step in strange:
            if (step.room, step.number) in known:
                raise Conflict("schema-changed", f"migration {step} ran here in another form")
        if strange:
            names = ", ".join(map(str, strange))
            raise Conflict("schema-newer", f"the database has migrations that this release does not know: {names}")

    def begun(self, db: apsw.Connection) -> bool:
        """A migration has run: the rooms' commands have tables."""
        return bool(dbs.rows(db, "SELECT 1 FROM migration LIMIT 1"))

    def missing(self, db: apsw.Connection, upto: int) -> tuple[Step, ...]:
        """The steps up to a feature level that have not run, in order."""
        done = set(_done(db))
        return tuple(step for step, one in self._steps.items() if one.level <= upto and step not in done)

    def strange(self, steps: Iterable[Step]) -> str:
        """The first of these steps that this release does not have, or nothing."""
        return next((str(step) for step in steps if step not in self._steps), "")

    def needs(self, steps: Iterable[Step]) -> int:
        """The feature level of steps of this release."""
        return max((self._steps[step].level for step in steps), default=1)

    def run(self, db: apsw.Connection, steps: Iterable[Step]) -> tuple[str, ...]:
        """Run what has not run yet (two leaders may have asked for the same), inside the caller's transaction; answers
        what it ran. Halt when a step is not this release's, comes out of turn, or fails."""
        ran: list[str] = []
        for step in steps:
            done = _done(db)
            if step in done:
                continue
            if step not in self._steps:
                raise Beyond(f"this release does not have migration {step} ({step.checksum[:12]}): upgrade this node")
            last = max((one.number for one in done if one.room == step.room), default=0)
            if step.number != last + 1:
                raise Halt(f"migration {step} comes after {step.room}.{last}: a step between them is missing")
            try:
                db.execute(self._steps[step].sql)
                db.execute("INSERT INTO migration VALUES (?, ?, ?)", (step.room, step.number, step.checksum))
            except apsw.Error as fault:
                raise Halt(f"migration {step} failed: {type(fault).__name__}: {fault}") from fault
            ran.append(str(step))
        return tuple(ran)


def _done(db: apsw.Connection) -> list[Step]:
    return [Step(**row) for row in dbs.rows(db, "SELECT room, number, checksum FROM migration ORDER BY room, number")]
