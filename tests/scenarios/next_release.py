"""The next release, as processes: ``python -m tests.scenarios.next_release raft|agent ...``. It is this one and

* feature level 2, with a table of notes (a migration of the node room);
* ``SetDomain`` version 2: a new field, and another outcome: it keeps a note;
* ``CountNotes``, a command that this release has never heard of.

Nothing of this is in the product.
"""

from __future__ import annotations

import sys
from typing import Annotated, Final

import msgspec

import girginosvm
from girginosvm.core.action import Command, Request, action
from girginosvm.core.fields import field
from girginosvm.core.manifest import Manifest, Migration, Registry
from girginosvm.features import registry
from girginosvm.features.node import commands
from girginosvm.state.tx import Tx
from tests.scenarios import this_release

RELEASE: Final = "0.2.0"
LEVEL: Final = 2
TABLE: Final = "CREATE TABLE node_note (node TEXT PRIMARY KEY, note TEXT NOT NULL) STRICT, WITHOUT ROWID;\n"
_old: Final = commands.SetDomain.action


@action(
    f"{_old.method} {_old.path}", cli=_old.cli, permission=_old.permission, summary=_old.summary, audit=_old.audit,
    answers=_old.answers, levels=(1, 2),
)  # fmt: skip
class SetDomain(commands.SetDomain, frozen=True, kw_only=True):
    """As before, with a note."""

    note: Annotated[str, field("Why it stands there.", since=2, max_length=100)] = ""

    def apply(self, tx: Tx) -> dict[str, str]:
        done = super().apply(tx)
        if tx.version == 1:
            return done
        tx.run("INSERT OR REPLACE INTO node_note VALUES (?, ?)", (self.node, self.note or "nobody said why"))
        return {**done, "note": self.note}


@action(
    "POST /v1/notes", cli="note count", permission="node.locate", summary="Count the notes", audit="count notes",
    answers=dict[str, int], levels=(2,),
)  # fmt: skip
class CountNotes(Command, frozen=True, kw_only=True):
    """How many there are, in log order."""

    def apply(self, tx: Tx) -> dict[str, int]:
        row = tx.one("SELECT count(*) AS notes FROM node_note")
        tx.event("note.counted", "node", "", "counted the notes")
        return {"notes": row["notes"] if row else 0}


def _next(room: Manifest) -> Manifest:
    if room.name != "node":
        return room
    replaced: list[type[Request]] = [SetDomain if one is commands.SetDomain else one for one in room.actions]
    last = room.migrations[-1].number
    steps = (*room.migrations, Migration(last + 1, TABLE, level=LEVEL))
    return msgspec.structs.replace(room, actions=(*replaced, CountNotes), migrations=steps)


REGISTRY: Final = Registry(map(_next, registry.REGISTRY.rooms), level=LEVEL)


def main() -> int:
    """Become it, before anything asks which release this is."""
    girginosvm.__version__ = RELEASE
    registry.REGISTRY = REGISTRY  # type: ignore[misc]
    return this_release.main()


if __name__ == "__main__":
    sys.exit(main())
