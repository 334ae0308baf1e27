"""A room of toys: one command for each way in which an ``apply`` can end."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from girginosvm.core.action import Command, action
from girginosvm.core.errors import Conflict, Invalid
from girginosvm.core.manifest import Manifest, Migration, Registry
from girginosvm.state.tx import Tx

_TABLES = """
CREATE TABLE toy (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, note TEXT,
  made_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX toy_order ON toy (created_index, id);
CREATE TABLE shelf (n INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
"""
MIGRATIONS = (Migration(1, _TABLES),)


def _toy(name: str) -> Any:
    return action(f"POST /v1/toys/{name}", permission="toy.create", summary=name, audit=name, answers=dict[str, Any])


@_toy("make")
class MakeToy(Command, frozen=True, kw_only=True):
    """A row and an event."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    size: int = 1

    def apply(self, tx: Tx) -> dict[str, Any]:
        if tx.one("SELECT 1 FROM toy WHERE name = ?", (self.name,)):
            raise Conflict("toy-exists", f"there is a toy named {self.name}")
        toy = tx.new_id()
        tx.insert("toy", id=toy, created_index=tx.index, name=self.name, size=self.size, note=None, made_at_ms=tx.at_ms)
        tx.event("toy.made", "toy", toy, f"made {self.name}", size=self.size)
        return {"toy": toy, "size": self.size}


@_toy("half")
class HalfToy(Command, frozen=True, kw_only=True):
    """Writes a row, an event and then refuses."""

    name: str

    def apply(self, tx: Tx) -> dict[str, Any]:
        MakeToy(name=self.name).apply(tx)
        tx.run("INSERT INTO shelf (name) VALUES (?)", (self.name,))
        raise Invalid("toy-half", f"{self.name} is only half a toy")


@_toy("break")
class BreakToy(Command, frozen=True, kw_only=True):
    """Writes a row and then has a bug; ``how`` says which."""

    how: str

    def apply(self, tx: Tx) -> Any:
        MakeToy(name=self.how).apply(tx)
        match self.how:
            case "key":
                raise KeyError("a bug of ours")
            case "memory":
                raise MemoryError
            case "depth":
                tx.run("DELETE FROM toy")
                return self.apply(tx)
            case "constraint":
                MakeToy(name="twin").apply(tx)
                return tx.run("UPDATE toy SET name = 'twin'")
            case "answer":
                return {"toy": object()}
            case "event-fields":
                tx.event("toy.broken", "toy", "x", "broken", thing=object())
            case "event-text":
                tx.event("toy.broken", "toy", None, "broken")  # type: ignore[arg-type]
            case "problem":
                raise Invalid("toy-unspeakable", object())  # type: ignore[arg-type]
            case "number":
                return tx.run("UPDATE toy SET size = ?", (2**64,))
            case _:
                return tx.all(self.how)
        return {}


@_toy("order")
class OrderToys(Command, frozen=True, kw_only=True):
    """Answers a set: its order in memory depends on the hash seed."""

    names: tuple[str, ...]

    def apply(self, tx: Tx) -> dict[str, Any]:
        for name in sorted(set(self.names)):
            tx.run("INSERT INTO shelf (name) VALUES (?)", (name,))
        tx.event("toys.ordered", "toy", "", "ordered", names=set(self.names))
        return {"names": set(self.names)}


@_toy("clear")
class ClearShelf(Command, frozen=True, kw_only=True):
    """DELETE without WHERE: SQLite's truncation, and REPLACE on a table WITHOUT ROWID."""

    def apply(self, tx: Tx) -> dict[str, Any]:
        return {"gone": tx.run("DELETE FROM shelf")}


@_toy("fill")
class FillShelf(Command, frozen=True, kw_only=True):
    """Much at once."""

    rows: int
    width: int = 1000

    def apply(self, tx: Tx) -> dict[str, Any]:
        for number in range(self.rows):
            tx.run("INSERT INTO shelf (name) VALUES (?)", (str(number).zfill(self.width),))
        return {"rows": self.rows}


@action(
    "POST /v1/toys/paint",
    permission="toy.create",
    summary="paint",
    audit="paint",
    answers=dict[str, int],
    levels=(1, 1),
)
class PaintToy(Command, frozen=True, kw_only=True):
    """Two versions: the log may hold both for ever."""

    def apply(self, tx: Tx) -> dict[str, int]:
        return {"coats": 1 if tx.version == 1 else 2}


ROOM = Manifest(
    name="toy",
    actions=(MakeToy, HalfToy, BreakToy, OrderToys, ClearShelf, FillShelf, PaintToy),
    migrations=MIGRATIONS,
)
REGISTRY = Registry((ROOM,))
