"""Migrations are append-only, frozen, and move through the log like any other write."""

from pathlib import Path

import apsw
import msgspec
import pytest

from girginosvm.core import codec
from girginosvm.core.entries import Halt
from girginosvm.core.errors import Conflict
from girginosvm.core.log import Log
from girginosvm.core.manifest import Manifest, Migration, Registry
from girginosvm.state.machine import Machine
from girginosvm.state.migrate import MigrateSchema
from tests.floors.state.bench import Bench, code, value
from tests.floors.state.toyroom import ROOM

FIRST, SECOND = "CREATE TABLE a (x INTEGER) STRICT", "ALTER TABLE a ADD COLUMN y INTEGER NOT NULL DEFAULT 7"


def release(*steps: str) -> Registry:
    """A release whose only room has these migrations."""
    return Registry((Manifest(name="room", migrations=tuple(Migration(n, sql) for n, sql in enumerate(steps, 1))),))


def logged(path: Path, registry: Registry) -> Bench:
    """A bench whose first entry makes the tables."""
    return Bench(path, registry, tables_by_log=True)


def upgraded(bench: Bench, registry: Registry) -> Bench:
    """The same file under another release."""
    bench.close()
    return logged(bench.path, registry)


def steps(bench: Bench) -> list[tuple[str, int]]:
    return [(row["room"], row["number"]) for row in bench.rows("SELECT * FROM migration ORDER BY room, number")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db/state.db"


def test_a_new_file_has_what_the_first_entry_needs_and_nothing_else(path: Path) -> None:
    machine = Machine(path, release(FIRST), Log(), incarnation="new")
    tables = apsw.Connection(str(path)).execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1")
    assert [name for (name,) in tables] == ["event", "machine_state", "migration", "request"]
    assert machine.applied_index() == 0
    machine.close()


def test_each_step_runs_once_and_at_an_index_of_the_log(path: Path) -> None:
    bench = logged(path, release(FIRST))
    assert (bench.machine.applied_index(), bench.machine.migration()) == (1, None)
    bench = upgraded(bench, release(FIRST, SECOND))
    assert (bench.machine.applied_index(), bench.machine.migration()) == (2, None)
    assert steps(bench) == [("room", 1), ("room", 2), ("state", 1), ("state", 2)]
    assert [row["text"] for row in bench.rows("SELECT text FROM event ORDER BY log_index")] == [
        "migrated room.1",
        "migrated room.2",
    ]
    bench.close()


def test_two_nodes_that_ask_for_the_same_steps_run_them_once(path: Path) -> None:
    bench = logged(path, release(FIRST))
    first = msgspec.msgpack.decode(codec.envelope(bench.log[0].commands[0]).body, type=MigrateSchema)
    assert value(bench.run(first)) == {"ran": 0}
    bench.close()


def test_a_node_without_the_step_halts_and_stands_still(path: Path, tmp_path: Path) -> None:
    newer = logged(path, release(FIRST, SECOND))
    older = Machine(tmp_path / "older/state.db", release(FIRST), Log(), incarnation="bench")
    with pytest.raises(Halt, match=r"does not know the migration room\.2 in this form: upgrade"):
        older.apply(newer.log[0])
    assert older.applied_index() == 0
    older.close()
    newer.close()


def test_a_node_with_another_form_of_the_step_halts(path: Path, tmp_path: Path) -> None:
    one = logged(path, release(FIRST))
    other = Machine(tmp_path / "other/state.db", release("CREATE TABLE a (x TEXT) STRICT"), Log(), incarnation="bench")
    with pytest.raises(Halt, match=r"room\.1 in this form"):
        other.apply(one.log[0])
    other.close()
    one.close()


def test_an_edited_step_is_refused_when_the_file_is_opened(path: Path) -> None:
    logged(path, release(FIRST)).close()
    with pytest.raises(Conflict, match=r"room\.1 ran here in another form"):
        Machine(path, release("CREATE TABLE a (x TEXT) STRICT"), Log(), incarnation="bench")


def test_an_older_release_does_not_touch_a_newer_file(path: Path) -> None:
    logged(path, Registry((*release(FIRST, SECOND).rooms, ROOM))).close()
    with pytest.raises(Conflict, match=r"does not know: room\.2, toy\.1"):
        Machine(path, release(FIRST), Log(), incarnation="bench")


def test_steps_that_fail_leave_nothing_of_any_of_them(path: Path) -> None:
    bench = logged(path, release(FIRST, "CREATE TABLE nonsense"))
    assert code(codec.outcome(bench.machine.apply(bench.log[0]).outcomes[0])) == "internal-error"
    assert steps(bench) == [("state", 1), ("state", 2)]
    assert bench.rows("SELECT name FROM sqlite_schema WHERE name = 'a'") == []
    bench = upgraded(bench, release(FIRST, SECOND))
    assert steps(bench) == [("room", 1), ("room", 2), ("state", 1), ("state", 2)]
    bench.close()


def test_a_step_with_chance_in_it_fails(path: Path) -> None:
    bench = logged(path, release("CREATE TABLE a (x INTEGER DEFAULT (random())) STRICT"))
    assert steps(bench) == [("state", 1), ("state", 2)]
    bench.close()


def test_a_replica_that_replays_the_log_has_the_same_tables(path: Path, tmp_path: Path) -> None:
    bench = logged(path, release(FIRST, SECOND))
    replica = Machine(tmp_path / "replica/state.db", release(FIRST, SECOND), Log(), incarnation="bench")
    for entry in bench.log:
        replica.apply(entry)
    replica.close()
    again = logged(tmp_path / "replica/state.db", release(FIRST, SECOND))
    assert again.fingerprint() == bench.fingerprint()
    again.close()
    bench.close()
