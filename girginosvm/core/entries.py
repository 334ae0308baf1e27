"""What agreement hands to memory: entries of the log, and what came of them."""

from __future__ import annotations

from typing import Literal

import msgspec


class Halt(Exception):
    """This node must not apply further; the sentence says why. Nothing of the entry stays."""


class Beyond(Halt):
    """It is of a newer release; after an upgrade this node goes on with it."""


class Unfit(Exception):
    """A snapshot that is none of this state machine's; nothing was changed."""


class Place(msgspec.Struct, frozen=True):
    """Where a state machine stands: the last entry in it, and that entry's stamp."""

    index: int
    term: int
    at_ms: int


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """A change of who belongs to the cluster, as the log carries it. ``add`` brings a learner, ``remove`` lets one go;
    ``nominate`` says that it is to vote soon, ``promote`` makes a voter of it, ``demote`` a learner again. ``address``
    comes with ``add``. ``survive``: it is the only member from here on (``raft.recovery``)."""

    kind: Literal["add", "nominate", "promote", "demote", "remove", "survive"]
    member: str
    address: str = ""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One log entry: a batch of commands with the leader's stamp and the proposing node.

    ``number`` is the proposing node's own for the batch, by which it knows it again when it is applied. An entry
    without commands (a new leader's first, a ``change``) only advances the index.
    """

    index: int
    term: int
    at_ms: int
    node: str
    commands: tuple[bytes, ...]
    number: int = 0
    change: Change | None = None


class Applied(msgspec.Struct, frozen=True):
    """What an entry did: an outcome per command, and the tables it changed."""

    outcomes: tuple[bytes, ...]
    tables: tuple[str, ...] = ()
