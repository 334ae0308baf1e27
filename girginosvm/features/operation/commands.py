"""Operations that end without a report from a host."""

from typing import Annotated

from girginosvm.core.action import Command, action
from girginosvm.core.errors import Missing
from girginosvm.core.fields import Ref, field
from girginosvm.features.operation import api
from girginosvm.state.tx import Tx


@action(
    "POST /v1/operations/{operation}/fail",
    cli="operation fail",
    permission="operation.fail",
    summary="Give up waiting for an operation; what it asked for stays asked for",
    audit="gave up operation {operation}",
    answers=dict[str, str],
)
class FailOperation(Command, frozen=True, kw_only=True):
    """End a running operation by hand."""

    operation: Annotated[Ref, field("Operation.", ref="operation")]

    def apply(self, tx: Tx) -> dict[str, str]:
        row = tx.one("SELECT * FROM operation WHERE id = ?", (self.operation,))
        if row is None:
            raise Missing("operation-missing", f"there is no operation {self.operation}")
        api.finish(tx, row["subject_id"], row["generation"], code="given-up", problem=f"given up by {tx.actor.name}")
        tx.event(
            "operation.given-up", row["noun"], row["subject_id"], f"gave up {row['kind']} of {row['subject_name']}"
        )
        return {"operation": self.operation}
