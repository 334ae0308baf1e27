"""A room's manifest: its nouns, actions, tables and resolvers. The registry is the list of rooms, written out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from girginosvm.core import levels
from girginosvm.core.action import Command, Query, Request, Stream


class Migration(msgspec.Struct, frozen=True):
    """One append-only step of a room's tables. Never changed once released; a golden checksum freezes it. ``level``:
    the feature level that it belongs to; it runs when the cluster goes there."""

    number: int
    sql: str
    level: int = 1


class Manifest(msgspec.Struct, frozen=True):
    """What a room offers. ``nouns`` maps each public noun to a resolver ``(reader, text) -> id | None``."""

    name: str
    nouns: dict[str, Callable[[Any, str], str | None]] = {}
    actions: tuple[type[Request], ...] = ()
    migrations: tuple[Migration, ...] = ()


class Registry:
    """All rooms, looked up by what other floors need: command by log name, resolver by noun, actions in order.
    ``level`` is the highest feature level that this release supports. TypeError when something in it needs more."""

    def __init__(self, rooms: Iterable[Manifest], *, level: int = levels.SUPPORTED) -> None:
        self.level = level
        self.rooms: tuple[Manifest, ...] = tuple(rooms)
        self.actions: tuple[type[Request], ...] = tuple(kind for room in self.rooms for kind in room.actions)
        self.commands: dict[str, type[Command]] = _unique(self.actions, Command)
        self.queries: dict[str, type[Query]] = _unique(self.actions, Query)
        self.streams: dict[str, type[Stream]] = _unique(self.actions, Stream)
        self.resolvers: dict[str, Callable[[Any, str], str | None]] = {
            noun: resolver for room in self.rooms for noun, resolver in room.nouns.items()
        }
        found = [fault for kind in self.commands.values() for fault in levels.faults(kind, level)]
        found += [fault for room in self.rooms for fault in _of_steps(room, level)]
        if found:
            raise TypeError("; ".join(found))


def _of_steps(room: Manifest, supported: int) -> list[str]:
    """Steps run in the order of their numbers, so their levels only ever grow, too."""
    needs = [step.level for step in room.migrations]
    found = [] if needs == sorted(needs) else [f"{room.name}: the levels of migrations only ever grow"]
    return found + [
        f"migration {room.name}.{step.number} needs level {step.level}, this release has {supported}"
        for step in room.migrations
        if not 1 <= step.level <= supported
    ]


def _unique(actions: tuple[type[Request], ...], root: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in actions:
        if issubclass(kind, root):
            if kind.__name__ in found:
                raise TypeError(f"two actions are named {kind.__name__}")
            found[kind.__name__] = kind
    return found
