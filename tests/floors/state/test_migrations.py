"""Migrations are append-only and frozen."""

import apsw
import pytest

from girginosvm.core.errors import Conflict
from girginosvm.core.manifest import Manifest, Migration
from girginosvm.state.db import open_writer
from girginosvm.state.migrate import migrate
from tests.floors.state.toyroom import ROOM


def _room(*steps: str) -> Manifest:
    return Manifest(name="room", migrations=tuple(Migration(number, sql) for number, sql in enumerate(steps, 1)))


@pytest.fixture
def db(tmp_path):
    one = open_writer(tmp_path / "state.db")
    yield one
    one.close()


def test_each_step_runs_once(db: apsw.Connection):
    first, second = "CREATE TABLE a (x INTEGER) STRICT", "ALTER TABLE a ADD COLUMN y INTEGER"
    assert migrate(db, [_room(first)]) == ("room.1",)
    assert migrate(db, [_room(first, second)]) == ("room.2",)
    assert migrate(db, [_room(first, second)]) == ()


def test_an_edited_step_is_refused(db: apsw.Connection):
    migrate(db, [_room("CREATE TABLE a (x INTEGER) STRICT")])
    with pytest.raises(Conflict, match=r"room\.1 ran here in another form"):
        migrate(db, [_room("CREATE TABLE a (x TEXT) STRICT")])


def test_an_older_release_does_not_touch_a_newer_database(db: apsw.Connection):
    migrate(db, [_room("CREATE TABLE a (x INTEGER) STRICT", "CREATE TABLE b (x INTEGER) STRICT"), ROOM])
    with pytest.raises(Conflict, match=r"does not know: room\.2, toy\.1"):
        migrate(db, [_room("CREATE TABLE a (x INTEGER) STRICT")])


def test_a_step_that_fails_leaves_nothing_and_runs_the_next_time(db: apsw.Connection):
    with pytest.raises(apsw.SQLError):
        migrate(db, [_room("CREATE TABLE a (x INTEGER) STRICT; CREATE TABLE nonsense")])
    assert migrate(db, [_room("CREATE TABLE a (x INTEGER) STRICT")]) == ("room.1",)


def test_a_step_with_chance_in_it_is_refused(db: apsw.Connection):
    with pytest.raises(apsw.SQLError, match="not authorized to use function: random"):
        migrate(db, [_room("CREATE TABLE a (x INTEGER DEFAULT (random())) STRICT")])
