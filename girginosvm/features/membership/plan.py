"""What the members' agreement needs next so that it is as the rows say. Pure."""

from __future__ import annotations

from collections.abc import Set
from typing import Literal

import msgspec

from girginosvm.features.membership.api import Ca, Row, Trust


class Open(msgspec.Struct, frozen=True):
    """A cluster of one begins to listen for others."""

    reason: str


class Add(msgspec.Struct, frozen=True):
    """Bring a member in as an observer; whether it votes is agreement's own choice."""

    member: str
    address: str
    reason: str


class Demote(msgspec.Struct, frozen=True):
    """Take a vote."""

    member: str
    reason: str


class Remove(msgspec.Struct, frozen=True):
    """Let a member go."""

    member: str
    reason: str


class HandOver(msgspec.Struct, frozen=True):
    """Let another voter lead: this one is to go."""

    member: str
    reason: str


Step = Open | Add | Demote | Remove | HandOver


class Standing(msgspec.Struct, frozen=True):
    """How agreement stands, as this node sees it. ``members`` and ``voters`` are empty for a cluster of one."""

    me: str
    leading: bool
    members: frozenset[str]
    voters: frozenset[str]
    reached: frozenset[str]


def plan(rows: tuple[Row, ...], gone: Set[str], standing: Standing) -> Step | None:
    """The next step, or None. Only a leader changes who belongs to the cluster, one change at a time."""
    others = [row for row in rows if row.id != standing.me]
    if not standing.members:
        return Open(f"{others[0].name} is expected") if others else None
    if not standing.leading:
        return None
    for row in others:
        if row.id not in standing.members:
            return Add(row.id, row.address, f"{row.name} was let in")
    drained = {row.id: row.name for row in rows if row.drained}
    heirs = sorted((standing.voters & standing.reached) - gone - drained.keys() - {standing.me})
    for member in sorted(drained.keys() & standing.voters):
        if len(standing.voters) == 1:
            break  # it keeps its vote until somebody else has one
        if member == standing.me:
            return HandOver(heirs[0], "this node is drained") if heirs else None
        return Demote(member, f"{drained[member]} is drained")
    for member in sorted(standing.members & gone):
        if member == standing.me:
            return HandOver(heirs[0], "this node was removed") if heirs else None
        if member in standing.voters:
            return Demote(member, "it was removed")
        return Remove(member, "it was removed")
    return None


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
