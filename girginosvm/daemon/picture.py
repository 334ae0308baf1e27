"""Members and agreement as one picture, for people. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from girginosvm.core import levels
from girginosvm.daemon.place import Place
from girginosvm.features.membership import api, lead, model
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


def membership_of(
    rows: tuple[api.Row, ...], standing: Status, place: Place, problems: list[str], releases: Releases, *, out: bool
) -> model.Membership:
    """Rows and agreement together; what is wrong is added to ``problems``. ``out``: the others have let this node go,
    and nobody who comes back changes that."""
    alone = not standing.voters
    voters = frozenset(standing.voters) or frozenset({place.member})
    reached = heard(standing) | {place.member}
    names = {row.id: row.name for row in rows}
    leader = place.member if alone and standing.role == "leader" else standing.leader
    leader = leader if leader in reached else ""  # the one that was; who leads now is not known here
    voters_reached = len(voters & reached)
    quorum = 2 * voters_reached > len(voters)
    if not quorum:
        problems.append(f"{voters_reached} of {len(voters)} voters are reached from here: nothing can be changed")
        if not out:
            problems.append(LAST_RESORT)
    elif not leader:
        problems.append("nobody leads at the moment: changes wait")
    problems += [
        f"{row.name} is drained, and votes on until the others decide without it" for row in rows
        if row.drained and row.id in voters
    ]  # fmt: skip
    runs = {one.id: one for one in releases.nodes}
    unsaid = levels.Node("", "", "", 0, 0)
    cut_off = standing.role == "unknown" or standing.leader_age_ms is None or standing.leader_age_ms >= AWAY_MS
    members = [
        model.Member(
            id=row.id, name=row.name, address=row.address, api=row.api, state=row.state,
            role="leader" if row.id == leader else "voter" if row.id in voters else "observer",
            reached=row.id == place.member or looked_at(row.id, standing),
            heard=is_heard(here=row.id == place.member, away=row.id in releases.silent, cut_off=cut_off),
            lag=_lag(row.id, standing, leads=leader == place.member), witness=row.witness,
            drained=row.drained, order=lead.order_of(row), here=row.id == place.member,
            release=runs.get(row.id, unsaid).release, level=runs.get(row.id, unsaid).level,
        )
        for row in rows
    ]  # fmt: skip
    return model.Membership(
        cluster=place.cluster, node=place.name, leader=names.get(leader, leader), term=standing.term,
        applied_index=standing.applied_index, last_index=standing.last_index, last_term=standing.last_term,
        voters=len(voters), voters_reached=voters_reached, quorum=quorum,
        level=releases.level,
        level_reason=levels.may_raise(
            releases.level, releases.nodes, voters, releases.at_ms, reached=frozenset(reached)
        ).reason,
        members=members, problems=problems,
    )  # fmt: skip


def _lag(member: str, standing: Status, *, leads: bool) -> int | None:
    return 0 if leads and member == standing.member else standing.lag.get(member)


def votes(member: str, standing: Status, place: Place) -> bool:
    """Whether a member's vote counts, as far as this node knows."""
    return member in standing.voters or (not standing.voters and member == place.member)
