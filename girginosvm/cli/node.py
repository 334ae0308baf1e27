"""The node under ``root`` as its files show it, for when its agent does not answer, and for the bundle. Read only."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from girginosvm import __version__
from girginosvm.core import settings
from girginosvm.core.errors import Problem
from girginosvm.features.diagnostics import checks, facts
from girginosvm.features.event import api as events
from girginosvm.features.times import rfc3339
from girginosvm.http.ages import age_of
from girginosvm.hypervisor import own
from girginosvm.raft.client import glance
from girginosvm.state import db
from girginosvm.state.reader import Reader

_PLACES: Final = ("db", "raft", "pki", "storage", "images", "seeds", "serial")
_EVENTS: Final = 500
_HISTORY: Final = 20_000


def examined(root: str, environment: Mapping[str, str], why: str) -> dict[str, Any]:
    """What the doctor can say without the agent; ``why`` it does not answer."""
    now_ms = time.time_ns() // 1_000_000
    refused = ""
    try:
        config = settings.load(root, environment)
    except Problem as problem:
        refused, config = problem.detail, settings.Settings(root=root)
    pki = config.path("pki")
    dated = [(kind, age_of(pki / name)) for kind, name in (("ca", "ca.crt"), ("server", "server.pem"))]
    found = checks.diagnose(
        facts.Facts(
            agent=why, raft=_raft(config), database=_database(config.path("db", "state.db")), settings_problem=refused,
            rooms=tuple(
                facts.Room(one.places, one.free_bytes, one.capacity_bytes, one.free_inodes)
                for one in own.file_systems(config.path(place) for place in _PLACES)
            ),
            certificates=tuple(
                facts.Certificate(kind, age.path, age.age_days, age.days_left, age.problem)
                for kind, age in dated if pki.exists()
            ),
        )
    )  # fmt: skip
    return {
        "verdict": checks.verdict(found), "node": config.node_name, "version": __version__, "at": rfc3339(now_ms),
        "checks": msgspec.to_builtins(found),
    }  # fmt: skip


def _raft(config: settings.Settings) -> str:
    """What the raft process waits for: an agent says nothing before it has the state."""
    status = asyncio.run(glance(config.run_path("raft.sock"), release=__version__))
    return (status.lacking or status.halted) if status else ""


def _database(path: Path) -> facts.Database | None:
    if not path.exists():
        return None
    wal = path.with_name("state.db-wal")
    fault, history, events = "", "", 0
    try:
        reader = Reader(db.open_reader(path))
        fault = reader.sound()
        done = reader.checked_end(_HISTORY)
    except Exception as wrong:  # whatever SQLite finds is what is to be said
        fault = fault or f"it cannot be read: {wrong}"
    else:
        events = min(done.mark.events, _HISTORY)
        history = "" if done.broken is None else f"the history is not as it was written from entry {done.broken} on"
    size = wal.stat().st_size if wal.exists() else 0
    return facts.Database(path.stat().st_size, size, fault, history, events, "")


def tables(path: Path) -> dict[str, Any]:
    """Of the database at ``path``: where it stands, how many rows each table has, and what happened last. No column
    that people or programs fill with words of their own choice, but for the event's text, which we write."""
    reader = Reader(db.open_reader(path))
    names = [row["name"] for row in reader.all("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    last = reader.all(
        "SELECT log_index, n, at_ms, kind, noun, subject_id, text, actor_name, node FROM event "
        "ORDER BY log_index DESC, n DESC LIMIT ?", (_EVENTS,),
    )  # fmt: skip
    stands = reader.one("SELECT applied_index, applied_term, at_ms, incarnation, feature_level FROM machine_state")
    return {
        "stands": stands,
        "migrations": reader.all("SELECT room, max(number) AS number FROM migration GROUP BY room ORDER BY room"),
        "rows": {name: reader.all(f'SELECT count(*) AS n FROM "{name}"')[0]["n"] for name in names},
        "events": [{**row, "at": rfc3339(row.pop("at_ms"))} for row in reversed(last)],
    }


def secrets(root: str, environment: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What this node knows and must not tell: secrets as they are, and hashes of others."""
    from girginosvm.cli.scrub import private_lines

    known: list[str] = []
    config = settings.Settings(root=root)
    with contextlib.suppress(Problem):  # those that are refused are told by their fault, and by no value
        config = settings.load(root, environment)
        known += [config.token, config.advertise_panel_token]
    for path in sorted(config.path("pki").rglob("*")) + sorted(config.path("join").rglob("*")):
        with contextlib.suppress(OSError, UnicodeDecodeError):  # what cannot be read here is in no bundle either
            text = path.read_text() if path.is_file() else ""
            known += private_lines(text)
            if path.name.startswith(("cluster.key", "first-password")):
                known += text.split()
    path = config.path("db", "state.db")
    hashes = [one for table in ("session", "token", "join_token") for one in _column(path, table, "token_hash")]
    return [one for one in (*known, *_column(path, "user", "password_hash")) if one], hashes


def _column(path: Path, table: str, column: str) -> list[str]:
    try:
        reader = Reader(db.open_reader(path))
        return [row["one"] for row in reader.all(f"SELECT {column} AS one FROM {table} ORDER BY 1")]
    except db.Fault:  # what cannot be read tells nobody anything; the other tables may still be whole
        return []


def in_force(config: settings.Settings) -> dict[str, str]:
    """By the setting's name: what the cluster's rows say where that is not what the setting says. A row counts from
    when the cluster was founded, or the node was let in; the setting was only its beginning."""
    try:
        member = msgspec.json.decode(config.path("raft", "member.json").read_bytes(), type=dict[str, Any])["member"]
        reader = Reader(db.open_reader(config.path("db", "state.db")))
        pool = reader.one("SELECT reserve_percent FROM pool WHERE name = 'default'")
        node = reader.one("SELECT name FROM node WHERE id = ?", (member,))
        row = reader.one("SELECT name, address FROM member WHERE id = ?", (member,))
        kept = events.retention(reader)
    except Exception:  # an unreadable database, or one of another release, has its own words elsewhere
        return {}
    found = {}
    if pool is not None and pool["reserve_percent"] != config.reserve_pool_percent:
        found["reserve_pool_percent"] = f"{pool['reserve_percent']}, of pool default: that is what counts"
    for name in ("event_days", "operation_days"):
        days = getattr(kept, name)
        if days != getattr(config, name):
            found[name] = f"{days}, for the whole cluster: `girginosvm retention set` changes it"
    called = (row or node or {}).get("name", "")
    if config.node_name and called and called != config.node_name:
        found["node_name"] = f"{called}: a restart of the agent says the new name"
    host, _, port = (row["address"] if row else "").rpartition(":")
    if config.address and host and host.strip("[]") != config.address:
        found["address"] = f"{host.strip('[]')}: the others still reach it there"
    if port and int(port) != config.raft_port:
        found["raft_port"] = f"{port}: the others still reach it there"
    return found
