"""Migrations are append-only and frozen, and only the log runs them."""

from pathlib import Path

import msgspec
import pytest

from girginosvm.core import codec
from girginosvm.core.entries import Entry, Halt
from girginosvm.core.errors import Conflict
from girginosvm.core.log import Log
from girginosvm.core.manifest import Manifest, Migration, Registry
from girginosvm.state.machine import Machine
from girginosvm.state.migrate import MigrateSchema, Step, checksum
from tests.floors.state.bench import Bench, code
from tests.floors.state.toyroom import ROOM, MakeToy

FIRST, SECOND = "CREATE TABLE a (x INTEGER) STRICT", "ALTER TABLE a ADD COLUMN y INTEGER"
ID = "01a00000-0000-7000-8000-000000000001"


def release(*steps: str) -> Registry:
    """A release with toys and a room of these steps."""
    room = Manifest(name="room", migrations=tuple(Migration(number, sql) for number, sql in enumerate(steps, 1)))
    return Registry((ROOM, room))


def ledger(bench: Bench) -> list[str]:
    return [f"{row['room']}.{row['number']}" for row in bench.rows("SELECT * FROM migration ORDER BY room, number")]


def migrate(bench: Bench, *steps: Step) -> None:
    bench.run(MigrateSchema(steps=steps))


def asked(command: bytes | None) -> tuple[Step, ...]:
    """The steps that a proposal names."""
    assert command is not None
    return msgspec.msgpack.decode(codec.envelope(command).body, type=MigrateSchema).steps


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def test_the_first_entry_makes_the_tables_and_an_upgrade_only_what_is_new(path: Path):
    Bench(path, release(FIRST)).close()
    upgraded = Bench(path, release(FIRST, SECOND))
    assert ledger(upgraded) == ["room.1", "room.2", "toy.1"]
    assert [str(step) for step in asked(upgraded.log[0].commands[0])] == ["room.2"]
    assert upgraded.log[0].index == 2
    assert upgraded.machine.migration(ID, "n1") is None
    upgraded.close()


def test_opening_a_database_runs_no_migration(path: Path):
    machine = Machine(path, release(FIRST), Log(), incarnation="bench")
    assert len(asked(machine.migration(ID, "n1"))) == 2
    machine.close()
    later = Machine(path, release(FIRST), Log(), incarnation="bench")
    assert len(asked(later.migration(ID, "n1"))) == 2
    later.close()


def test_a_command_before_the_first_migration_halts(path: Path):
    machine = Machine(path, release(), Log(), incarnation="bench")
    bench = Bench(path.with_name("other.db"), release())
    entry = Entry(1, 1, bench.at_ms, "n1", (codec.encode(bench.envelope(MakeToy(name="top"))),))
    with pytest.raises(Halt, match="MakeToy comes before the log's first migration"):
        machine.apply(entry)
    assert machine.applied_index() == 0
    machine.close()
    bench.close()


def test_a_step_asked_for_twice_runs_once(path: Path):
    bench = Bench(path, release(FIRST))
    steps = asked(bench.log[0].commands[0])
    migrate(bench, *steps)
    assert ledger(bench) == ["room.1", "toy.1"]
    bench.close()


def test_a_replica_that_lacks_a_step_halts_until_it_is_upgraded_and_then_goes_on(path: Path):
    newer = Bench(path, release(FIRST))
    Bench(path.with_name("old.db"), release(FIRST)).close()
    older = Bench(path.with_name("old.db"), release(FIRST))
    newer.close()
    newer = Bench(path, release(FIRST, SECOND))
    entry = newer.log[-1]
    with pytest.raises(Halt, match=r"does not have migration room\.2 .*upgrade this node"):
        older.machine.apply(entry)
    assert older.machine.applied_index() == 1
    older.close()
    upgraded = Machine(older.path, release(FIRST, SECOND), Log(), incarnation="bench")
    upgraded.apply(entry)
    assert upgraded.applied_index() == newer.machine.applied_index()
    upgraded.close()
    newer.close()


def test_a_newer_release_waits_for_the_log_and_applies_at_the_old_tables(path: Path):
    Bench(path, release(FIRST)).close()
    machine = Machine(path, release(FIRST, SECOND), Log(), incarnation="bench")
    bench = Bench(path.with_name("other.db"), release(FIRST))
    entry = Entry(2, 1, bench.at_ms + 1, "n1", (codec.encode(bench.envelope(MakeToy(name="top"))),))
    assert code(codec.outcome(machine.apply(entry).outcomes[0])) == ""
    assert len(asked(machine.migration(ID, "n1"))) == 1
    machine.close()
    bench.close()


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Step("room", 1, "0" * 64), "upgrade this node"),
        (Step("room", 3, ""), "step between them is missing"),
    ],
)
def test_a_step_in_another_form_or_out_of_turn_halts(path: Path, step: Step, words: str):
    Bench(path, release(FIRST)).close()
    third = release(FIRST, SECOND, "CREATE TABLE b (x INTEGER) STRICT")
    machine = Machine(path, third, Log(), incarnation="bench")
    missing = {one.number: one for one in asked(machine.migration(ID, "n1"))}
    wanted = missing.get(step.number, step)
    bench = Bench(path.with_name("other.db"))
    entry = Entry(2, 1, bench.at_ms, "n1", (codec.encode(bench.envelope(MigrateSchema(steps=(wanted,)))),))
    with pytest.raises(Halt, match=words):
        machine.apply(entry)
    assert machine.applied_index() == 1
    machine.close()
    bench.close()


def test_an_edited_step_is_refused_at_the_start(path: Path):
    Bench(path, release(FIRST)).close()
    with pytest.raises(Conflict, match=r"room\.1 ran here in another form"):
        Bench(path, release(FIRST.replace("INTEGER", "TEXT")))


def test_an_older_release_does_not_touch_a_newer_database(path: Path):
    Bench(path, release(FIRST, SECOND)).close()
    with pytest.raises(Conflict, match=r"does not know: room\.2"):
        Bench(path, release(FIRST))


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (f"{FIRST}; CREATE TABLE nonsense", "room.1 failed: SQLError"),
        ("CREATE TABLE a (x INTEGER DEFAULT (random())) STRICT", "not authorized to use function: random"),
        ("CREATE TABLE a (x INTEGER) STRICT; COMMIT", "room.1 failed: AuthError"),
    ],
)
def test_a_step_that_would_fail_never_gets_into_the_log(path: Path, sql: str, words: str):
    with pytest.raises(Conflict, match=words) as caught:
        Bench(path, release(sql))
    assert caught.value.code == "migration-failed"
    mended = Bench(path, release(FIRST))
    assert (mended.machine.applied_index(), ledger(mended)) == (1, ["room.1", "toy.1"])
    mended.close()


def test_a_step_that_fails_all_the_same_halts_and_leaves_nothing(path: Path):
    twice = release(FIRST, FIRST)
    machine = Machine(path, twice, Log(), incarnation="bench")
    with pytest.raises(Conflict, match=r"room\.2 failed"):
        machine.migration(ID, "n1")
    steps = tuple(Step(room.name, one.number, checksum(one)) for room in twice.rooms for one in room.migrations)
    bench = Bench(path.with_name("other.db"))
    entry = Entry(1, 1, bench.at_ms, "n1", (codec.encode(bench.envelope(MigrateSchema(steps=steps))),))
    with pytest.raises(Halt, match=r"room\.2 failed: SQLError: table a already exists"):
        machine.apply(entry)
    machine.close()
    bench.close()
    mended = Bench(path, release(FIRST))
    assert (mended.machine.applied_index(), ledger(mended)) == (1, ["room.1", "toy.1"])
    mended.close()


def test_the_tables_of_a_lost_database_come_back_from_the_log(path: Path):
    bench = Bench(path, release(FIRST))
    bench.run(MakeToy(name="top"))
    bench.close()
    upgraded = Bench(path, release(FIRST, SECOND))
    upgraded.run(MakeToy(name="kite"))
    again = Machine(path.with_name("again.db"), release(FIRST, SECOND), Log(), incarnation="bench")
    for entry in (*bench.log, *upgraded.log):
        again.apply(entry)
    again.close()
    rebuilt = Bench(path.with_name("again.db"), release(FIRST, SECOND))
    assert rebuilt.fingerprint() == upgraded.fingerprint()
    upgraded.close()
    rebuilt.close()


def test_a_migration_is_a_request_like_others_and_answers_once(path: Path):
    bench = Bench(path, release(FIRST))
    again = codec.outcome(bench.apply(bench.log[0].commands[0]).outcomes[0])
    assert again.repeated
    assert msgspec.msgpack.decode(again.value) == ["toy.1", "room.1"]
    bench.close()
