"""The last resort: one survivor goes on alone, when the majority of the voters is gone for good. Pure.

Raft cannot tell a majority that burnt from one behind a cut cable, so a person says which it is, and is held to what
can be checked: nobody who is named as gone is heard, every voter is either heard or named, and no survivor has a longer
log. What is then lost is what the voters acknowledged among themselves without this node: with ``v`` voters a write is
on ``v // 2 + 1`` of them, so as long as fewer than that are given up, one of the survivors has it, and so does the
longest log (Raft paper, section 5.4.1).

The survivor becomes the only voter and the only member; everybody else comes back under another id. Its term leaves
room for those that the others may have had without it, so that no two entries of the two histories share their place.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final

import msgspec

from girginosvm.core.entries import Change
from girginosvm.raft.journal import Base
from girginosvm.raft.membership import Roster

TERMS: Final = 1000


class Wish(msgspec.Struct, frozen=True):
    """What a person wants, as the raft process is asked for it. ``gone``: ids. The rest is kept in the history:
    ``words`` are the proof, ``names`` belong to the ids, ``actor`` is who asked, encoded."""

    gone: tuple[str, ...]
    names: tuple[tuple[str, str], ...]
    words: str
    actor: bytes


class Sight(msgspec.Struct, frozen=True):
    """What this node sees of agreement. ``voters`` by the newest roster in its log, committed or not; ``electable``
    also those who vote, or may have come to, by the one before it."""

    member: str
    voters: frozenset[str]
    electable: frozenset[str]
    members: frozenset[str]
    reached: frozenset[str]
    last: Base
    halted: str = ""
    led: bool = True  # a leader was heard a moment ago

    @property
    def voters_reached(self) -> frozenset[str]:
        """This node's own vote with them."""
        return self.voters & (self.reached | {self.member})

    @property
    def majority(self) -> int:
        """So many voters have each write that was acknowledged."""
        return len(self.voters) // 2 + 1


class Refusal(msgspec.Struct, frozen=True):
    """This node does not go on alone, and what to do instead."""

    code: str
    reason: str
    hint: str = ""


class Recovery(msgspec.Struct, frozen=True):
    """This node may go on alone: who is given up for good, who is there and has to come back under another id, and
    whether each write that was acknowledged is here for sure."""

    gone: tuple[str, ...]
    rejoin: tuple[str, ...]
    whole: bool


def decide(
    at: Sight, gone: Set[str], logs: Mapping[str, Base | None] | None, names: Mapping[str, str],
    going: Set[str] = frozenset(),
) -> Recovery | Refusal:  # fmt: skip
    """May ``at.member`` go on without ``gone``? ``logs``: how far the log of each survivor reaches that is heard, None
    for one that does not say; no mapping at all: that was looked at before. ``going``: survivors that say they are
    told to go on alone themselves."""
    if at.halted:
        return Refusal("recover-halted", f"this node has stopped ({at.halted}): it cannot lead a cluster")
    if at.member not in at.members | at.voters or at.last.index == 0:
        return Refusal(
            "recover-no-log", "this node has no log of the cluster: there is nothing on it to recover from",
            "recover on a node that was a member",
        )  # fmt: skip
    if len(at.voters_reached) >= at.majority:
        return _needless(at)
    return (
        _unproved(at, gone, gone & (at.reached | frozenset(logs or ())), names)
        or _at_once(going, names)
        or _elsewhere(at, logs, names)
        or Recovery(
            tuple(sorted(gone)), tuple(sorted((at.members | at.voters) - gone - {at.member})),
            len(at.voters - at.voters_reached) < at.majority,
        )
    )  # fmt: skip


def _unproved(at: Sight, gone: Set[str], heard: Set[str], names: Mapping[str, str]) -> Refusal | None:
    """Whoever is named has to be gone, and whoever votes named or there. ``heard``: of those who are named."""
    if at.member in gone:
        return Refusal("recover-itself", "this node cannot be given up: it is the one that is to go on")
    if heard:
        return Refusal(
            "recover-answers", f"{_called(heard, names)} answers: nobody who is there is gone for good",
            "switch it off for good first, or mend what keeps it from the others",
        )  # fmt: skip
    open_ones = at.electable - gone - at.reached - {at.member}
    if open_ones:
        return Refusal(
            "recover-unaccounted",
            f"{_called(open_ones, names)} votes, is not reached, and is not named as gone: it may go on without this "
            "node",
            "find out what became of it; when it is gone for good, name it with --without, too",
        )  # fmt: skip
    return None


def _at_once(going: Set[str], names: Mapping[str, str]) -> Refusal | None:
    """Two that go on alone do not see each other do it."""
    if not going:
        return None
    return Refusal(
        "recover-elsewhere",
        f"{_called(going, names)} is told to go on alone at this moment, too: that makes two clusters",
        "say it to one of them only, in half a minute; the others join that one",
    )


def _called(members: Set[str], names: Mapping[str, str]) -> str:
    return ", ".join(sorted(names.get(one, one) for one in members))


def _needless(at: Sight) -> Refusal:
    connected = f"{len(at.voters_reached)} of {len(at.voters)} voters are connected"
    if at.led:
        return Refusal(
            "recover-needless", f"{connected}: the cluster can decide by itself",
            "girginosvm membership remove NODE lets one go that is gone for good",
        )  # fmt: skip
    return Refusal(
        "recover-needless", f"{connected}, and nobody leads: a host that stands still keeps its line",
        "girginosvm quorum on those nodes: if somebody leads there, this node is behind, and follows again once a node "
        "that it knows leads (girginosvm membership lead); else end the raft process that says nothing, and ask again",
    )  # fmt: skip


def _elsewhere(at: Sight, logs: Mapping[str, Base | None] | None, names: Mapping[str, str]) -> Refusal | None:
    """Another survivor has more, or may have."""
    mine = (at.last.term, at.last.index)
    for one, last in sorted((logs or {}).items()):
        name = names.get(one, one)
        if last is None:
            return Refusal(
                "recover-unheard", f"{name} is there and does not say how far its log reaches: it may have more",
                f"look at {name}: girginosvm health",
            )  # fmt: skip
        if (last.term, last.index) > mine:
            return Refusal(
                "recover-elsewhere",
                f"{name} has a longer log (entry {last.index} of term {last.term}) than this node (entry {mine[1]} of "
                f"term {mine[0]})",
                f"recover on {name}",
            )  # fmt: skip
    return None


def survival(roster: Roster, member: str) -> Change:
    """The change of members, as the log carries it: whoever reads the log later, a newcomer above all, meets the old
    members in it, and has to learn that they are none any more."""
    return Change("survive", member, next(one.address for one in roster.members if one.id == member))


def term_after(vote_term: int, last_term: int) -> int:
    """The term in which the survivor goes on."""
    return max(vote_term, last_term) + TERMS
