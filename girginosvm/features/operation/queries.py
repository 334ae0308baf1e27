"""Reading operations."""

from typing import Annotated, Any, Final

import msgspec

from girginosvm.core.action import Page, Query, action
from girginosvm.core.errors import Missing
from girginosvm.core.fields import Ref, field
from girginosvm.core.words import Said, read
from girginosvm.features.times import rfc3339
from girginosvm.state.page import page
from girginosvm.state.reader import Reader


class ProblemShown(msgspec.Struct, frozen=True):
    """Why something is not as asked."""

    code: str
    detail: str


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """Work that outlives a request. It goes on when nobody waits for it. ``step_said`` is what ``step`` was made of,
    for whoever says it in another language; null where there is no such sentence."""

    id: str
    kind: str
    noun: str
    subject_id: str
    subject_name: str
    node: str
    state: str
    step: str
    step_said: Said | None
    progress: int | None
    problem: ProblemShown | None
    actor: str
    created_at: str
    finished_at: str | None


class Operations(msgspec.Struct, frozen=True):
    """A page of operations."""

    items: list[Operation]
    next: str
    applied_index: int


_SQL: Final = "SELECT operation.*, node.name AS node_name FROM operation LEFT JOIN node ON node.id = operation.node"
COLUMNS: Final = {
    name: name for name in ("id", "kind", "noun", "subject_id", "subject_name", "state", "step", "actor")
} | {"node": "node_name", "created_at": "created_at_ms", "finished_at": "finished_at_ms"}


def shown(row: dict[str, Any]) -> Operation:
    """A row as its public form. ``progress`` is filled by the node that works (it is not replicated)."""
    return Operation(
        id=row["id"], kind=row["kind"], noun=row["noun"], subject_id=row["subject_id"],
        subject_name=row["subject_name"], node=row["node_name"] or row["node"],
        state=row["state"], step=row["step"], step_said=read(row["step"], "step"), progress=None,
        problem=ProblemShown(row["problem_code"], row["problem"]) if row["problem_code"] else None,
        actor=row["actor"], created_at=rfc3339(row["created_at_ms"]),
        finished_at=rfc3339(row["finished_at_ms"]) if row["finished_at_ms"] is not None else None,
    )  # fmt: skip


def resolve(reader: Reader, text: str) -> str | None:
    """Operations have no names."""
    return text if reader.one("SELECT 1 FROM operation WHERE id = ?", (text,)) else None


@action(
    "GET /v1/operations",
    cli="operation list",
    permission="operation.read",
    summary="List operations, oldest first",
    answers=Operations,
)
class ListOperations(Page, frozen=True, kw_only=True):
    """A page of operations."""

    def fetch(self, reader: Reader) -> Operations:
        found, following = page(reader, _SQL, COLUMNS, self)
        return Operations([shown(row) for row in found], following, reader.applied_index)


@action(
    "GET /v1/operations/{operation}",
    cli="operation show",
    permission="operation.read",
    summary="Show one operation",
    answers=Operation,
)
class ShowOperation(Query, frozen=True, kw_only=True):
    """One operation."""

    rows = (("operation", "id"),)
    operation: Annotated[Ref, field("Operation.", ref="operation")]

    def fetch(self, reader: Reader) -> Operation:
        row = reader.one(f"SELECT * FROM ({_SQL}) WHERE id = ?", (self.operation,))
        if row is None:
            raise Missing("operation-missing", f"there is no operation {self.operation}")
        return shown(row)
