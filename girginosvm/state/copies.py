"""Whole copies of the state database: taken from under its readers and its writer, put into it while it is open.

Both directions are SQLite's online backup (sqlite.org/backup.html). Taking pins one read transaction, so nobody waits
and the copy is of one entry. Putting in is one transaction of the open database: connections of other processes go on
and see the new rows with their next transaction; a death on the way leaves the old ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

from girginosvm.core.entries import Place, Unfit
from girginosvm.core.points import reach
from girginosvm.state import db as dbs

_PAGES: Final = 1024  # between two looks at the world


def place(db: apsw.Connection) -> Place:
    """Where a database stands."""
    row = dbs.rows(db, "SELECT applied_index, applied_term, at_ms FROM machine_state")[0]
    return Place(int(row["applied_index"]), int(row["applied_term"]), int(row["at_ms"]))


def page_size(db: apsw.Connection) -> int:
    """In bytes. A copy with another size cannot be put into a database in WAL mode."""
    return int(dbs.rows(db, "SELECT page_size FROM pragma_page_size")[0]["page_size"])


def take(database: Path, target: Path) -> Place:
    """Copy ``database`` into the new file ``target``, durably; OSError or apsw.Error when it cannot be done. May run
    beside the thread that applies."""
    source = dbs.open_reader(database)
    try:
        source.execute("BEGIN")
        found = place(source)  # the first read pins what is copied
        copy = apsw.Connection(str(target))
        try:
            copy.execute("pragma synchronous=off").fetchall()  # flushed once, below
            _copy(copy, source, lambda: None)
            copy.execute("pragma journal_mode=delete").fetchall()  # one file, whole by itself
        finally:
            copy.close()
    finally:
        source.close()
    with target.open("rb") as file:
        os.fsync(file.fileno())
    return found


def opened(path: Path) -> apsw.Connection:
    """A copy, to be read; Unfit when it is no whole state database."""
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        # Immutable: no locks, and no files beside it.
        db = apsw.Connection(f"{path.absolute().as_uri()}?immutable=1", flags=flags)
        said = [str(row[0]) for row in db.execute("pragma quick_check(1)")]
        place(db)
    except apsw.Error as fault:
        raise Unfit(f"it is no state database: {type(fault).__name__}: {fault}") from fault
    if said != ["ok"]:
        db.close()
        raise Unfit(f"it is damaged: {said[0]}")
    return db


def put(db: apsw.Connection, source: apsw.Connection) -> None:
    """Everything in ``db`` becomes what ``source`` has, in one transaction that is durable when this returns."""
    db.execute("pragma synchronous=full")
    try:
        _copy(db, source, lambda: reach("machine.install:pages"))
    finally:
        db.execute("pragma synchronous=normal")


def _copy(target: apsw.Connection, source: apsw.Connection, between: Callable[[], None]) -> None:
    with target.backup("main", source, "main") as backup:
        while not backup.done:
            backup.step(_PAGES)
            between()
