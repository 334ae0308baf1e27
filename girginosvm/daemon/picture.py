"""Members and agreement as one picture, for people. Pure."""

from __future__ import annotations

from collections.abc import Set
from typing import Final

import msgspec

from girginosvm.core import levels
from girginosvm.daemon.place import Place
from girginosvm.daemon.quorum import Seen, leader_of, says_no, voices
from girginosvm.features.membership import lead, model
from girginosvm.features.node import api as nodes
from girginosvm.features.node.plan import AWAY_MS, is_heard
from girginosvm.raft.standing import Status, heard, looked_at
from girginosvm.state.reader import Reader

LAST_RESORT: Final = (
    "it goes on by itself when enough of them are back; if they are gone for good, `girginosvm cluster recover` on "
    "this node shows what can be saved"
)


class Releases(msgspec.Struct, frozen=True):
    """Which release each node runs, the active feature level, and who is silent, as of a moment of log time."""

    level: int
    nodes: tuple[levels.Node, ...]
    at_ms: int
    silent: frozenset[str] = frozenset()

    @classmethod
    def of(cls, reader: Reader) -> Releases:
        """As this node's database has it."""
        return cls(reader.level, nodes.releases(reader), reader.at_ms, nodes.unheard(reader))


def membership_of(seen: Seen, releases: Releases, *, out: bool) -> model.Membership:
    """Rows and agreement together, and what is wrong. ``out``: the others have let this node go, and nobody who comes
    back changes that."""
    place, standing = seen.place, _standing(seen)
    counted, leader, stands = voices(seen.status, place.member), leader_of(seen.status, place.member), says_no(seen)
    voters, reached = counted.voters, heard(standing) | {place.member}
    names = {row.id: row.name for row in seen.rows}
    raised = levels.may_raise(releases.level, releases.nodes, voters, releases.at_ms, reached=frozenset(reached))
    return model.Membership(
        cluster=place.cluster, node=place.name, leader=names.get(leader, leader), term=standing.term,
        applied_index=standing.applied_index, last_index=standing.last_index, last_term=standing.last_term,
        voters=len(voters), voters_reached=len(counted.here), quorum=not stands, level=releases.level,
        level_reason=raised.reason, level_said=raised.said, members=_members(seen, releases, leader, voters),
        problems=_problems(seen, voters, few=counted.spare < 0, out=out),
    )  # fmt: skip


def _standing(seen: Seen) -> Status:
    """What the raft process says; nothing, when it is away."""
    return seen.status or Status(seen.place.member, 0, 0, 0, 0, 0, "", 0, role="unknown")


def _problems(seen: Seen, voters: Set[str], *, few: bool, out: bool) -> list[str]:
    """``few``: no majority of the voters is reached."""
    stands = says_no(seen)
    problems = [seen.notice] if seen.notice else []
    if stands and stands.text != seen.notice:
        problems.append(stands.text)
    if stands and few and voters and not out:
        problems.append(LAST_RESORT)
    return problems + [
        f"{row.name} is drained, and votes on until the others decide without it" for row in seen.rows
        if row.drained and row.id in voters
    ]  # fmt: skip


def _members(seen: Seen, releases: Releases, leader: str, voters: Set[str]) -> list[model.Member]:
    standing, here = _standing(seen), seen.place.member
    runs = {one.id: one for one in releases.nodes}
    unsaid = levels.Node("", "", "", 0, 0)
    cut_off = standing.role == "unknown" or standing.leader_age_ms is None or standing.leader_age_ms >= AWAY_MS
    return [
        model.Member(
            id=row.id, name=row.name, address=row.address, api=row.api, state=row.state,
            role="leader" if row.id == leader else "voter" if row.id in voters else "observer",
            reached=row.id == here or looked_at(row.id, standing),
            heard=is_heard(here=row.id == here, away=row.id in releases.silent, cut_off=cut_off),
            lag=_lag(row.id, standing, leads=leader == here), witness=row.witness, drained=row.drained,
            order=lead.order_of(row), here=row.id == here,
            release=runs.get(row.id, unsaid).release, level=runs.get(row.id, unsaid).level,
        )
        for row in seen.rows
    ]  # fmt: skip


def _lag(member: str, standing: Status, *, leads: bool) -> int | None:
    return 0 if leads and member == standing.member else standing.lag.get(member)


def votes(member: str, standing: Status, place: Place) -> bool:
    """Whether a member's vote counts, as far as this node knows."""
    return member in standing.voters or (not standing.voters and member == place.member)
