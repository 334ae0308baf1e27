"""Lines to the other members, as a node sees them: the real ones (``transport``) and the simulator's are alike."""

from __future__ import annotations

from collections.abc import Set
from typing import Protocol

import msgspec

from girginosvm.raft.membership import Roster


class Up(msgspec.Struct, frozen=True):
    """The line to a member is up; who it is has been proved."""

    peer: str


class Down(msgspec.Struct, frozen=True):
    """The line is gone. ``reset``: its process is, too (a hint)."""

    peer: str
    reset: bool = False


class Heard(msgspec.Struct, frozen=True):
    """A frame came in."""

    peer: str
    data: bytes


Event = Up | Down | Heard


class Network(Protocol):
    """Lines to the other members: in order, or lost with the line."""

    def send(self, peer: str, frame: bytes) -> None:
        """Queue a frame; nothing when the line is down."""
        ...

    def set_members(self, roster: Roster, electable: Set[str], guests: Set[str] = frozenset()) -> None:
        """Whom to let in, and whom to reach (``mesh``) but for ``guests``; a line to anybody else is closed."""
        ...

    def drop(self, peer: str, reason: str) -> None:
        """Close the line."""
        ...
