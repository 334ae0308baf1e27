"""Which address of a range is free. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Leased(msgspec.Struct, frozen=True):
    """What is leased between two addresses, both included. ``top``: the highest of them; None without any."""

    count: int
    top: int | None


def lowest_free(first: int, last: int, leased: Callable[[int, int], Leased]) -> int | None:
    """The lowest address from ``first`` to ``last`` that is not leased; None when all are.

    By counting: as many leases as addresses leave no gap. Machines come more often than they go, so there is mostly
    none below the highest lease; otherwise halves of halves find the lowest. SQLite counts leases several times faster
    than it looks for a neighbour of each.
    """
    found = leased(first, last)
    top = found.top
    if top is None:
        return first
    if found.count == top - first + 1:
        return top + 1 if top < last else None
    low, high = first, top  # somewhere between these is a gap
    while low < high:
        middle = (low + high) // 2
        if leased(low, middle).count == middle - low + 1:
            low = middle + 1
        else:
            high = middle
    return low
