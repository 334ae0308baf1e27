"""Lists: filter, sort, cursor and limit as bound SQL. Cursor key: (created_index, id), or (sorted column, id)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec

from girginosvm.core.action import Page
from girginosvm.core.errors import Fault, Invalid
from girginosvm.state.db import Row
from girginosvm.state.reader import Reader

MAX_FILTER: Final = 1000
# What SQLite can hold; a larger one in a cursor is no cursor of ours.
_Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
# Booleans are 0 and 1 inside.
_TRUTH: Final = {"true": "1", "false": "0"}
_TERM: Final = re.compile(r"(\w+)(!=|>=|<=|=|~|<|>)(.*)", re.S)


def _bad(pointer: str, detail: str) -> Invalid:
    return Invalid("list-invalid", detail, faults=(Fault(pointer, detail),))


def page(
    reader: Reader,
    sql: str,
    columns: dict[str, str],
    request: Page,
    *,
    indexed: frozenset[str] = frozenset(),
    bound: tuple[str | int, ...] = (),
) -> tuple[list[Row], str]:
    """Rows of ``sql`` (a SELECT that yields ``created_index`` and ``id``) and the next cursor, "" at the end.
    ``bound``: the values of its own marks.

    ``columns`` maps public field names to columns of ``sql``; ``indexed`` are the fields whose column is text, never
    NULL, and has an index with the id behind it. Invalid ``list-invalid`` names the faulty parameter.
    """
    if len(request.filter) > MAX_FILTER or not _is_text(request.filter):
        raise _bad("/filter", f"a filter is text of at most {MAX_FILTER} characters")
    where, params = _conditions(request.filter, columns, indexed)
    descending, key = request.sort.startswith("-"), _key(request.sort.removeprefix("-"), columns, indexed)
    if request.cursor:
        last, last_id = _decoded(request.cursor, request)
        where.append(f"({key}, id) {'<' if descending else '>'} (?, ?)")
        params += [last, last_id]
    order = "DESC" if descending else "ASC"
    found = reader.all(
        f"SELECT *, {key} AS page_key FROM ({sql}) {'WHERE ' + ' AND '.join(where) if where else ''} "
        f"ORDER BY page_key {order}, id {order} LIMIT ?",
        [*bound, *params, request.limit + 1],
    )
    more = len(found) > request.limit
    found = found[: request.limit]
    following = _encoded(found[-1]["page_key"], found[-1]["id"], request) if more else ""
    for row in found:
        del row["page_key"]
    return found, following


def _key(name: str, columns: dict[str, str], indexed: frozenset[str]) -> str:
    """What the field ``name`` is sorted by."""
    if name and name not in columns:
        raise _bad("/sort", f"no field {name!r}; one of {', '.join(sorted(columns))}")
    if name in ("", "created_at"):  # what was made later has the later entry of the log
        return "created_index"
    # Bare, so that an index serves the order; other columns may be NULL.
    return columns[name] if name in indexed else f"ifnull({columns[name]}, '')"


def _conditions(text: str, columns: dict[str, str], indexed: frozenset[str]) -> tuple[list[str], list[Any]]:
    where: list[str] = []
    params: list[Any] = []
    for term in filter(None, text.split(",")):
        parsed = _TERM.fullmatch(term)
        if parsed is None:
            raise _bad("/filter", f"{term!r} is no condition; write field=value, field~part or field>=number")
        name, operator, value = parsed.groups()
        if name not in columns:
            raise _bad("/filter", f"no field {name!r}; one of {', '.join(sorted(columns))}")
        column = columns[name]
        wanted = _time_ms(name, value) if column.endswith("_ms") else value
        if operator == "~":
            where.append(f"instr(lower({column}), lower(?)) > 0")
            params.append(value)
        elif operator == "=" and name in indexed:
            where.append(f"{column} = ?")
            params.append(value)
        elif operator in ("=", "!=") and value in _TRUTH:
            where.append(f"CAST({column} AS TEXT) {'NOT ' if operator == '!=' else ''}IN (?, ?)")
            params += [value, _TRUTH[value]]
        elif operator in ("=", "!="):
            where.append(f"CAST({column} AS TEXT) {operator} ?")
            params.append(str(wanted))
        else:
            where.append(f"{column} {operator} ?")
            number = isinstance(wanted, str) and re.fullmatch(r"-?[0-9]{1,18}", wanted)
            params.append(int(wanted) if number else wanted)
    return where, params


def _time_ms(name: str, value: str) -> int | str:
    """Times are RFC 3339 outside and integer ms inside."""
    if re.fullmatch(r"[0-9]{1,18}", value):
        return value
    try:
        at = datetime.fromisoformat(value)
    except ValueError as fault:
        raise _bad(
            "/filter", f"{name} is compared with a time like 2026-01-31T12:00:00Z, not with {value!r}"
        ) from fault
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _is_text(text: str) -> bool:
    """No NUL, where SQLite's text ends, and no half of a surrogate pair, which has no UTF-8."""
    return "\0" not in text and not any("\ud800" <= mark <= "\udfff" for mark in text)


def _mark(request: Page) -> str:
    """What binds a cursor to its sort and filter, in few characters."""
    return hashlib.sha256(msgspec.json.encode([request.sort, request.filter])).hexdigest()[:16]


def _encoded(key: Any, identity: str, request: Page) -> str:
    raw = msgspec.json.encode([key, identity, _mark(request)])
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decoded(cursor: str, request: Page) -> tuple[Any, str]:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        key, identity, mark = msgspec.json.decode(raw, type=tuple[_Integer | str, str, str])
    except (binascii.Error, msgspec.MsgspecError, ValueError) as fault:
        raise _bad("/cursor", "this cursor is none of ours") from fault
    if mark != _mark(request):
        raise _bad("/cursor", "this cursor belongs to another sort or filter")
    return key, identity
