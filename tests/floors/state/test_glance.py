"""Short reads on the event loop: never stale, never long, and the same question is worked out once per state."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from girginosvm.core.errors import Missing
from girginosvm.state import db as dbs
from girginosvm.state.reader import Reader, Readers

LONG = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT count(*) AS i FROM n"


class Place:
    """A database, its writer, and readers that note in which thread and how often they were asked."""

    def __init__(self, path: Path) -> None:
        self.writer = dbs.open_writer(path)
        self.writer.execute(
            "CREATE TABLE machine_state "
            "(applied_index INTEGER, at_ms INTEGER, incarnation TEXT, feature_level INTEGER);"
            "INSERT INTO machine_state VALUES (1, 0, 'x', 1)"
        )
        self.readers = Readers(path)
        self.threads: list[int] = []

    def commit(self) -> None:
        self.writer.execute("UPDATE machine_state SET applied_index = applied_index + 1")

    def index(self, reader: Reader) -> int:
        self.threads.append(threading.get_ident())
        return reader.applied_index

    def count(self, steps: int):
        def fetch(reader: Reader) -> int:
            self.threads.append(threading.get_ident())
            return int(reader.all(LONG, (steps,))[0]["i"])

        return fetch


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path / "state.db")
    yield made
    made.readers.close()
    made.writer.close()


async def test_a_short_read_stays_on_the_loop_and_a_long_one_is_done_anew_in_a_thread(place: Place) -> None:
    here = threading.get_ident()
    assert await place.readers.glance(place.count(10)) == 10
    assert place.threads == [here]
    assert await place.readers.glance(place.count(300_000)) == 300_000
    assert place.threads[1] == here
    assert place.threads[2] != here
    assert await place.readers.glance(place.count(10)) == 10


async def test_a_host_that_stands_still_in_a_glance_leaves_no_transaction_open(place: Place) -> None:
    """SQLite looks at the clock every 4,000 steps, counted over all lives of a statement: that of the ROLLBACK comes
    once in some 1,300 glances."""

    def late(reader: Reader) -> int:
        place.readers._near_until = 0.0
        return reader.applied_index

    for state in range(1, 4001):
        assert await place.readers.glance(late) == (state - 1) // 1000 + 1
        if state % 1000 == 0:
            place.commit()


async def test_the_same_question_is_worked_out_once_for_each_state(place: Place) -> None:
    for state in range(1, 6):
        answers = [await place.readers.glance(place.index, same="index") for _ in range(3)]
        assert answers == [state] * 3
        assert len(place.threads) == state
        place.commit()


async def test_every_commit_is_seen_by_the_next_glance_whatever_was_asked_between(place: Place) -> None:
    for state in range(1, 101):
        assert await place.readers.glance(place.index, same=state % 3) == state
        if state % 2:
            assert await place.readers.glance(place.index) == state
            assert await place.readers.glance(place.index, same="other") == state
        place.commit()


async def test_a_rolled_back_change_is_no_state(place: Place) -> None:
    assert await place.readers.glance(place.index, same="index") == 1
    place.writer.execute("BEGIN IMMEDIATE; UPDATE machine_state SET applied_index = 99")
    assert await place.readers.glance(place.index, same="index") == 1
    place.writer.execute("ROLLBACK")
    assert await place.readers.glance(place.index, same="index") == 1


async def test_a_problem_is_no_answer_and_is_not_kept(place: Place) -> None:
    def missing(reader: Reader) -> int:
        if reader.applied_index == 1:
            raise Missing("vm-missing", "not here")
        return reader.applied_index

    for _ in range(2):
        with pytest.raises(Missing):
            await place.readers.glance(missing, same="it")
    place.commit()
    assert await place.readers.glance(missing, same="it") == 2


async def test_few_answers_are_kept_and_none_of_a_long_read(place: Place) -> None:
    for number in range(100):
        await place.readers.glance(place.index, same=number)
    assert len(place.readers._kept) <= 32
    before = len(place.threads)
    for _ in range(2):
        await place.readers.glance(place.count(300_000), same="long")
    assert len(place.threads) == before + 4


def test_rows_of_nothing_and_of_one_name(tmp_path: Path) -> None:
    db = apsw.Connection(str(tmp_path / "x.db"))
    assert dbs.rows(db, "CREATE TABLE t (a)") == []
    assert dbs.rows(db, "SELECT a FROM t") == []
    db.execute("INSERT INTO t VALUES (1), (2)")
    assert dbs.rows(db, "SELECT a, a + 1 AS b FROM t ORDER BY a") == [{"a": 1, "b": 2}, {"a": 2, "b": 3}]
