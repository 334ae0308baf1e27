"""Who belongs to the cluster, and who of them votes. Rosters are values; a change makes a new one.

Everybody joins as a learner: it gets the log and is counted nowhere. A learner that has caught up is nominated, then
promoted: a majority of the old voters then knows that it may ask for their votes, also those of them whom the second
change has not reached when the leader dies.

One change at a time, and only after a leader has committed something of its own term: then every two rosters that can
be in force at once share a majority (Raft thesis, section 4.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final

import msgspec

from girginosvm.core.entries import Change
from girginosvm.core.places import is_place

CAUGHT_UP_ENTRIES: Final = 200


class Member(msgspec.Struct, frozen=True):
    """One node. ``address``: IP and port it listens on."""

    id: str
    address: str
    voter: bool
    nominated: bool = False


class Roster(msgspec.Struct, frozen=True):
    """All members, in the order of their ids."""

    members: tuple[Member, ...]

    @property
    def voters(self) -> frozenset[str]:
        """Whose votes and acknowledgements count."""
        return frozenset(member.id for member in self.members if member.voter)

    @property
    def electable(self) -> frozenset[str]:
        """Who may lead: voters, and those who may have become one without our knowing."""
        return frozenset(member.id for member in self.members if member.voter or member.nominated)

    @property
    def ids(self) -> frozenset[str]:
        """Everybody."""
        return frozenset(member.id for member in self.members)

    def after(self, change: Change) -> Roster:
        """With ``change`` in force; the same where it changes nothing (a log may be read from before its roster)."""
        found = {member.id: member for member in self.members}
        match change.kind:
            case "add":
                found.setdefault(change.member, Member(change.member, change.address, voter=False))
            case "nominate" | "promote" | "demote" if change.member in found:
                found[change.member] = msgspec.structs.replace(
                    found[change.member], voter=change.kind == "promote", nominated=change.kind == "nominate"
                )
            case "remove":
                found.pop(change.member, None)
            case "survive":
                found = {change.member: Member(change.member, change.address, voter=True)}
        return Roster(tuple(found[one] for one in sorted(found)))

    def objection(self, change: Change, *, leader: str, behind: Mapping[str, int]) -> str:
        """Why a leader should not make this change, or nothing. ``behind``: entries that each reached learner lacks."""
        known = next((member for member in self.members if member.id == change.member), None)
        if change.kind == "survive":
            return "no leader is asked for that"
        if change.kind == "add":
            if change.address and not is_place(change.address):  # a simulated host listens nowhere
                return f"{change.address} is no IP address and port"
            return "it is a member already" if known else ""
        if known is None:
            return "it is no member"
        if change.kind in ("nominate", "promote"):
            if known.voter:
                return "it votes already"
            if known.nominated != (change.kind == "promote"):
                return "it is nominated already" if known.nominated else "nominate it first"
            lacks = behind.get(known.id)
            if lacks is None:
                return "it is not reached"
            return f"it lacks {lacks} entries" if lacks > CAUGHT_UP_ENTRIES else ""
        if change.member == leader:
            return "it leads: hand over first"
        if change.kind == "demote":
            return "" if known.voter else "it does not vote"
        return "it votes: demote it first" if known.voter else ""


def founded(members: Mapping[str, str], voters: Set[str]) -> Roster:
    """A roster from ids and addresses."""
    return Roster(tuple(Member(one, members[one], one in voters) for one in sorted(members)))
