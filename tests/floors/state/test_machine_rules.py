"""The rules of apply: once, in order, whole or not at all, and the same everywhere."""

from collections.abc import Iterator

import pytest
from features.engine import Engine

from girginosvm.core import ids
from girginosvm.core.entries import Applied, Entry, Halt
from girginosvm.core.errors import Conflict, Invalid, Stale
from girginosvm.features.network.commands import AddNetwork
from girginosvm.features.storage.commands import AddPool
from girginosvm.state import history

POOL = AddPool(name="fast", path="/srv/fast")


@pytest.fixture
def engine() -> Iterator[Engine]:
    one = Engine()
    yield one
    one.close()


def applied(engine: Engine) -> int:
    return int(engine.rows("SELECT applied_index AS n FROM machine_state")[0]["n"])


def test_a_refusal_is_recorded_and_the_index_advances(engine: Engine) -> None:
    engine.run(POOL)
    with pytest.raises(Conflict, match="fast"):
        engine.run(POOL, key="again")
    assert applied(engine) == 3
    with pytest.raises(Conflict, match="fast"):
        engine.run(POOL, key="again")
    assert len(engine.rows("SELECT * FROM pool")) == 1


def test_the_same_key_is_answered_once(engine: Engine) -> None:
    first = engine.run(POOL, key="k")
    assert engine.run(POOL, key="k") == first


def test_a_request_older_than_a_day_is_never_executed(engine: Engine) -> None:
    with pytest.raises(Stale, match="older than 24 h"):
        engine.run(POOL, request_id=ids.uuid7(1_700_000_000_000, b"0123456789"))
    with pytest.raises(Invalid, match="not a UUIDv7"):
        engine.run(POOL, request_id="6fa459ea-ee8a-3ca4-894e-db77e160355e")
    assert engine.rows("SELECT * FROM pool") == []


def test_an_entry_that_was_applied_is_skipped(engine: Engine) -> None:
    engine.run(POOL)
    assert engine.machine.apply(Entry(2, 1, 1, "n1", ())) == Applied(())
    assert applied(engine) == 2


def test_what_is_no_envelope_is_an_outcome_and_no_accident(engine: Engine) -> None:
    outcome = engine.machine.apply(Entry(2, 1, 1_800_000_000_000, "n1", (b"\xff\x00garbage",))).outcomes[0]
    assert b"envelope-invalid" in outcome
    assert applied(engine) == 2


def fill(engine: Engine) -> None:
    for number in range(500):
        engine.run(AddNetwork(name=f"n{number}", bridge=f"b{number}"))


def test_a_database_that_takes_no_more_halts_without_advancing(engine: Engine) -> None:
    pages = engine.rows("PRAGMA page_count")[0]["page_count"]
    engine.machine._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Halt, match="could not be applied"):
        fill(engine)
    before = applied(engine)
    assert len(engine.rows("SELECT * FROM network")) == before - 1


@pytest.mark.parametrize(
    "sql", ["SELECT random()", "SELECT datetime('now')", "SELECT unixepoch()", "ATTACH ':memory:' AS x"]
)
def test_chance_and_clock_are_refused_on_the_apply_connection(engine: Engine, sql: str) -> None:
    with pytest.raises(Exception, match="not authorized"):
        engine.machine._db.execute(sql).fetchall()


def test_a_changed_line_of_history_is_found(engine: Engine) -> None:
    engine.run(POOL)
    engine.run(AddNetwork(name="n", bridge="b"))
    assert history.verify(engine.machine._db) is None
    engine.machine._db.execute("UPDATE event SET text = 'nothing happened' WHERE log_index = 2")
    assert history.verify(engine.machine._db) == 2


def test_two_replicas_of_one_log_are_equal() -> None:
    sides = []
    for _ in range(2):
        engine = Engine()
        engine.furnish()
        tables = [row["name"] for row in engine.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        sides.append({table: engine.rows(f"SELECT * FROM {table}") for table in tables})
        engine.close()
    assert sides[0] == sides[1]
