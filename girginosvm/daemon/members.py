"""Keeps agreement as the rows of members say: this node's own row, and as leader everybody's place."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from girginosvm.core.action import Command
from girginosvm.core.entries import Change
from girginosvm.core.errors import Busy, Conflict
from girginosvm.core.log import Log
from girginosvm.daemon.membership import Membership
from girginosvm.daemon.place import Place
from girginosvm.features.lanes import Lanes
from girginosvm.features.membership import api, lead, plan, voters
from girginosvm.features.membership.authority import KeepAuthority
from girginosvm.features.membership.commands import DescribeMember
from girginosvm.features.node import api as nodes
from girginosvm.features.node.commands import ReportAway
from girginosvm.features.site import Read
from girginosvm.http.tls import Identity
from girginosvm.raft.client import Client
from girginosvm.raft.standing import Status, heard

# Rounds of 5 s: elections take less than one.
_SILENT_ROUNDS = 2
_OFFER_S = 5.0  # between two hand-overs to the same member, which did not take it
_GIVEN_S = 60.0  # so long the lead does not go back to the member that has given it


class MembersReconciler:
    """Woken by rows and by time: who leads changes without a row."""

    name = "membership"
    wakes_on = ("member", "member_gone", "node", "node_domain", "ca")
    resync_s = 2.0

    def __init__(
        self, membership: Membership, client: Client, identity: Identity, *, read: Read,
        say: Callable[[Command], Awaitable[object]], log: Log,
    ) -> None:  # fmt: skip
        self._membership = membership
        self._client = client
        self._identity = identity
        self._read = read
        self._say = say
        self._log = log
        self._silent = 0  # rounds without a leader
        self._offered: dict[str, float] = {}  # to whom the lead was to go, and when (the loop's time)
        self._led = (0, 0.0)  # the term that was seen last, and since when

    async def reconcile(self, lanes: Lanes) -> float | None:
        """One round: at most one change of members."""
        place = await self._membership.place()
        rows, gone, domains, kept = await self._read(
            lambda reader: (api.members(reader), api.gone(reader), nodes.domains(reader), bool(api.cas(reader)))
        )
        status = await self._client.status()
        if await self._alone_with_it(status):
            return 5.0
        await self._prefer(status, rows)
        await self._say_who_is_away(status)
        if place.member not in gone:  # it would be refused, and whoever leads while it is removed has to hand over
            await self._describe(place, rows)
        if not kept:
            await self._keep_authority()
        return await self._agree(place, rows, gone, domains)

    async def _alone_with_it(self, status: Status) -> bool:
        """Nobody leads that this node hears. After a while it asks the others' panels whether they have removed it."""
        heard = not status.members or status.role == "leader" or status.leader in status.reached
        self._silent = 0 if heard else self._silent + 1
        if self._silent >= _SILENT_ROUNDS:
            await self._membership.look_whether_removed()
        return bool(self._silent)

    async def _prefer(self, status: Status, rows: tuple[api.Row, ...]) -> None:
        """As an operator wants it, this node stands for election sooner or later."""
        wanted = lead.rank(rows, status.member)
        if status.members and status.rank != wanted:
            await self._client.prefer(wanted)

    async def _say_who_is_away(self, status: Status) -> None:
        """As leader: which nodes take no machines because nobody hears them."""
        if status.role != "leader" or not status.members:
            return
        known, told = await self._read(lambda reader: (nodes.domains(reader), nodes.away(reader)))
        for node in plan.changed_reach(known.keys(), told, {**status.silent_ms, status.member: 0}):
            await self._say(ReportAway(node=node, away=node not in told))

    async def _describe(self, place: Place, rows: tuple[api.Row, ...]) -> None:
        mine = next((row for row in rows if row.id == place.member), None)
        wanted = api.Row(
            place.member, place.name, place.raft, place.api, "member", self._membership.witness,
            bool(mine and mine.drained), mine.lead if mine else "",
        )  # fmt: skip
        if place.raft and mine != wanted:
            await self._say(
                DescribeMember(
                    member=place.member, name=place.name, address=place.raft, api=place.api, witness=wanted.witness
                )
            )

    async def _keep_authority(self) -> None:
        certificate, key = self._identity.authority()
        try:
            await self._say(KeepAuthority(certificate=certificate, key=key))
        except Conflict as kept:
            if kept.code != "authority-kept":
                raise

    async def _agree(
        self, place: Place, rows: tuple[api.Row, ...], gone: frozenset[str], domains: dict[str, str]
    ) -> float | None:
        status = await self._client.status()  # anew: what was said meanwhile may have taken long
        standing = plan.Standing(
            me=place.member, leading=status.role == "leader", members=frozenset(status.members),
            voters=frozenset(status.voters), reached=heard(status), nominated=frozenset(status.nominated),
            away=frozenset(one for one, silent_ms in status.silent_ms.items() if silent_ms >= voters.AWAY_MS),
            lag=status.lag, offered=self._not_now(status),
        )  # fmt: skip
        step = plan.plan(rows, gone, domains, standing)
        if step is None:
            return None
        try:
            await self._take(step, place)
        except (Busy, Conflict) as not_now:  # it lacks entries, or another change is under way
            self._log.debug("membership.step-waits", step=type(step).__name__, reason=not_now.detail)
            return 1.0
        self._log.info("membership.step", step=type(step).__name__, reason=step.reason)
        return 0.2  # the next step, once this one is seen

    def _not_now(self, status: Status) -> frozenset[str]:
        """Whoever has given the lead away has a reason (its agent is silent), and may give it away again."""
        now = asyncio.get_running_loop().time()
        if status.term != self._led[0]:
            self._led = (status.term, now)
        given = {status.lead_from} if now - self._led[1] < _GIVEN_S else set()
        return frozenset(given | {one for one, at in self._offered.items() if now - at < _OFFER_S})

    async def _take(self, step: plan.Step, place: Place) -> None:
        match step:
            case plan.Open():
                await self._client.turn("open", place.raft)
            case plan.Add(member, address):
                await self._client.change(Change("add", member, address))
            case voters.Nominate(member):
                await self._client.change(Change("nominate", member))
            case voters.Promote(member):
                await self._client.change(Change("promote", member))
            case voters.Demote(member):
                await self._client.change(Change("demote", member))
            case plan.Remove(member):
                await self._client.change(Change("remove", member))
            case plan.HandOver(member):
                self._offered[member] = asyncio.get_running_loop().time()
                await self._client.transfer(member)
