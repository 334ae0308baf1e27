"""The door of machines."""

from girginosvm.core.errors import Conflict, Missing
from girginosvm.features.operation import api as operations
from girginosvm.state.db import Row
from girginosvm.state.tx import Tx


def machine(tx: Tx, vm: str, *, doomed: bool = True) -> Row:
    """A machine's row; Missing, or Conflict when it is being destroyed and ``doomed`` is false."""
    row = tx.one("SELECT * FROM vm WHERE id = ?", (vm,))
    if row is None:
        raise Missing("vm-missing", f"there is no machine {vm}")
    if row["doomed"] and not doomed:
        raise Conflict("vm-doomed", f"machine {row['name']} is being destroyed")
    return row


def changed(tx: Tx, row: Row, kind: str, **columns: str | int) -> str:
    """Write what is wanted of a machine as its next generation; answers the operation that waits for it."""
    generation = row["generation"] + 1
    assignments = ", ".join(f"{name} = ?" for name in columns)
    tx.run(f"UPDATE vm SET {assignments}, generation = ? WHERE id = ?", (*columns.values(), generation, row["id"]))
    return operations.start(
        tx, kind=kind, noun="vm", subject_id=row["id"], name=row["name"], node=row["node"], generation=generation
    )
