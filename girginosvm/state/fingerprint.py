"""Fingerprints: two members at the same index have the same rows, or one of them is wrong.

Every table counts, also those of the state floor: whatever is in the database came out of the log. Rows are hashed in
the order of their key as msgpack, so neither the layout of the file nor the order of writing shows.
"""

from __future__ import annotations

import hashlib
from typing import Final

import apsw
import msgspec

from girginosvm.state import db as dbs

_TABLES: Final = """
SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"""


class Fingerprint(msgspec.Struct, frozen=True):
    """A database at one index. ``tables`` tells where two of them part."""

    index: int
    digest: str
    tables: dict[str, str]


def fingerprint(db: apsw.Connection) -> Fingerprint:
    """The fingerprint of the state that ``db`` sees. One read transaction: a connection that has none begins one."""
    if db.in_transaction:
        return _taken(db)
    db.execute("BEGIN")
    try:
        return _taken(db)
    finally:
        db.execute("ROLLBACK")


def _taken(db: apsw.Connection) -> Fingerprint:
    index = int(dbs.rows(db, "SELECT applied_index FROM machine_state")[0]["applied_index"])
    tables = {row["name"]: _table(db, row["name"]) for row in dbs.rows(db, _TABLES)}
    whole = hashlib.sha256(msgspec.msgpack.encode(sorted(tables.items()))).hexdigest()
    return Fingerprint(index, whole, tables)


def rows_digest(db: apsw.Connection, table: str, column: str, value: str) -> bytes:
    """The digest of the rows of ``table`` whose ``column`` is ``value``."""
    return _hashed(db, table, f"WHERE {_quoted(column)} = ?", (value,)).digest()


def _table(db: apsw.Connection, name: str) -> str:
    return _hashed(db, name, "", ()).hexdigest()


def _hashed(db: apsw.Connection, name: str, where: str, params: tuple[str, ...]) -> hashlib._Hash:
    columns = dbs.rows(db, "SELECT name, pk FROM pragma_table_info(?) ORDER BY cid", (name,))
    key = [column["name"] for column in sorted(columns, key=lambda column: column["pk"]) if column["pk"]]
    names = [column["name"] for column in columns]
    order = ", ".join(_quoted(column) for column in key or names)
    total = hashlib.sha256(msgspec.msgpack.encode(names))
    wanted = ", ".join(map(_quoted, names))
    for row in db.execute(f"SELECT {wanted} FROM {_quoted(name)} {where} ORDER BY {order}", params):
        total.update(msgspec.msgpack.encode(row))
    return total


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
