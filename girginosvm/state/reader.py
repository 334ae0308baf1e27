"""Local reads: one pinned read transaction per query, in a small pool of threads."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from girginosvm.core.codec import Seen
from girginosvm.core.errors import Busy
from girginosvm.state import db as dbs
from girginosvm.state.fingerprint import rows_digest

T = TypeVar("T")
# Virtual machine steps between two looks at the clock: about a millisecond.
_STEPS: Final = 20_000


class Reader:
    """What a query's ``fetch`` gets: one consistent state, the one after ``applied_index``."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        state = dbs.rows(db, "SELECT * FROM machine_state")[0]
        self.applied_index = int(state["applied_index"])
        self.at_ms = int(state["at_ms"])
        self.incarnation = str(state["incarnation"])

    def all(self, sql: str, params: Iterable[Any] = ()) -> list[dbs.Row]:
        """All rows as dictionaries."""
        return dbs.rows(self._db, sql, params)

    def seen(self, table: str, column: str, value: str) -> Seen:
        """These rows as they are now, for a write that is made for them."""
        return Seen(table, column, value, rows_digest(self._db, table, column, value))

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
            db.execute("BEGIN")
            try:
                return fetch(Reader(db))
            finally:
                db.set_progress_handler(None)
                db.execute("ROLLBACK")
        finally:
            self._free.put(db)

    def close(self) -> None:
        """Let go of every connection."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        while not self._free.empty():
            self._free.get_nowait().close()
