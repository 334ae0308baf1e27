"""What runs on every replica has no chance in it: checked on the syntax tree of the rooms and on their real tables."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from girginosvm.features.registry import REGISTRY
from girginosvm.state.migrate import Schema

ROOMS = Path(__file__).parents[2] / "girginosvm/features"
PURE = ("commands.py", "api.py", "model.py", "plan.py", "power.py", "reports.py", "schema.py")
FILES = sorted(file for file in ROOMS.glob("*/*.py") if file.name in PURE)
WORLD = {
    "time", "datetime", "random", "secrets", "uuid", "os", "sys", "platform", "pathlib", "asyncio", "threading",
    "socket", "subprocess", "girginosvm.hypervisor", "girginosvm.http", "girginosvm.daemon", "girginosvm.raft",
    "girginosvm.core.clock", "girginosvm.core.settings",
}  # fmt: skip
# Each of these takes its argument in whatever order a set has.
ORDERED = {"list", "tuple", "enumerate", "iter", "next", "map", "zip", "join", "encode"}
# One row whatever the table holds, or the same answer whichever row comes first.
ONE_ANSWER = re.compile(r"SELECT (1|count\(\*\)|min\(|max\(|sum\(|ifnull\(sum\()[^,]*(,[^,]*(sum|min|max)\()*", re.S)


def imports(source: str) -> Iterator[str]:
    """Modules that a file names, as ``a.b``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{one.name}" for one in node.names)


def worldly(source: str) -> list[str]:
    """Imports of what differs between replicas."""
    return sorted({name for name in imports(source) for bad in WORLD if name == bad or name.startswith(bad + ".")})


def is_set(node: ast.AST) -> bool:
    """A set by the look of it."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in ("set", "frozenset")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        return is_set(node.left) or is_set(node.right)
    return isinstance(node, ast.Set | ast.SetComp)


def sets_walked(source: str) -> list[int]:
    """Lines that go through a set in the order in which it lies in memory."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        walked: list[ast.AST] = []
        if isinstance(node, ast.For | ast.comprehension):
            walked = [node.iter]
        elif isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            walked = list(node.args) if name in ORDERED else []
        elif isinstance(node, ast.Starred):
            walked = [node.value]
        lines += [one.lineno for one in walked if is_set(one)]
    return lines


def statements(source: str) -> Iterator[tuple[str, str]]:
    """(method, SQL) of each ``tx.all`` and ``tx.one`` whose SQL is written there."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        if node.func.attr in ("all", "one") and ast.unparse(node.func.value) == "tx":
            first = node.args[0]
            assert isinstance(first, ast.Constant), f"line {node.lineno}: SQL that this test cannot read"
            yield node.func.attr, str(first.value)


@pytest.fixture(scope="module")
def tables() -> apsw.Connection:
    db = apsw.Connection(":memory:")
    schema = Schema(REGISTRY.rooms)
    schema.open(db, "arch", REGISTRY.level)
    schema.run(db, schema.missing(db, REGISTRY.level))
    return db


def keys(db: apsw.Connection, table: str) -> list[set[str]]:
    """The sets of columns of which no two rows have equal values."""
    info = list(db.execute("SELECT name, pk FROM pragma_table_info(?)", (table,)))
    indexes = db.execute('SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial', (table,)).fetchall()
    found = [{name for name, pk in info if pk}]
    for (index,) in indexes:
        found.append({name for (name,) in db.execute("SELECT name FROM pragma_index_info(?)", (index,))})
    return found


def settled(db: apsw.Connection, method: str, sql: str) -> bool:
    """Every replica gets the same rows in the same order: a unique key is fixed by WHERE or ends the ORDER BY."""
    if method == "one" and ONE_ANSWER.match(sql):
        return True
    table = re.search(r"FROM (\w+)", sql)
    assert table is not None, sql
    where, _, order = sql.partition(" ORDER BY ")
    fixed = set(re.findall(r"(\w+) = \?", "" if " OR " in where else where.partition(" WHERE ")[2]))
    sorted_by = set(re.findall(r"(\w+)(?: DESC| ASC)?(?:,|$| LIMIT)", order))
    return any(key and key <= fixed | sorted_by for key in keys(db, table[1]))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_room_that_decides_knows_no_clock_chance_host_or_network(file: Path) -> None:
    assert worldly(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_nothing_walks_a_set(file: Path) -> None:
    assert sets_walked(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_read_of_a_command_has_one_answer(file: Path, tables: apsw.Connection) -> None:
    open_ones = [
        sql for method, sql in statements(file.read_text(encoding="utf-8")) if not settled(tables, method, sql)
    ]
    assert open_ones == []


def test_no_table_holds_floats_or_is_loose(tables: apsw.Connection) -> None:
    """STRICT, or a column takes whatever it is given; no REAL, or the last digit is the processor's."""
    loose = tables.execute("SELECT name FROM pragma_table_list WHERE schema = 'main' AND NOT strict")
    assert [name for (name,) in loose if not name.startswith("sqlite_")] == []
    sql = "SELECT t.name, c.name, c.type FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'"
    rows = tables.execute(sql).fetchall()
    assert [row for row in rows if row[2] not in ("INTEGER", "TEXT", "BLOB")] == []
    assert len(rows) > 100


def test_the_walk_sees_what_it_is_for(tables: apsw.Connection) -> None:
    assert worldly("import time\nfrom os import path\nfrom girginosvm.hypervisor import ports\nimport timeless") != []
    assert len(worldly("import time\nfrom girginosvm.hypervisor import ports")) == 3
    assert sets_walked("for x in {1}: pass\ny = tuple(set(z))\nz = [a for a in set(b) | c]\nf(*{1})") == [1, 2, 3, 4]
    assert sets_walked("for x in sorted({1}): pass\nlen(set(z))") == []
    assert not settled(tables, "all", "SELECT * FROM vm ORDER BY name")
    assert not settled(tables, "one", "SELECT * FROM network WHERE name = ? OR bridge = ?")
    assert not settled(tables, "all", "SELECT * FROM vm_disk WHERE vm = ?")
    assert settled(tables, "all", "SELECT * FROM vm_disk WHERE vm = ? ORDER BY n")
    assert settled(tables, "all", "SELECT * FROM vm ORDER BY project, name DESC")
