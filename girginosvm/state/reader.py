"""Local reads: one pinned read transaction per query. Short ones on the calling thread, long ones in a small pool.

A hop to a thread and back costs more than most reads do: both threads want the interpreter's lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import time
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import apsw

from girginosvm.core.codec import Seen
from girginosvm.core.errors import Busy
from girginosvm.state import db as dbs
from girginosvm.state.fingerprint import rows_digest
from girginosvm.state.history import Checked, Mark, anchor, check, check_end

T = TypeVar("T")


class Sight(NamedTuple):
    """From where the database is read: the node's member id ("" when nobody asks from one), and whether nothing that
    happens elsewhere reaches it at the moment."""

    node: str = ""
    cut_off: bool = False


class _Stood(NamedTuple):
    """Where the database stands, in the columns' order."""

    applied_index: int
    at_ms: int
    incarnation: str
    level: int


_STATE: Final = "SELECT applied_index, at_ms, incarnation, feature_level FROM machine_state"
# Virtual machine steps between two looks at the clock: about a millisecond.
_STEPS: Final = 20_000
# What a glance may hold the event loop for, inside SQLite.
GLANCE_S: Final = 0.004
# Answers that are kept until the next commit.
_KEPT: Final = 32


class Reader:
    """What a query's ``fetch`` gets: one consistent state, the one after ``applied_index``."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._stood: _Stood | None = None
        self.sight = Sight()

    def _stands(self) -> _Stood:
        """Read when it is asked for: whose token it is needs none of it."""
        if self._stood is None:
            self._stood = _Stood._make(next(iter(self._db.execute(_STATE))))
        return self._stood

    @property
    def applied_index(self) -> int:
        """The last entry in this state."""
        return self._stands().applied_index

    @property
    def at_ms(self) -> int:
        """Its stamp."""
        return self._stands().at_ms

    @property
    def incarnation(self) -> str:
        """Which history this is a state of."""
        return self._stands().incarnation

    @property
    def level(self) -> int:
        """The active feature level."""
        return self._stands().level

    def all(self, sql: str, params: Iterable[Any] = ()) -> list[dbs.Row]:
        """All rows as dictionaries."""
        return dbs.rows(self._db, sql, params)

    def seen(self, table: str, column: str, value: str) -> Seen:
        """These rows as they are now, for a write that is made for them."""
        return Seen(table, column, value, rows_digest(self._db, table, column, value))

    def checked(self, since: Mark, limit: int) -> Checked:
        """See ``history.check``."""
        return check(self._db, since, limit)

    def pruned(self) -> int:
        """How many events were ever taken out of the history because of their age."""
        return anchor(self._db).events

    def checked_end(self, limit: int) -> Checked:
        """See ``history.check_end``."""
        return check_end(self._db, limit)

    def sound(self) -> str:
        """What SQLite finds wrong with the file (PRAGMA quick_check); empty when nothing. Reads all of it."""
        try:
            found = self._db.execute("PRAGMA quick_check(3)").fetchall()
        except (apsw.CorruptError, apsw.NotADBError) as fault:
            return str(fault)
        said = "; ".join(" ".join(str(row[0]).split()) for row in found)
        return "" if said == "ok" else said

    def one(self, sql: str, params: Iterable[Any] = ()) -> dbs.Row | None:
        """The first row, or None."""
        found = dbs.rows(self._db, sql, params)
        return found[0] if found else None


class Readers:
    """A pool of read-only connections."""

    def __init__(self, path: Path, *, count: int = 4) -> None:
        self._path = path
        self._free: queue.SimpleQueue[apsw.Connection] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="read")
        self._near: apsw.Connection | None = None
        self._near_until = 0.0
        self._kept: dict[Hashable, Any] = {}
        self._kept_at = -1

    async def glance(self, fetch: Callable[[Reader], T], *, deadline_s: float = 5.0, same: Hashable = None) -> T:
        """Like ``read``, for what is nearly always short: here and now, within ``GLANCE_S`` of SQLite's work. What
        takes longer, or would have to wait for a lock, is done anew as a ``read``, so ``fetch`` must be pure.

        ``same``: names the question. While nothing is committed, the same question gets the answer it got before.
        """
        if self._near is None:
            self._near = self._open_near()
        self._near_until = time.monotonic() + GLANCE_S
        try:
            # Moves with every commit of another connection, and this one commits nothing (SQLite, PRAGMA data_version).
            version = self._near.pragma("data_version") if same is not None else 0
            if same is not None and version == self._kept_at and same in self._kept:
                kept: T = self._kept[same]
                return kept
            answer = self._pinned(self._near, fetch)
        except (apsw.InterruptError, apsw.BusyError):
            return await self.read(fetch, deadline_s=deadline_s)
        if same is not None:
            if version != self._kept_at or len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept_at = version
            self._kept[same] = answer
        return answer

    def _open_near(self) -> apsw.Connection:
        db = dbs.open_reader(self._path)
        db.set_busy_timeout(0)
        db.set_progress_handler(lambda: time.monotonic() > self._near_until, _STEPS // 5)
        return db

    async def read(self, fetch: Callable[[Reader], T], *, deadline_s: float = 5.0) -> T:
        """``fetch`` over one state; Busy ``read-slow`` when it takes too long: SQLite is told to stop, so that slow
        reads cannot hold every thread."""
        loop = asyncio.get_running_loop()
        until = time.monotonic() + deadline_s
        busy = Busy("read-slow", f"the read took over {deadline_s:g} s", retry_after_s=1)
        try:
            async with asyncio.timeout(deadline_s):
                return await loop.run_in_executor(self._threads, self._fetch, fetch, until)
        except (TimeoutError, apsw.InterruptError) as fault:
            raise busy from fault

    def _fetch(self, fetch: Callable[[Reader], T], until: float) -> T:
        try:
            db = self._free.get_nowait()
        except queue.Empty:
            db = dbs.open_reader(self._path)
        db.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
        try:
            return self._pinned(db, fetch)
        finally:
            self._free.put(db)

    @staticmethod
    def _pinned(db: apsw.Connection, fetch: Callable[[Reader], T]) -> T:
        db.execute("BEGIN")
        try:
            return fetch(Reader(db))
        finally:
            # Time may be over in this one, too, and a connection that stays inside a transaction answers nothing more.
            # SQLite looks at the clock every so many steps, counted over all lives of a statement: not twice in a row.
            with contextlib.suppress(apsw.InterruptError):
                db.execute("ROLLBACK")
            if db.in_transaction:
                db.execute("ROLLBACK")

    def close(self) -> None:
        """Let go of every connection."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        while not self._free.empty():
            self._free.get_nowait().close()
        if self._near is not None:
            self._near.close()
