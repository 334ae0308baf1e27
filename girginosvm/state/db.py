"""Connections to the state database: one writer, many readers. WAL; the log is the durable truth."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import apsw

from girginosvm.core.points import reach

# SQL without chance: functions that two replicas would answer differently, also inside column defaults.
_CHANCE: Final = frozenset(
    {"random", "randomblob", "date", "time", "datetime", "julianday", "unixepoch", "strftime", "timediff",
     "current_date", "current_time", "current_timestamp", "changes", "total_changes", "last_insert_rowid",
     "sqlite_source_id", "sqlite_version", "sqlite_compileoption_get", "sqlite_compileoption_used", "sqlite_log",
     "load_extension", "fts3_tokenizer"}
)  # fmt: skip
# What a command may not say: it lives inside a transaction that is not its own.
_NOT_A_COMMANDS: Final = frozenset({sqlite3.SQLITE_TRANSACTION, apsw.SQLITE_SAVEPOINT, sqlite3.SQLITE_PRAGMA})
# Faults that every replica has alike, because they come from the statement and the rows. All others (a full or broken
# disk, no memory, a lock) are this node's own.
DETERMINISTIC: Final = (
    apsw.ConstraintError, apsw.SQLError, apsw.AuthError, apsw.BindingsError, apsw.MismatchError, apsw.RangeError,
    apsw.TooBigError,
)  # fmt: skip
# Whatever SQLite finds wrong, for who reads without knowing what it is read by.
Fault: Final = apsw.Error

# Of the writing connection. Undo of a command stays in memory: as a file it is written twice over, page by page. The
# write-ahead log grows to 16 MiB: pages that many commands change are copied from it, and flushed, once for them all.
_WRITER: Final = (
    "journal_mode=wal", "foreign_keys=on", "trusted_schema=off", "temp_store=memory", "cache_size=-16000",
    "wal_autocheckpoint=4000",
    # A commit may be lost with the power; the journal replays it (tests/floors/state shows it).
    "synchronous=normal",
)  # fmt: skip
_STATEMENTS: Final = 400  # kept prepared; a release has about so many

Row = dict[str, Any]


class Guard:
    """The authorizer of the writing connection. While ``inside`` a command it also keeps transactions and pragmas
    from it. SQLite asks when a statement is prepared, for each function in it, in its views, triggers and defaults."""

    def __init__(self) -> None:
        self.inside = False

    def __call__(self, operation: int, first: str | None, second: str | None, *_: Any) -> int:
        """SQLITE_OK or SQLITE_DENY (sqlite3_set_authorizer)."""
        if operation == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _CHANCE:
            return int(apsw.SQLITE_DENY)
        if operation in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH):
            return int(apsw.SQLITE_DENY)
        # ALTER TABLE ... ADD COLUMN checks the rows that are there by this pragma, on its own behalf.
        altering = operation == sqlite3.SQLITE_PRAGMA and first == "quick_check"
        if self.inside and operation in _NOT_A_COMMANDS and not altering:
            return int(apsw.SQLITE_DENY)
        return int(apsw.SQLITE_OK)


def open_writer(path: Path) -> apsw.Connection:
    """The one connection that applies. Only the raft process opens it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        for rest in _beside(path):  # of a database that is gone: nothing of it belongs into a new one
            rest.unlink(missing_ok=True)
    db = apsw.Connection(str(path), statementcachesize=_STATEMENTS)
    db.set_busy_timeout(5000)
    try:
        for pragma in _WRITER:
            db.execute(f"pragma {pragma}").fetchall()
        _steady(db)
    except apsw.Error:
        db.close()
        raise
    db.authorizer = Guard()
    return db


def set_aside(path: Path) -> Path:
    """A damaged database, which nobody has open, makes room for another one; an earlier one that was set aside goes.
    Answers where it is. The file first: what lies beside it then belongs to nothing."""
    aside = path.with_name(f"{path.name}.damaged")
    reach("database.aside:before")
    os.replace(path, aside)
    for rest, kept in zip(_beside(path), _beside(aside), strict=True):
        kept.unlink(missing_ok=True)
        if rest.exists():
            os.replace(rest, kept)
    reach("database.aside:after")
    return aside


def _beside(path: Path) -> tuple[Path, Path]:
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def open_reader(path: Path) -> apsw.Connection:
    """A read-only connection; any process, any number."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, statementcachesize=_STATEMENTS)
    db.set_busy_timeout(1000)
    for pragma in ("query_only=on", "trusted_schema=off", "cache_size=-8000"):
        db.execute(f"pragma {pragma}").fetchall()
    _steady(db)
    return db


def _steady(db: apsw.Connection) -> None:
    """A statement's plan is made once. Without this SQLite prepares one anew whenever a value is bound that its plan
    could depend on (sqlite.org/queryplanner-ng.html#qpsg), which costs more than running it."""
    db.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)


def rows(db: apsw.Connection, sql: str, params: Iterable[Any] = ()) -> list[Row]:
    """All rows as dictionaries by column name."""
    cursor = db.execute(sql, tuple(params))
    try:
        names = [column[0] for column in cursor.get_description()]
    except apsw.ExecutionCompleteError:  # no row at all
        return []
    return [dict(zip(names, row, strict=False)) for row in cursor]
