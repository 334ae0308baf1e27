"""Who wants to hear of applied entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec


class Change(msgspec.Struct, frozen=True):
    """An entry was applied; these tables changed."""

    index: int
    at_ms: int
    tables: tuple[str, ...]


class Listener(Protocol):
    """Called at once, in the order of the log; it holds nobody back."""

    def changed(self, change: Change) -> None:
        """An entry was applied."""
        ...

    def anew(self) -> None:
        """A snapshot took the place of entries: read everything anew."""
        ...

    def ended(self) -> None:
        """Nothing comes any more."""
        ...


class Listeners:
    """One event loop's."""

    def __init__(self) -> None:
        self._all: list[Listener] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell it from now on; answers what ends that."""
        self._all.append(listener)
        return lambda: self._forget(listener)

    def tell(self, change: Change) -> None:
        """To everybody."""
        for listener in list(self._all):
            listener.changed(change)

    def anew(self) -> None:
        """Everybody reads everything anew."""
        for listener in list(self._all):
            listener.anew()

    def end(self) -> None:
        """Nothing comes any more to those who listen now."""
        listeners, self._all = self._all, []
        for listener in listeners:
            listener.ended()

    def _forget(self, listener: Listener) -> None:
        self._all = [one for one in self._all if one is not listener]
