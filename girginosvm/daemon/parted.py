"""Looks whether a member that is not heard was recovered without this node: then there are two clusters.

That is what a recovery's proof is there to prevent. If it happens all the same (the ones that were given up come back
together, and are a majority), nothing but people can say which one stays; so it is said, on every node of the old one.
"""

from __future__ import annotations

import asyncio
from typing import Final

from girginosvm.core.errors import Problem
from girginosvm.core.log import Log
from girginosvm.daemon.membership import Membership
from girginosvm.features.lanes import Lanes
from girginosvm.features.membership import api
from girginosvm.features.membership.commands import AskStanding
from girginosvm.features.node import api as nodes
from girginosvm.features.site import Read
from girginosvm.http import outward
from girginosvm.raft.client import Client

_ANSWER_S: Final = 2.0


class PartedReconciler:
    """By time only: what somebody else has become is in no row of ours."""

    name = "parted"
    wakes_on = ()
    resync_s = 10.0

    def __init__(self, membership: Membership, client: Client, *, read: Read, log: Log) -> None:
        self._membership = membership
        self._client = client
        self._read = read
        self._log = log

    async def reconcile(self, lanes: Lanes) -> float | None:
        """One round."""
        status = await self._client.status()
        apart = frozenset(status.unwatched)
        away = frozenset(status.members) - frozenset(status.reached) - apart - {status.member}
        if apart:  # whom this node does not look at, the leader does
            away |= apart & await self._read(nodes.away)
        if status.role != "leader" and status.leader not in status.reached:
            away = frozenset()  # without a leader this is no cluster; whether it was let go is asked elsewhere
        rows: tuple[api.Row, ...] = await self._read(api.members) if away else ()
        asked = [row for row in rows if row.id in away and row.api]
        told = await asyncio.gather(*(self._gave_up(row.api, status.member) for row in asked))
        parted = ", ".join(row.name for row, said in zip(asked, told, strict=True) if said)
        if parted and not self._membership.parted:
            self._log.error("membership.parted", told_by=parted)
        self._membership.parted = parted
        return None

    async def _gave_up(self, place: str, member: str) -> bool:
        """It says that its cluster was recovered without ``member``. It shows a CA that is not known here, so this is a
        hint for people, and no more."""
        path = f"{AskStanding.action.path}?member={member}"
        try:
            said = await outward.ask(
                f"https://{place}", "GET", path, dict[str, str], context=outward.unproved(), deadline_s=_ANSWER_S
            )
        except Problem:  # who is not reached has said nothing
            return False
        return said.get("recovered") == "yes"
