"""What goes with a node, said beforehand: rows and agreement as this node sees both. Changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Set
from typing import Any

from girginosvm.core.errors import Problem
from girginosvm.daemon.host import check_gone_for_good
from girginosvm.daemon.leaving import check_leaving
from girginosvm.features.membership import api, parting
from girginosvm.features.node import api as nodes
from girginosvm.features.node.plan import AWAY_MS, is_heard
from girginosvm.features.site import Read
from girginosvm.raft.standing import Status, heard
from girginosvm.state.reader import Reader

Seen = Callable[[], Awaitable[tuple[Any, tuple[api.Row, ...], Status | Problem]]]


class Partings:
    """``seen`` answers this node's place, the members' rows, and how agreement stands."""

    def __init__(self, *, read: Read, seen: Seen) -> None:
        self._read = read
        self._seen = seen

    async def of_removal(self, asked: parting.ForeseeRemoval) -> parting.Parting:
        """What ``RemoveMember`` of it would take along, and why it would be refused."""

        def check(reader: Reader, cut_off: bool) -> None:
            parting.removable(reader, asked.member, lost=asked.lost)
            if asked.lost:
                check_gone_for_good(reader, asked.member, cut_off=cut_off)

        return await self._of(asked.member, check)

    async def of_leaving(self, member: str, *, removed: bool) -> parting.Parting:
        """The same of this node, which leaves. ``removed``: the others have let it go already."""
        return await self._of(member, lambda reader, _: check_leaving(reader, member, removed=removed))

    async def _of(self, member: str, check: Callable[[Reader, bool], Any]) -> parting.Parting:
        place, rows, standing = await self._seen()
        names, alone = {row.id: row.name for row in rows}, _hears_nobody(standing)

        def fetch(reader: Reader) -> parting.Parting:
            away = nodes.away(reader)
            voice = voice_of(place.member, names, standing, away=away)
            # Whom a recovery left out is in no row of members, and nobody looks for it.
            heard = is_heard(here=member == place.member, away=member in away or member not in names, cut_off=alone)
            name, lost = (
                names.get(member) or nodes.name_of(reader, member),
                parting.lost_with(reader, member, heard=heard),
            )
            return parting.Parting(
                member=member, name=name, refused=parting.refusal(lambda: check(reader, alone)),
                vote=parting.vote_of(name, voice), keys=parting.keys_after(names, member, voice), center=lost.center,
                disks=lost.disks, images=lost.images, machines=lost.machines,
            )  # fmt: skip

        found: parting.Parting = await self._read(fetch)
        return found


def _hears_nobody(standing: Status | Problem) -> bool:
    """No leader was heard for so long that whom the database calls away is an old word."""
    age_ms = None if isinstance(standing, Problem) else standing.leader_age_ms
    return age_ms is None or age_ms >= AWAY_MS


def voice_of(
    here: str, names: dict[str, str], standing: Status | Problem, *, away: Set[str] = frozenset()
) -> parting.Voice:
    """Who votes and is reached, by name. Where the raft process does not say it, nobody is known to vote. ``away``:
    whom the leader does not reach, for those at whom this node does not look. Pure."""
    if isinstance(standing, Problem):
        return parting.Voice(frozenset(), frozenset({names.get(here, here)}))
    voters = standing.voters or (here,)
    return parting.Voice(
        frozenset(names.get(one, one) for one in voters),
        frozenset(names.get(one, one) for one in heard(standing) | {here} | (set(standing.unwatched) - away)),
    )
