"""Who wants to hear of applied entries."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Change(msgspec.Struct, frozen=True):
    """An entry was applied; these tables changed."""

    index: int
    at_ms: int
    tables: tuple[str, ...]


# Called for each change, at once; with None when nothing comes any more: read everything anew, or this node stops.
Told = Callable[[Change | None], None]


class Listeners:
    """One event loop's. Nobody holds back the one who tells."""

    def __init__(self) -> None:
        self._told: dict[int, Told] = {}
        self._count = 0

    def listen(self, told: Told) -> Callable[[], None]:
        """Hear of changes from now on; answers what ends it."""
        self._count += 1
        number = self._count
        self._told[number] = told
        return lambda: self._forget(number)

    def tell(self, change: Change) -> None:
        """To everybody."""
        for told in list(self._told.values()):
            told(change)

    def end(self) -> None:
        """To those who listen now, that nothing comes any more."""
        told, self._told = self._told, {}
        for one in told.values():
            one(None)

    def _forget(self, number: int) -> None:
        self._told.pop(number, None)
