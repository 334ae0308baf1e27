"""A member whose database lacks what its log no longer has: the file was lost, or put back from an older copy.

Its promises are whole: term, vote and each entry that it acknowledged are in the journal, and what the journal let go
of was committed and applied. So it votes and acknowledges as always, and cannot apply before it has a snapshot. It asks
for one, member after member, since the leader may be itself, or be in the same distress.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import Final

from girginosvm.core.units import shown
from girginosvm.raft.membership import Roster
from girginosvm.raft.messages import AskSnapshot, Body, Offer

ASK_MS: Final = 1000  # between two questions to one member: it may be making a snapshot meanwhile
PATIENCE_MS: Final = 15_000  # with one member, before the next is asked


def order(roster: Roster, up: Set[str], leader: str) -> list[str]:
    """Whom to ask, of those that are reached: the leader, which is furthest; then voters, then whoever follows."""
    return sorted(roster.ids & up, key=lambda one: (one != leader, one not in roster.voters, one))


def sentence(database: int, first: int, peer: str, offer: Offer | None, got: int) -> str:
    """What is wrong, and what is done about it."""
    lost = f"the database stands at entry {database}, and the journal begins at {first}"
    if offer is None:
        return f"{lost}: " + (f"a snapshot was asked for of {peer}" if peer else "no other member is reached")
    return f"{lost}: a snapshot is fetched from {peer}, {shown(got)} of {shown(offer.snapshot.size)}"


class Asking:
    """Whom this member asks for a snapshot; ``peer`` is the only one whose offer is taken then."""

    def __init__(self, say: Callable[[str, Body], None]) -> None:
        self._say = say
        self._since_ms = self._asked_ms = 0
        self.peer = ""

    def turn(self, after: int, others: Sequence[str], now_ms: int, *, waits: bool) -> None:
        """Ask again what is due for asking. ``waits``: no snapshot is on its way; it has to hold the entry ``after``
        or a later one."""
        if self.peer not in others or now_ms - self._since_ms >= PATIENCE_MS:
            self._next(others, now_ms)
        if not waits:
            self._since_ms = now_ms
        elif self.peer and now_ms - self._asked_ms >= ASK_MS:
            self._asked_ms = now_ms
            self._say(self.peer, AskSnapshot(after))

    def _next(self, others: Sequence[str], now_ms: int) -> None:
        at = others.index(self.peer) + 1 if self.peer in others else 0
        self.peer = others[at % len(others)] if others else ""
        self._since_ms, self._asked_ms = now_ms, now_ms - ASK_MS
