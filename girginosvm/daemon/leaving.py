"""This node goes out of its cluster, which goes on without it: lead, place and vote are handed over first."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from girginosvm.core.access import Actor
from girginosvm.core.clock import Clock
from girginosvm.core.errors import Busy, Conflict, InUse, Missing, Unsafe
from girginosvm.core.log import Log
from girginosvm.core.settings import Settings
from girginosvm.daemon import turn
from girginosvm.daemon.identity import Member
from girginosvm.daemon.voice import Say
from girginosvm.features.membership import api, commands, lead, model, parting, plan
from girginosvm.features.node import api as nodes
from girginosvm.features.site import Read
from girginosvm.http.desk import Answer
from girginosvm.raft.client import Client
from girginosvm.raft.standing import Status, heard
from girginosvm.state.reader import Reader

_HAND_OVERS: Final = 25
_LOOK_S: Final = 0.2
_BACK: Final = "bring it back, or, if it is gone for good: girginosvm membership remove"


class Leaving:
    """``leave`` ends this life of the agent, so that the next begins as what lies prepared on the disk. ``removed``:
    the others have said that they let this node go, and nobody of them listens to it. It may hear of that while it
    waits for them."""

    def __init__(
        self, *, config: Settings, me: Member, client: Client, read: Read, say: Say, clock: Clock, log: Log,
        removed: Callable[[], bool], leave: Callable[[], None],
    ) -> None:  # fmt: skip
        self._config = config
        self._me = me
        self._client = client
        self._read = read
        self._say = say
        self._clock = clock
        self._log = log
        self._removed = removed
        self._leave = leave
        self._leaves = False

    async def leave(self, asked: commands.LeaveCluster, actor: Actor) -> Answer:
        """Busy ``leads-still``, ``votes-still``, ``leaving``: asked again it goes on from where it is."""
        rows, out = await self._read(
            lambda reader: (api.members(reader), check_leaving(reader, self._me.member, removed=self._removed()))
        )
        if not asked.confirm:
            raise Unsafe(
                "confirm-missing", "this node begins anew as a cluster of one; the cluster goes on without it",
                hint="--confirm",
            )  # fmt: skip
        if self._leaves:
            raise Busy("leaving", "this node is leaving already", retry_after_s=5)
        self._leaves = True
        try:
            return await self._left(rows, actor, out=out)
        except BaseException:
            self._leaves = False  # otherwise this life ends
            raise

    async def _left(self, rows: tuple[api.Row, ...], actor: Actor, *, out: bool) -> Answer:
        turn.check(self._config.path())
        if not out:
            needed = needed_by(await self._client.status(), rows)
            if needed:
                raise Busy("vote-needed", f"nothing was done: {needed}", hint=_BACK, retry_after_s=5)
            await self._hand_over(rows)
            await self._say_that_it_goes(actor)
        await self._until_it_votes_no_more(rows)
        archive = f"{self._me.cluster}-{self._clock.wall_ms()}"
        await asyncio.to_thread(turn.prepare, self._config.path(), {}, archive=archive)
        self._log.info("membership.leaves", cluster=self._me.cluster)
        asyncio.get_running_loop().call_later(0.3, self._leave)
        return Answer(value=model.Left(cluster=self._me.cluster, archive=str(self._config.path("archive", archive))))

    async def _hand_over(self, rows: tuple[api.Row, ...]) -> None:
        """Whoever leads does not go before another does. One to whom the lead comes back goes all the same: the other
        is leaving, too, and each would give it to the other for ever; the log says who goes first. Busy
        ``leads-still``: nobody has taken over in time."""
        stay, given_in = {row.id for row in rows} - plan.drained(rows).keys(), 0
        for _ in range(_HAND_OVERS):
            status = await self._client.status()
            if status.role != "leader" or given_in not in (0, status.term):
                return
            voices = lead.Voices(status.member, set(status.voters), heard(status), status.lag)
            heir = lead.heir(voices, without=voices.voters - stay, rows=rows)
            if heir:
                given_in = status.term
                await self._client.transfer(heir)
            await asyncio.sleep(_LOOK_S)
        raise Busy("leads-still", "this node leads, and no other voter has taken over", retry_after_s=2)

    async def _say_that_it_goes(self, actor: Actor) -> None:
        """Until that is known here. A node that stood still meanwhile may have no line any more to hear it on."""
        saying = asyncio.ensure_future(self._say(commands.RemoveMember(member=self._me.member), actor))
        try:
            while not (saying.done() or self._removed()):
                await asyncio.wait({saying}, timeout=_LOOK_S)
            if saying.done():
                with contextlib.suppress(Missing):  # somebody has removed it meanwhile
                    saying.result()
        finally:
            saying.cancel()

    async def _until_it_votes_no_more(self, rows: tuple[api.Row, ...]) -> None:
        """The others need this node's voice for as long as it votes, also to take its vote."""
        for _ in range(_HAND_OVERS * 2):
            status = await self._client.status()
            if self._removed() or self._me.member not in status.voters:
                return
            await asyncio.sleep(_LOOK_S)
        still, needed = "it is no member any more, and the others have not taken its vote yet", needed_by(status, rows)
        if needed:
            raise Busy("votes-still", f"{still}: {needed}", hint=_BACK, retry_after_s=5)
        raise Busy("votes-still", f"{still}: ask again", retry_after_s=2)


def needed_by(status: Status, rows: tuple[api.Row, ...]) -> str:
    """Why the others cannot do without this node's vote; empty when they can, or it has none. A majority of them has to
    be there, or they could not even take it."""
    left = frozenset(status.voters) - {status.member}
    if status.member not in status.voters or not left or plan.decide(left, heard(status)):
        return ""
    names = {row.id: row.name for row in rows}
    away = ", ".join(sorted(names.get(one, one) for one in left - heard(status)))
    return f"without this node's vote the others could decide nothing while they do not reach {away}"


def check_leaving(reader: Reader, member: str, *, removed: bool) -> bool:
    """Whether this node is out of the cluster already, so that nobody has to be asked; a problem when it may not leave:
    it is alone, or has machines."""
    out = removed or api.standing(reader, member) == "gone"
    if len(api.members(reader)) < 2 and not out:
        raise Conflict("alone", "this node is a cluster of one: there is nothing to leave")
    rows = api.members(reader)
    if not out and not any(row.id != member and row.id not in plan.drained(rows) for row in rows):
        names = ", ".join(row.name for row in rows if row.id != member)
        raise Unsafe(
            "last-member", f"nobody is left to take this node's vote: drained are {names}",
            hint="girginosvm membership undrain, for one that stays",
        )  # fmt: skip
    vms = nodes.machines_on(reader, member)
    if vms and not out:
        raise InUse(
            "node-has-machines",
            f"{parting.counted(vms)} on this node: {parting.named(vms)}",
            hint="destroy them first",
        )
    return out
