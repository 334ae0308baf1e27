"""Lists: filter, sort, cursor and limit as bound SQL. Cursor key: (created_index, id), or (sorted column, id)."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

import msgspec

from girginosvm.core.action import Page
from girginosvm.core.errors import Fault, Invalid
from girginosvm.state.db import Row
from girginosvm.state.reader import Reader

_TERM: Final = re.compile(r"(\w+)(!=|>=|<=|=|~|<|>)(.*)", re.S)


def _bad(pointer: str, detail: str) -> Invalid:
    return Invalid("list-invalid", detail, faults=(Fault(pointer, detail),))


def page(reader: Reader, sql: str, columns: dict[str, str], request: Page) -> tuple[list[Row], str]:
    """Rows of ``sql`` (a SELECT that yields ``created_index`` and ``id``) and the next cursor, "" at the end.

    ``columns`` maps public field names to columns of ``sql``. Invalid ``list-invalid`` names the faulty parameter.
    """
    where, params = _conditions(request.filter, columns)
    descending = request.sort.startswith("-")
    name = request.sort.removeprefix("-")
    if name and name not in columns:
        raise _bad("/sort", f"no field {name!r}; one of {', '.join(sorted(columns))}")
    column = columns[name] if name else "created_index"
    key = f"ifnull({column}, '')"
    if request.cursor:
        last, last_id = _decoded(request.cursor, request)
        where.append(f"({key}, id) {'<' if descending else '>'} (?, ?)")
        params += [last, last_id]
    order = "DESC" if descending else "ASC"
    found = reader.all(
        f"SELECT *, {key} AS page_key FROM ({sql}) {'WHERE ' + ' AND '.join(where) if where else ''} "
        f"ORDER BY page_key {order}, id {order} LIMIT ?",
        [*params, request.limit + 1],
    )
    more = len(found) > request.limit
    found = found[: request.limit]
    following = _encoded(found[-1]["page_key"], found[-1]["id"], request) if more else ""
    for row in found:
        del row["page_key"]
    return found, following


def _conditions(text: str, columns: dict[str, str]) -> tuple[list[str], list[Any]]:
    where: list[str] = []
    params: list[Any] = []
    for term in filter(None, text.split(",")):
        parsed = _TERM.fullmatch(term)
        if parsed is None:
            raise _bad("/filter", f"{term!r} is no condition; write field=value, field~part or field>=number")
        name, operator, value = parsed.groups()
        if name not in columns:
            raise _bad("/filter", f"no field {name!r}; one of {', '.join(sorted(columns))}")
        if operator == "~":
            where.append(f"instr(lower({columns[name]}), lower(?)) > 0")
            params.append(value)
        elif operator in ("=", "!="):
            where.append(f"CAST({columns[name]} AS TEXT) {operator} ?")
            params.append(value)
        else:
            where.append(f"{columns[name]} {operator} ?")
            params.append(int(value) if re.fullmatch(r"-?\d{1,18}", value) else value)
    return where, params


def _encoded(key: Any, identity: str, request: Page) -> str:
    raw = msgspec.json.encode([key, identity, request.sort, request.filter])
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decoded(cursor: str, request: Page) -> tuple[Any, str]:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        key, identity, sort, conditions = msgspec.json.decode(raw, type=tuple[int | str, str, str, str])
    except (binascii.Error, msgspec.MsgspecError, ValueError) as fault:
        raise _bad("/cursor", "this cursor is none of ours") from fault
    if (sort, conditions) != (request.sort, request.filter):
        raise _bad("/cursor", "this cursor belongs to another sort or filter")
    return key, identity
