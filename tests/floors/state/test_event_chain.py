"""History is chained: what is changed, missing or added shows."""

import apsw
import pytest

from girginosvm.state.history import verify
from tests.floors.state.bench import Bench
from tests.floors.state.toyroom import HalfToy, MakeToy


@pytest.fixture
def history(bench: Bench) -> Bench:
    for entry in range(4):
        bench.apply(
            *(bench.envelope(MakeToy(name=f"toy{entry}{n}")) for n in range(2)), bench.envelope(HalfToy(name="x"))
        )
    return bench


def _tampered(bench: Bench, sql: str) -> int | None:
    with apsw.Connection(str(bench.path)) as db:
        db.execute(sql)
    return verify(bench.reader)


def test_an_untouched_history_is_whole_also_an_empty_one(bench: Bench, tmp_path):
    assert verify(bench.reader) is None
    bench.run(MakeToy(name="top"))
    assert verify(bench.reader) is None


@pytest.mark.parametrize(
    "column", ["id", "kind", "noun", "subject_id", "text", "actor", "actor_name", "address", "why", "node", "fields"]
)
def test_a_changed_word_shows(history: Bench, column: str):
    assert _tampered(history, f"UPDATE event SET {column} = 'forged' WHERE log_index = 4 AND n = 1") == 4


@pytest.mark.parametrize(
    ("sql", "at"),
    [
        ("UPDATE event SET at_ms = at_ms + 1 WHERE log_index = 3 AND n = 0", 3),
        ("UPDATE event SET chain = x'00' WHERE log_index = 3 AND n = 0", 3),
        ("DELETE FROM event WHERE log_index = 3 AND n = 0", 3),
        ("DELETE FROM event WHERE log_index = 2", 3),
        ("DELETE FROM event WHERE log_index = 5 AND n = 1", 5),
        ("DELETE FROM event WHERE log_index > 3", 3),
        ("DELETE FROM event", 0),
        ("UPDATE event SET log_index = 9 WHERE log_index = 3 AND n = 0", 3),
        ("INSERT INTO event SELECT log_index, 7, 'new', at_ms, kind, noun, subject_id, text, actor, actor_name,"
         " address, why, node, fields, chain FROM event WHERE log_index = 5 AND n = 1", 5),
    ],
)  # fmt: skip
def test_a_changed_missing_moved_or_added_line_shows(history: Bench, sql: str, at: int):
    assert _tampered(history, sql) == at


def test_the_chain_goes_on_over_a_restart(history: Bench):
    history.close()
    again = Bench(history.path)
    again.at_ms = history.at_ms + 1
    again.run(MakeToy(name="later"))
    assert verify(again.reader) is None
    again.close()
    history.__init__(history.path)


def test_every_event_says_who_and_why(bench: Bench):
    bench.run(MakeToy(name="top"), why="spring cleaning")
    row = bench.rows("SELECT actor, actor_name, why, node, fields FROM event")[0]
    assert tuple(row.values()) == ("ada", "ada@example.org", "spring cleaning", "n1", '{"size":1}')
