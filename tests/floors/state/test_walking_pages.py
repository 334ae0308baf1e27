"""A walk over pages by cursor sees exactly what is there: in order, each row once, also while rows come and go."""

from typing import Any

import apsw
from hypothesis import given, settings
from hypothesis import strategies as st

from girginosvm.core.action import Page
from girginosvm.state import db as dbs
from girginosvm.state.page import page

COLUMNS = {"id": "id", "name": "name", "size": "size", "note": "note"}
SQL = "SELECT * FROM toy"
ROWS = st.lists(
    st.tuples(st.sampled_from("abcdE é"), st.integers(-3, 3), st.none() | st.sampled_from(["", "x", "y"])), max_size=25
)


class Reader:
    """The part of a reader that a page needs."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def all(self, sql: str, params: Any = ()) -> list[dbs.Row]:
        return dbs.rows(self._db, sql, params)


class ListToys(Page, frozen=True, kw_only=True):
    """What a list of toys takes."""


def filled(rows: list[tuple[str, int, str | None]]) -> apsw.Connection:
    db = apsw.Connection(":memory:")
    db.execute("CREATE TABLE toy (id TEXT PRIMARY KEY, created_index INTEGER, name TEXT, size INTEGER, note TEXT)")
    for number, row in enumerate(rows):
        # Several things may be made at one index of the log.
        db.execute("INSERT INTO toy VALUES (?, ?, ?, ?, ?)", (f"{number * 7 % 26:02}-{number}", number // 3, *row))
    return db


def walk(db: apsw.Connection, limit: int, between: Any = None, **asked: str) -> list[dbs.Row]:
    seen: list[dbs.Row] = []
    cursor = ""
    for _ in range(100):
        found, cursor = page(Reader(db), SQL, COLUMNS, ListToys(limit=limit, cursor=cursor, **asked))
        assert len(found) <= limit
        seen += found
        if not cursor:
            return seen
        if between:
            between()
    raise AssertionError("the walk does not end")


def key(row: dbs.Row, sort: str) -> tuple[Any, ...]:
    """The order of SQLite: numbers before text, text by bytes; NULL counts as empty text."""
    if not sort:
        return (0, row["created_index"], row["id"])
    value = row[sort]
    if value is None:
        value = ""
    return (1, value.encode(), row["id"]) if isinstance(value, str) else (0, value, row["id"])


@settings(max_examples=200, deadline=None)
@given(
    rows=ROWS, limit=st.integers(1, 7), sort=st.sampled_from(["", "name", "size", "note", "id"]),
    descending=st.booleans(), least=st.none() | st.integers(-2, 2),
)  # fmt: skip
def test_a_walk_is_the_sorted_and_filtered_list(
    rows: list[tuple[str, int, str | None]], limit: int, sort: str, descending: bool, least: int | None
) -> None:
    db = filled(rows)
    asked = {"sort": f"{'-' if descending else ''}{sort}", "filter": f"size>={least}" if least is not None else ""}
    wanted = [row for row in dbs.rows(db, SQL) if least is None or row["size"] >= least]
    wanted.sort(key=lambda row: key(row, sort), reverse=descending)
    assert [row["id"] for row in walk(db, limit, **asked)] == [row["id"] for row in wanted]


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, limit=st.integers(1, 5), sort=st.sampled_from(["", "name", "size", "-note"]))
def test_rows_that_stay_are_seen_once_while_others_come_and_go(
    rows: list[tuple[str, int, str | None]], limit: int, sort: str
) -> None:
    db = filled(rows)
    stay = {row["id"] for row in dbs.rows(db, SQL)}
    numbers = iter(range(1000))

    def others() -> None:
        number = next(numbers)
        if number > 8:  # a list that grows for ever has no last page
            return
        db.execute("INSERT INTO toy VALUES (?, ?, ?, ?, NULL)", (f"new-{number}", number, "c", number % 5))
        if number % 2:
            db.execute("DELETE FROM toy WHERE id = ?", (f"new-{number - 1}",))

    seen = [row["id"] for row in walk(db, limit, others, sort=sort) if row["id"] in stay]
    assert sorted(seen) == sorted(stay)
