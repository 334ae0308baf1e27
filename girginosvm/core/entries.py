"""What agreement hands to memory: entries of the log, and what came of them."""

from __future__ import annotations

import msgspec


class Halt(Exception):
    """This node must not apply further; the sentence says why. Nothing of the entry stays."""


class Entry(msgspec.Struct, frozen=True):
    """One log entry: a batch of commands with the leader's stamp and the proposing node."""

    index: int
    term: int
    at_ms: int
    node: str
    commands: tuple[bytes, ...]


class Applied(msgspec.Struct, frozen=True):
    """What an entry did: an outcome per command, and the tables it changed."""

    outcomes: tuple[bytes, ...]
    tables: tuple[str, ...] = ()
