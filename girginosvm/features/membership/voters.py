"""Which members vote: how many, which, and what changes next. Pure.

1, 2, 3 or 5. Two lose nothing when one is lost, and stop; an even number above that needs more of them for every write
and survives no more losses than the odd number below it, so it never outlasts the change that made it. From three on
two therefore come at a time: the second is there when the first is made a voter. Whoever votes is spread over failure
domains, and one that has been away for long gives its vote to one that is here, but never so that fewer than three are
left: with fewer, what they acknowledged may be nowhere else.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

MOST_VOTERS: Final = 5
AWAY_MS: Final = 10 * 60_000
_FEWEST_AFTER_A_LOSS: Final = 3


class Candidate(msgspec.Struct, frozen=True):
    """A member that may vote. ``domain``: what it shares its failures with, "" when nobody knows. ``ready``: it is
    reached and has the log, so it could vote at once. ``away``: it has been silent for ``AWAY_MS``."""

    id: str
    name: str
    domain: str = ""
    votes: bool = False
    nominated: bool = False
    ready: bool = True
    away: bool = False

    @property
    def room(self) -> str:
        """What fails together with it; itself alone when nobody knows more."""
        return f"domain {self.domain}" if self.domain else f"node {self.id}"


class Nominate(msgspec.Struct, frozen=True):
    """Say that a member is to vote soon."""

    member: str
    reason: str


class Promote(msgspec.Struct, frozen=True):
    """Make a nominated member a voter."""

    member: str
    reason: str


class Demote(msgspec.Struct, frozen=True):
    """Take a vote."""

    member: str
    reason: str


Choice = Nominate | Promote | Demote


def wanted_voters(members: int) -> int:
    """How many of so many members vote: 1, 2, 3 or 5."""
    if members <= 2:
        return members
    return min(MOST_VOTERS, members if members % 2 else members - 1)


def choose(candidates: tuple[Candidate, ...], *, leader: str) -> Choice | None:
    """What a leader changes next, or None. ``candidates`` are the members that are to stay; the leader keeps its
    vote."""
    here = [one for one in candidates if not one.away]
    voters = [one for one in here if one.votes]
    ready = [one for one in here if one.ready and not one.votes]
    wanted = wanted_voters(len(here))
    rooms = Counter(one.room for one in voters)
    missing = wanted - len(voters)
    if missing > 0 and len(ready) >= (1 if len(voters) < 3 or len(voters) % 2 == 0 else 2):
        return _raise(ready, rooms, f"{wanted} of {len(here)} members are to vote, and {len(voters)} do")
    lost = [one for one in candidates if one.away and one.votes]
    if lost and len(voters) >= max(_FEWEST_AFTER_A_LOSS, wanted):
        away_min = AWAY_MS // 60_000
        return Demote(lost[0].id, f"{lost[0].name} has been away for {away_min} minutes; {len(voters)} others vote")
    spare = [one for one in voters if one.id != leader]
    if missing < 0 or (len(voters) > 2 and len(voters) % 2 == 0):
        last = max(spare, key=lambda one: (not one.ready, rooms[one.room], one.id))
        return Demote(last.id, f"{len(voters)} vote, and {min(wanted, len(voters) - 1)} are enough")
    return _spread(spare, ready, rooms)


def _raise(ready: list[Candidate], rooms: Counter[str], reason: str) -> Choice:
    """The next one up: whoever is nominated, else whoever shares its failures with the fewest voters."""
    best = min(ready, key=lambda one: (not one.nominated, rooms[one.room], one.id))
    return Promote(best.id, reason) if best.nominated else Nominate(best.id, reason)


def _spread(spare: list[Candidate], ready: list[Candidate], rooms: Counter[str]) -> Choice | None:
    """Another member in the place of one whose domain has at least two voters more; the surplus goes next."""
    crowded = max((rooms[one.room] for one in spare), default=0)
    better = [one for one in ready if rooms[one.room] + 2 <= crowded]
    if not better:
        return None
    fullest = next(one for one in spare if rooms[one.room] == crowded)
    return _raise(better, rooms, f"{crowded} voters share {fullest.room}")
