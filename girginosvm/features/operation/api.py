"""The door of operations: opened by the command that asks, closed by the report that it is so."""

import msgspec

from girginosvm.state.reader import Reader
from girginosvm.state.tx import Tx


class Running(msgspec.Struct, frozen=True):
    """An operation that has not ended; since when (ms UTC, log time)."""

    id: str
    kind: str
    subject: str
    step: str
    since_ms: int


def running(reader: Reader, node: str) -> tuple[Running, ...]:
    """What runs on a node, the oldest first."""
    rows = reader.all(
        "SELECT id, kind, subject_name, step, created_at_ms FROM operation WHERE state = 'running' AND node = ? "
        "ORDER BY created_at_ms, id LIMIT 1000",
        (node,),
    )
    return tuple(
        Running(row["id"], row["kind"], row["subject_name"], row["step"], row["created_at_ms"]) for row in rows
    )


def start(tx: Tx, *, kind: str, noun: str, subject_id: str, name: str, node: str, generation: int) -> str:
    """A running operation for ``generation`` of a thing. Older ones of the same thing end as overtaken."""
    tx.run(
        "UPDATE operation SET state = 'failed', problem_code = 'overtaken', problem = ?, finished_at_ms = ? "
        "WHERE subject_id = ? AND state = 'running'",
        (f"overtaken by a later request: {kind}", tx.at_ms, subject_id),
    )
    operation = tx.new_id()
    tx.insert(
        "operation", id=operation, created_index=tx.index, kind=kind, noun=noun, subject_id=subject_id,
        subject_name=name, node=node, generation=generation, state="running", step="accepted", problem_code="",
        problem="", actor=tx.actor.name, created_at_ms=tx.at_ms,
    )  # fmt: skip
    return operation


def due(reader: Reader, before_ms: int, count: int) -> bool:
    """``count`` operations or more ended before ``before_ms``."""
    row = reader.one(
        "SELECT finished_at_ms AS at_ms FROM operation WHERE finished_at_ms IS NOT NULL ORDER BY finished_at_ms, id "
        "LIMIT 1 OFFSET ?",
        (count - 1,),
    )
    return row is not None and row["at_ms"] < before_ms


def prune(tx: Tx, before_ms: int, limit: int) -> int:
    """Take at most ``limit`` operations out that ended before ``before_ms``, the oldest first; answers how many."""
    return tx.run(
        "DELETE FROM operation WHERE id IN (SELECT id FROM operation WHERE finished_at_ms < ? "
        "ORDER BY finished_at_ms, id LIMIT ?)",
        (before_ms, limit),
    )


def step(tx: Tx, subject_id: str, text: str) -> None:
    """Say what the running operation of a thing is doing or waiting for."""
    tx.run(
        "UPDATE operation SET step = ? WHERE subject_id = ? AND state = 'running' AND step <> ?",
        (text, subject_id, text),
    )


def finish(tx: Tx, subject_id: str, generation: int, *, code: str = "", problem: str = "") -> None:
    """End what runs for this thing up to ``generation``: done, or failed with a problem."""
    tx.run(
        "UPDATE operation SET state = ?, step = ?, problem_code = ?, problem = ?, finished_at_ms = ? "
        "WHERE subject_id = ? AND state = 'running' AND generation <= ?",
        (
            "failed" if code else "done", "failed" if code else "done", code, problem, tx.at_ms, subject_id, generation,
        ),
    )  # fmt: skip
