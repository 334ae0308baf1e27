"""Who holds a line to whom, who of the two dials, and which line stays when both did. Pure; time is an argument.

A line is of use when somebody who may lead is at one end. All that members say to each other is said to, or by, a
leader or a candidate: entries, votes, proposals, reads, snapshots. So voters, and those who are nominated, have a line
to everybody, and two other members have none: with v voters and n members v(v-1)/2 + v(n-v) lines, not n(n-1)/2.

The two ends may know different rosters: a change reaches them at different times, and one may have been away. Hence

* who is a member is let in, whatever this end thinks of its role;
* each end dials if *it* finds the line of use, one of the two at once, the other only when nothing has come for a
  while. So a line that either end needs comes about, though the other does not know yet what for;
* only the end that dialled a line ends it as useless. Otherwise one end would close what the other opens, for ever.

Who is nominated counts as a voter: it may have become one without our knowing (``Roster.electable``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Set
from typing import Final, Literal

LATE_MS: Final = 1000  # without a line for so long, the one who should only be dialled dials, too
REDIAL_MS: Final = 100
REDIAL_MOST_MS: Final = 1000  # to a member that lets nothing be said: it may not know us yet
_NEVER: Final = 1 << 62


def useful(one: str, other: str, electable: Set[str]) -> bool:
    """One of the two may lead."""
    return one in electable or other in electable


def turn(me: str, peer: str, electable: Set[str]) -> Literal["first", "late", "never"]:
    """Does ``me`` dial ``peer``? An observer looks for the voters: whoever starts finds them at once, and a leader does
    not spend its time on sixty that are away. Of equals the greater id does."""
    if not useful(me, peer, electable):
        return "never"
    if (me in electable) == (peer in electable):
        return "first" if me > peer else "late"
    return "first" if peer in electable else "late"


def replaces(me: str, peer: str, *, old_dialled: bool, new_dialled: bool) -> bool:
    """A second line to ``peer`` is up: does it take the first one's place? (``dialled``: by ``me``.) One that was
    dialled again by the same end does: the first is dead, and this end has not heard of it yet. When each end has
    dialled, the one of the greater id stays; both ends know that, whatever else they know."""
    return old_dialled == new_dialled or new_dialled == (me > peer)


class Mesh:
    """One member's part: whom it dials when, and which of its lines are of no use. Whoever holds the lines says when
    one is ``up``, and when a line, or a try, is over (``lost``)."""

    def __init__(self, member: str) -> None:
        self.members: frozenset[str] = frozenset()  # whom to let in
        self._member = member
        self._electable: frozenset[str] = frozenset()
        self._guests: frozenset[str] = frozenset()
        self._due: dict[str, int] = {}  # when to dial whom; nobody to whom there is a line, or a try
        self._tried: dict[str, int] = {}
        self._pause: dict[str, int] = {}  # what it grew to, for whoever lets nothing be said
        self._next = _NEVER  # the least of what is due

    def set_members(
        self, members: Collection[str], electable: Set[str], busy: Collection[str], now_ms: int,
        guests: Set[str] = frozenset(),
    ) -> None:  # fmt: skip
        """Who belongs to the cluster, and who of them may lead. ``busy``: to whom there is a line, or a try;
        ``guests``: who is let in on another's word, and is not dialled, since nobody knows where that leads."""
        before = {peer: turn(self._member, peer, self._electable) for peer in self._due}
        self.members, self._electable = frozenset(members) - {self._member}, frozenset(electable)
        self._guests = frozenset(guests)
        for memory in (self._due, self._tried, self._pause):
            for peer in [peer for peer in memory if peer not in self.members]:
                del memory[peer]
        for peer in sorted(self.members.difference(busy)):
            if peer in self._guests or before.get(peer) != turn(self._member, peer, self._electable):
                self._await(peer, now_ms)
        self._next = min(self._due.values(), default=_NEVER)

    @property
    def watched(self) -> frozenset[str]:
        """To whom this member should have a line."""
        return frozenset(peer for peer in self.members if useful(self._member, peer, self._electable))

    def useless(self, dialled: Iterable[str]) -> list[str]:
        """Of those whom this member has dialled: to whom the line ends."""
        return sorted(peer for peer in dialled if not useful(self._member, peer, self._electable))

    def dial(self, now_ms: int) -> list[str]:
        """Whom to dial now: each until it is ``up``, or ``lost``."""
        if now_ms < self._next:
            return []
        found = sorted(peer for peer, due_ms in self._due.items() if due_ms <= now_ms)
        for peer in found:
            del self._due[peer]
            self._tried[peer] = now_ms
            if peer in self._pause:
                self._pause[peer] = min(2 * self._pause[peer], REDIAL_MOST_MS)
        self._next = min(self._due.values(), default=_NEVER)
        return found

    def up(self, peer: str) -> None:
        """There is a line."""
        self._due.pop(peer, None)

    def heard(self, peer: str) -> None:
        """A first frame came over it."""
        self._pause.pop(peer, None)

    def lost(self, peer: str, now_ms: int, *, mute: bool = False) -> None:
        """The line is gone, or the try has failed. ``mute``: the member let this one in, and let nothing be said."""
        if peer in self.members:
            if mute:
                self._pause.setdefault(peer, REDIAL_MS)
            self._await(peer, now_ms)
            self._next = min(self._next, self._due.get(peer, _NEVER))

    def _await(self, peer: str, now_ms: int) -> None:
        turned = "never" if peer in self._guests else turn(self._member, peer, self._electable)
        self._due.pop(peer, None)
        if turned == "late":
            self._due[peer] = now_ms + LATE_MS
        elif turned == "first":
            pause_ms = self._pause.get(peer, REDIAL_MS)
            self._due[peer] = max(now_ms, self._tried.get(peer, now_ms - pause_ms) + pause_ms)
