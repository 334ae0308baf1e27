"""The real state machine on a real SQLite file, over the ends of its processes.

A kill leaves what was written. A power loss leaves the database as the last checkpoint made it durable, the frames of
the write-ahead log that it copied, and of those behind them what happened to reach the platter, in sectors (SQLite,
"WAL-mode File Format"; with ``synchronous=NORMAL`` nothing else is flushed).
"""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sim.raft.world import QUIET

from girginosvm.core.entries import Applied, Entry, Place
from girginosvm.features.registry import REGISTRY
from girginosvm.state import db as dbs
from girginosvm.state.fingerprint import Fingerprint, fingerprint
from girginosvm.state.history import verify
from girginosvm.state.machine import Machine

_HEADER, _FRAME_HEADER, _SECTOR = 32, 24, 512
_BACKFILLED = 96  # where the index of the log says how many frames a checkpoint has copied
_folders = itertools.count(1)


class Durable(NamedTuple):
    """Frames of the log with this salt that are on the platter."""

    salt: bytes
    frames: int


Watch = Callable[["Database", Entry, Applied], None]


class Database:
    """Under ``home``, each power loss in a folder of its own. ``watch`` sees every entry that was applied."""

    def __init__(self, home: Path, watch: Watch, *, folder: Path | None = None, durable: Durable | None = None) -> None:
        self._home = home
        self._watch = watch
        self._folder = folder or home / str(next(_folders))
        self.path = self._folder / "state.db"
        self._durable = durable or Durable(b"", 0)
        self.machine = Machine(self.path, REGISTRY, QUIET, incarnation="sim")
        # While it is open, closing the writer is no more than a kill: the last one to close would make all durable.
        self.reader = dbs.open_reader(self.path)
        self.rows("SELECT 1 FROM machine_state")

    def applied_index(self) -> int:
        return self.machine.applied_index()

    def last_stamp_ms(self) -> int:
        return self.machine.last_stamp_ms()

    def apply(self, entry: Entry) -> Applied:
        applied = self.machine.apply(entry)
        self._watch(self, entry, applied)
        return applied

    def checkpoint(self) -> int:
        return self.machine.checkpoint()

    def snapshot(self, path: Path) -> Place:
        return self.machine.snapshot(path)

    def install(self, path: Path) -> Place:
        return self.machine.install(path)

    @property
    def ready(self) -> bool:
        """It has tables; a power loss can take even those."""
        return bool(self.rows("SELECT 1 FROM migration LIMIT 1"))

    def fingerprint(self) -> Fingerprint:
        """Of what another connection sees."""
        return fingerprint(self.reader)

    def broken_event(self) -> int | None:
        """Where the chain of events is broken, if it is."""
        return verify(self.reader)

    def rows(self, sql: str, *params: object) -> list[dbs.Row]:
        """What another connection sees."""
        return dbs.rows(self.reader, sql, params)

    def close(self) -> None:
        self.machine.close()
        self.reader.close()

    def found(self, chance: random.Random | None) -> Database:
        if chance is None:
            again = Database(self._home, self._watch, folder=self._folder, durable=self._durable)
            self.close()
            return again
        folder = self._home / str(next(_folders))
        folder.mkdir()
        shutil.copy(self.path, folder)
        log = self._folder / "state.db-wal"
        data = log.read_bytes() if log.exists() else b""
        page = int.from_bytes(data[8:12])
        if page:
            frame = _FRAME_HEADER + page
            data = _torn(data, _HEADER + frame * self._known().frames, chance)
            (folder / "state.db-wal").write_bytes(data)
        durable = Durable(data[16:24], max(0, len(data) - _HEADER) // frame) if page else None
        self.close()
        return Database(self._home, self._watch, folder=folder, durable=durable)

    def _known(self) -> Durable:
        """What is durable of the log now."""
        with open(self._folder / "state.db-wal", "rb") as log:
            salt = log.read(_HEADER)[16:24]
        with open(self._folder / "state.db-shm", "rb") as index:
            frames = int.from_bytes(index.read(_BACKFILLED + 4)[_BACKFILLED:], "little")
        return Durable(salt, max(frames, self._durable.frames if self._durable.salt == salt else 0))


def _torn(data: bytes, durable: int, chance: random.Random) -> bytes:
    """What is behind ``durable`` up to some place, and behind that place some sectors."""
    whole = chance.randrange(durable, max(durable, len(data)) + 1)
    rest = bytearray(data[whole:])
    for at in range(0, len(rest), _SECTOR):
        if chance.random() < 0.5:
            rest[at : at + _SECTOR] = bytes(len(rest[at : at + _SECTOR]))
    return data[:whole] + bytes(rest)
