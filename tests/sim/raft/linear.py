"""Is a history of one register linearizable? Wing and Gong's search with Lowe's memory of states already seen."""

from __future__ import annotations

from typing import Literal, NamedTuple

NEVER = 1 << 60


class Operation(NamedTuple):
    """``ended`` is NEVER when the outcome is unknown: it may take effect at any later time, or not at all."""

    began: int
    ended: int
    kind: Literal["write", "read"]
    value: str | None


def linearizable(history: list[Operation]) -> bool:
    """There is an order of all operations that each register read agrees with, and that respects real time."""
    history = sorted(history)
    needed = sum(1 << at for at, one in enumerate(history) if one.ended < NEVER)
    seen: set[tuple[int, str | None]] = set()
    stack: list[tuple[int, str | None]] = [(0, None)]
    while stack:
        done, value = stack.pop()
        if done & needed == needed:
            return True
        if (done, value) in seen:
            continue
        seen.add((done, value))
        first_end = min(one.ended for at, one in enumerate(history) if not done >> at & 1)
        for at, one in enumerate(history):
            if done >> at & 1:
                continue
            if one.began > first_end:
                break
            if one.kind == "write":
                stack.append((done | 1 << at, one.value))
            elif one.value == value:
                stack.append((done | 1 << at, value))
    return False
