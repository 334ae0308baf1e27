"""What the doctor gathers, the parts that need no running node."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from girginosvm.core import settings
from girginosvm.daemon import doctor
from girginosvm.daemon.quorum import quorum_of
from girginosvm.http.tls import Identity
from girginosvm.raft.standing import JournalHealth
from tests.floors.daemon.test_quorum import FOLLOWS, LEADS, seen


def test_of_the_quorum_the_doctor_judges_who_is_away_behind_or_closed() -> None:
    status = msgspec.structs.replace(LEADS, silent_ms={"id-n2": 20, "id-n3": 9_000}, commit_index=95)
    shown = quorum_of(seen(status, panels={"id-n2": False, "id-n3": False}))
    found = doctor.agreement_of(shown, status, "")
    assert (found.leads, found.unreached, found.closed) == (True, ("n3",), ("n2",))
    assert (found.behind, found.not_applied) == ({"n2": 0, "n3": 7}, 5)
    follower = doctor.agreement_of(quorum_of(seen(FOLLOWS)), FOLLOWS, "it was removed")
    assert (follower.leads, follower.behind, follower.removed) == (False, {}, "it was removed")


def test_without_a_word_of_the_raft_process_there_is_no_journal_to_judge() -> None:
    found = doctor.agreement_of(quorum_of(seen(None, away="it is away")), None, "")
    assert (found.quorum, found.leads, found.not_applied) == (False, False, 0)
    assert doctor.journal_of(None, 5) is None
    status = msgspec.structs.replace(LEADS, journal=JournalHealth(2, 10, 3, 4, 5, 6), trouble="slow")
    journal = doctor.journal_of(status, 99)
    assert journal is not None
    assert msgspec.structs.astuple(journal) == (2, 10, 99, 3, 4, 5, 6, "slow")


def test_settings_that_a_start_would_read_differently_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "etc/girginosvm/girginosvm.toml"
    file.parent.mkdir(parents=True)
    file.write_text("port = 2000\nreserve_memory_mb = 700\n")
    config = settings.load(str(tmp_path), os.environ)
    assert doctor.settings_since(config) == ((), "")
    file.write_text("port = 2001\nreserve_memory_mb = 900\n")  # a port may have been given on the command line
    assert doctor.settings_since(config) == (("reserve_memory_mb",), "")
    monkeypatch.setenv("GIRGINOSVM_BIND", "127.0.0.1")
    assert doctor.settings_since(config)[0] == ("bind", "reserve_memory_mb")
    file.write_text("prot = 2001\n")
    assert doctor.settings_since(config) == ((), "unknown settings: prot")


def test_certificates_and_the_cluster_key_are_dated_by_the_node_s_clock(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    Identity(tmp_path).ensure(["n1"], now=now - timedelta(days=3))
    ca, server = doctor.certificates(tmp_path, round(now.timestamp() * 1000))
    assert (ca.kind, ca.age_days, server.kind, server.age_days) == ("ca", 3, "server", 3)
    key = tmp_path / "cluster.key"
    key.write_text("a key")
    days = 86_400
    os.utime(key, (time.time() - 5 * days, time.time() - 5 * days))
    assert doctor.days_since(key, time.time_ns() // 1_000_000) == 5
    assert doctor.days_since(tmp_path / "none", 0) is None


def test_rooms_are_those_of_our_directories(tmp_path: Path) -> None:
    config = settings.load(str(tmp_path), {})
    assert doctor.rooms(config) == ()
    for name in ("db", "raft"):
        config.path(name).mkdir(parents=True)
    (room,) = doctor.rooms(config)
    assert room.places == (str(config.path("db")), str(config.path("raft")))
