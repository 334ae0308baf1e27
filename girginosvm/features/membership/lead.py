"""Who should lead: what an operator prefers, and to whom a leader gives the lead that goes. Pure.

A preference never forbids: whoever leads last still leads when nobody else can.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Set
from typing import Final, Literal

import msgspec

from girginosvm.features.membership.api import Row

Lead = Literal["first", "any", "last"]
_RANKS: Final[Mapping[str, int]] = {"first": 0, "any": 1, "last": 2}
_NEAR: Final = 1_000  # entries: so few are sent while the hand-over waits


class Voices(msgspec.Struct, frozen=True):
    """Who votes and is reached, as member ``me`` sees it. ``lag``: entries that a member is known to lack."""

    me: str
    voters: Set[str]
    reached: Set[str]
    lag: Mapping[str, int] = {}

    @property
    def others(self) -> Set[str]:
        """Who could lead in this member's place."""
        return (self.voters & self.reached) - {self.me}

    def behind(self, member: str) -> int:
        """Entries that it lacks; more than any when nobody knows."""
        return self.lag.get(member, sys.maxsize)


def order_of(row: Row) -> Lead:
    """What an operator said; a witness of whom nothing was said leads last, since it is the smallest host."""
    return row.lead or ("last" if row.witness else "any")


def rank(rows: tuple[Row, ...], member: str) -> int:
    """0: it stands for election at once, 2: after the others. Where nobody is to lead first, any is as good as the
    first."""
    orders = {row.id: order_of(row) for row in rows}
    own = _RANKS[orders.get(member, "any")]
    return 0 if own == 1 and "first" not in orders.values() else own


def heir(voices: Voices, *, without: Set[str] = frozenset(), rows: tuple[Row, ...] = ()) -> str:
    """Who leads when ``me`` gives the lead away: of the voters reached whoever is preferred, then whoever lacks least.
    ``without``: who is to go, too. "" when there is nobody."""
    return min(
        sorted(voices.others - without), key=lambda one: (rank(rows, one), voices.behind(one)), default=""
    )  # fmt: skip


def better(voices: Voices, rows: tuple[Row, ...], *, without: Set[str] = frozenset()) -> tuple[str, str] | None:
    """A voter that should rather lead than ``me``, which leads now, and why."""
    one = heir(voices, without=without, rows=rows)
    if not one or rank(rows, one) >= rank(rows, voices.me) or voices.behind(one) > _NEAR:
        return None
    names, orders = {row.id: row.name for row in rows}, {row.id: order_of(row) for row in rows}
    if orders[one] == "first":
        return one, f"{names[one]} is to lead first"
    return one, f"{names[voices.me]} is to lead last"
