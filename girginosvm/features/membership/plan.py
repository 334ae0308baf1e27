"""What the members' agreement needs next so that it is as the rows say. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Literal

import msgspec

from girginosvm.features.membership import lead
from girginosvm.features.membership.api import Ca, Row, Trust
from girginosvm.features.membership.voters import Candidate, Choice, Demote, choose
from girginosvm.features.node.plan import AWAY_MS


class Open(msgspec.Struct, frozen=True):
    """A cluster of one begins to listen for others."""

    reason: str


class Add(msgspec.Struct, frozen=True):
    """Bring a member in as an observer."""

    member: str
    address: str
    reason: str


class Remove(msgspec.Struct, frozen=True):
    """Let a member go."""

    member: str
    reason: str


class HandOver(msgspec.Struct, frozen=True):
    """Let another voter lead: this one is to go, or the other one is preferred."""

    member: str
    reason: str


Step = Open | Add | Remove | HandOver | Choice


class Standing(msgspec.Struct, frozen=True):
    """How agreement stands, as this node sees it. ``members`` and ``voters`` are empty for a cluster of one. ``away``:
    who has been silent for so long that another should vote in its place. ``lag``: entries that a member is known to
    lack. ``offered``: to whom the lead was offered a moment ago, and who has given it away: it is not to go round in
    circles."""

    me: str
    leading: bool
    members: frozenset[str]
    voters: frozenset[str]
    reached: frozenset[str]
    nominated: frozenset[str] = frozenset()
    away: frozenset[str] = frozenset()
    lag: Mapping[str, int] = {}
    offered: frozenset[str] = frozenset()

    @property
    def voices(self) -> lead.Voices:
        """Who could lead."""
        return lead.Voices(self.me, self.voters, self.reached, self.lag)


def plan(rows: tuple[Row, ...], gone: Set[str], domains: Mapping[str, str], standing: Standing) -> Step | None:
    """The next step, or None. Only a leader changes who belongs to the cluster, one change at a time. ``domains``: the
    failure domain of each node that has one."""
    others = [row for row in rows if row.id != standing.me]
    if not standing.members:
        return Open(f"{others[0].name} is expected") if others else None
    if not standing.leading:
        return None
    for row in others:
        if row.id not in standing.members:
            return Add(row.id, row.address, f"{row.name} was let in")
    return (
        _parting(rows, gone, standing)
        or choose(_candidates(rows, gone, domains, standing), leader=standing.me)
        or _preferred(rows, gone, standing)
    )


def drained(rows: tuple[Row, ...]) -> dict[str, str]:
    """Who gives lead and vote away, by id, and its name. Nobody does once everybody else has gone: a vote that nobody
    can take would stay for ever with a member that was removed."""
    stays = any(row.state == "member" and not row.drained for row in rows)
    return {row.id: row.name for row in rows if row.drained and stays}


def _parting(rows: tuple[Row, ...], gone: Set[str], standing: Standing) -> Step | None:
    """Whoever is drained hands over its vote; whoever is gone, its place too."""
    going = drained(rows)
    heir = lead.heir(standing.voices, without=gone | going.keys(), rows=rows)
    for member in sorted(going.keys() & standing.voters):
        if not standing.voters - going.keys() - gone:
            break  # it keeps its vote until somebody else has one
        if member != standing.me and _decides_without(member, standing):
            return Demote(member, f"{going[member]} is drained")
        if member == standing.me and heir:
            return HandOver(heir, "this node is drained")
    for member in sorted(standing.members & gone):
        if member == standing.me:
            return HandOver(heir, "this node was removed") if heir else None
        if member not in standing.voters:
            return Remove(member, "it was removed")
        if _decides_without(member, standing):
            return Demote(member, "it was removed")
    return None


def _preferred(rows: tuple[Row, ...], gone: Set[str], standing: Standing) -> Step | None:
    """Another should lead, as an operator prefers it: after all that the members need."""
    found = lead.better(standing.voices, rows, without=gone | drained(rows).keys() | standing.offered)
    return HandOver(*found) if found else None


def _decides_without(member: str, standing: Standing) -> bool:
    """The voters that are left are a majority among themselves. If they were not, the cluster would stand still as soon
    as this vote is taken, and nobody could give it back: it is kept until others are here again, or gone, too."""
    return decide(standing.voters - {member}, standing.reached | {standing.me})


def decide(voters: Set[str], reached: Set[str]) -> bool:
    """Those who are reached are a majority of ``voters``."""
    return 2 * len(voters & reached) > len(voters)


def _candidates(
    rows: tuple[Row, ...], gone: Set[str], domains: Mapping[str, str], standing: Standing
) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(
            row.id, row.name, domains.get(row.id, ""), votes=row.id in standing.voters,
            nominated=row.id in standing.nominated, away=row.id in standing.away,
            ready=row.state == "member" and row.id in standing.reached | {standing.me},
        )
        for row in rows
        if row.id in standing.members and row.id not in gone and row.id not in drained(rows)
    )  # fmt: skip


def changed_reach(nodes: Set[str], told: Set[str], silent_ms: Mapping[str, int]) -> tuple[str, ...]:
    """Of these nodes, those of whom another thing was told than what the leader hears: ``told`` are said to be away."""
    return tuple(sorted(one for one in nodes if one in silent_ms and (silent_ms[one] >= AWAY_MS) != (one in told)))


def advance(cas: tuple[Ca, ...], trusts: tuple[Trust, ...]) -> tuple[int, Literal["used", "alone"]] | None:
    """How far the newest CA can go now: every member trusts it, so it may sign; none shows an older one, so those may
    go. None: somebody is not so far, or there is nothing to do."""
    if not cas:
        return None
    newest = cas[-1]
    if newest.phase == "offered":
        return (newest.generation, "used") if all(one.trusts >= newest.generation for one in trusts) else None
    if len(cas) > 1 and all(one.shows >= newest.generation for one in trusts):
        return newest.generation, "alone"
    return None
