"""A look at the database in passing: the end of its history, and whether its pages hold together."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from girginosvm.state import db as dbs
from girginosvm.state.history import check_end
from girginosvm.state.reader import Reader
from tests.floors.state.bench import Bench
from tests.floors.state.toyroom import MakeToy


@pytest.fixture
def history(bench: Bench) -> Bench:
    for number in range(10):
        bench.run(MakeToy(name=f"toy{number}"))
    return bench


def changed(bench: Bench, sql: str) -> None:
    with apsw.Connection(str(bench.path)) as db:
        db.execute(sql)


@pytest.mark.parametrize("limit", [1, 4, 10, 11, 500])
def test_the_end_of_an_untouched_history_is_whole(history: Bench, limit: int) -> None:
    done = check_end(history.reader, limit)
    assert (done.whole, done.broken) == (True, None)


def test_a_change_within_the_end_shows_and_one_before_it_does_not(history: Bench) -> None:
    (entry,) = history.rows("SELECT log_index FROM event ORDER BY log_index DESC LIMIT 1 OFFSET 5")
    changed(history, f"UPDATE event SET text = 'forged' WHERE log_index = {entry['log_index']}")
    assert check_end(history.reader, 5).broken is None
    assert check_end(history.reader, 6).broken == entry["log_index"]


def test_a_missing_end_shows(history: Bench) -> None:
    changed(history, "DELETE FROM event WHERE log_index = (SELECT max(log_index) FROM event)")
    assert check_end(history.reader, 3).broken is not None


def test_an_empty_history_is_whole(bench: Bench) -> None:
    assert check_end(bench.reader, 5).whole


def test_pages_that_do_not_hold_together_are_named(history: Bench, tmp_path: Path) -> None:
    assert Reader(history.reader).sound() == ""
    harmed = tmp_path / "harmed.db"
    with apsw.Connection(str(harmed)) as copy, copy.backup("main", history.reader, "main") as backup:
        backup.step()
    (root,) = history.rows(
        "SELECT rootpage, (SELECT page_size FROM pragma_page_size) AS size FROM sqlite_schema WHERE name = 'event'"
    )
    with open(harmed, "r+b") as file:
        file.seek((root["rootpage"] - 1) * root["size"])
        file.write(b"\xff" * 64)
    reader = dbs.open_reader(harmed)
    said = Reader(reader).sound()
    assert f"page {root['rootpage']}" in said
    assert "\n" not in said
    reader.close()
