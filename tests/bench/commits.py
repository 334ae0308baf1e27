"""Commits of one node in this process: journal, state machine and database, beside what the disk itself gives."""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import time
from pathlib import Path

import apsw
import msgspec

from girginosvm.core import codec, ids
from girginosvm.core.access import Actor, Role
from girginosvm.core.clock import SystemClock
from girginosvm.core.codec import Envelope
from girginosvm.core.log import Log
from girginosvm.features.auth.commands import RecordToken
from girginosvm.features.registry import REGISTRY
from girginosvm.raft.alone import Alone
from girginosvm.raft.disk import RealDisk
from girginosvm.raft.journal import SEGMENT_BYTES, Journal
from girginosvm.state.machine import Machine
from tests.bench.table import file_system, line, ratio

SECONDS = 2.0
ROOT = Actor(kind="local", id="local", name="root", role=Role.ADMIN)
_numbers = itertools.count(1)


def command() -> bytes:
    """A write as small as they come: a token's row, its event, its outcome."""
    number = next(_numbers)
    body = RecordToken(name=f"t{number}", role="viewer", token_hash=f"{number:064x}")
    at_ms = time.time_ns() // 1_000_000
    return codec.encode(
        Envelope(
            ids.uuid7(at_ms, number.to_bytes(10)),
            ROOT,
            "",
            "RecordToken",
            1,
            msgspec.Raw(codec.encode(body)),
            digest=b"d" * 32,
        )
    )


async def of_alone(folder: Path, callers: int) -> tuple[float, float]:
    """Commands a second, and bytes of the journal for each."""
    machine = Machine(folder / "state.db", REGISTRY, Log(level="error"), incarnation="bench")
    journal = Journal(RealDisk(folder / "journal"))
    alone = Alone(journal, machine, SystemClock(), Log(level="error"), node="n1")
    await alone.start()
    await alone.propose(machine.migration(ids.uuid7(time.time_ns() // 1_000_000, bytes(10)), "n1") or b"")
    done, sent, end = 0, 0, time.perf_counter() + SECONDS

    async def caller() -> None:
        nonlocal done, sent
        while time.perf_counter() < end:
            data = command()
            outcome = codec.outcome(await alone.propose(data))
            assert outcome.problem is None, outcome.problem
            done, sent = done + 1, sent + len(data)

    await asyncio.gather(*(caller() for _ in range(callers)))
    await alone.stop()
    machine.close()
    return done / SECONDS, sent / done


def of_fdatasync(folder: Path, size: int) -> float:
    """Writes a second, one at a time: a record of ``size`` after the other into a file as the journal makes them
    (posix_fallocate(3), fsync(2) once), fdatasync(2) after each."""
    handle = os.open(folder / "probe", os.O_WRONLY | os.O_CREAT, 0o600)
    os.posix_fallocate(handle, 0, SEGMENT_BYTES)
    os.fsync(handle)
    count, at, end = 0, 0, time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        os.pwrite(handle, b"x" * size, at)
        os.fdatasync(handle)
        count, at = count + 1, (at + size) % (SEGMENT_BYTES - size)
    os.close(handle)
    return count / SECONDS


def after_a_pause_ms(folder: Path, size: int) -> float:
    """Median time of the same, each 1 ms after the one before: virtual disks go to sleep in less. One caller of a
    cluster meets such a disk at each write, many callers hardly ever."""
    handle = os.open(folder / "probe", os.O_WRONLY)

    def write() -> float:
        time.sleep(0.001)
        began = time.perf_counter()
        os.pwrite(handle, b"x" * size, 0)
        os.fdatasync(handle)
        return (time.perf_counter() - began) * 1000

    took = statistics.median(write() for _ in range(300))
    os.close(handle)
    return took


def of_sqlite(folder: Path, size: int) -> float:
    """Transactions a second of one row of ``size`` bytes: WAL, synchronous=FULL, nothing else."""
    db = apsw.Connection(str(folder / "plain.db"))
    for pragma in ("journal_mode=wal", "synchronous=full"):
        db.execute(f"pragma {pragma}").fetchall()
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB)")
    count, end = 0, time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        db.execute("INSERT INTO t (data) VALUES (?)", (b"x" * size,))
        count += 1
    db.close()
    return count / SECONDS


def measure(folder: Path) -> None:
    """1, 8 and 64 callers."""
    size = 0
    for callers in (1, 8, 64):
        place = folder / f"callers-{callers}"
        place.mkdir()
        ours, each = asyncio.run(of_alone(place, callers))
        size = size or int(each) + 100  # what entry and record add
        if callers == 1:
            disk, sqlite = of_fdatasync(folder, size), of_sqlite(folder, size)
            kind = file_system(folder)
            line("one fdatasync per write, one writer", "", f"{disk:,.0f} /s: {size} bytes, preallocated, {kind}")
            line("the same, each after a pause of 1 ms", "", f"{after_a_pause_ms(folder, size):.2f} ms each")
            line("SQLite alone, synchronous=FULL, one writer", "", f"{sqlite:,.0f} /s: same bytes, one row each")
        line(f"commits in the process, {callers} callers", f"{ours:,.0f} /s",
             f"fdatasync {ratio(ours, disk)}, SQLite {ratio(ours, sqlite)}")  # fmt: skip
