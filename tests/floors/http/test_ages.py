"""How old certificates are, and what time it is elsewhere."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from girginosvm.core.errors import Busy
from girginosvm.http.ages import age_of
from girginosvm.http.outward import ask, date_of, unproved
from girginosvm.http.tls import Identity
from tests.floors.http.toyhouse import House


def test_a_certificate_says_since_when_and_until_when(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    Identity(tmp_path).ensure(["n1"], now=now - timedelta(days=10))
    server, ca = age_of(tmp_path / "server.pem", now=now), age_of(tmp_path / "ca.crt", now=now)
    assert (server.age_days, server.days_left, server.problem) == (10, 79, "")
    assert (ca.age_days, ca.days_left, ca.problem) == (10, 3639, "")
    assert age_of(tmp_path / "server.pem", now=now + timedelta(days=81)).days_left < 0


def test_what_is_no_certificate_is_a_problem_and_no_number(tmp_path: Path) -> None:
    assert "No such file" in age_of(tmp_path / "none").problem
    (tmp_path / "torn").write_text("-----BEGIN CERTIFICATE-----\nAAAA")
    torn = age_of(tmp_path / "torn")
    assert torn.problem
    assert (torn.age_days, torn.days_left) == (0, 0)


async def test_a_node_s_time_is_read_off_whatever_it_answers(house: House) -> None:
    before = time.time_ns() // 1_000_000
    found = await date_of(f"https://127.0.0.1:{house.port}", context=unproved())
    assert abs(found - before) < 2_000


async def test_a_node_that_does_not_answer_has_no_time() -> None:
    with pytest.raises(Busy, match="does not say its time"):
        await date_of("https://127.0.0.1:1", context=unproved())


async def test_where_nobody_listens_is_said_in_the_systems_words_with_what_to_look_at() -> None:
    with pytest.raises(Busy) as caught:
        await ask("https://127.0.0.1:1", "GET", "/v1/health", dict[str, str], context=unproved())
    assert caught.value.detail == "https://127.0.0.1:1 is not reached: Connection refused"
    assert "firewall" in (caught.value.hint or "")
