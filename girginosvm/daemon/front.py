"""The desk that answers at this node's doors: each request goes to the part that it is for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from girginosvm.daemon.contact import Contact
from girginosvm.daemon.desk import LocalDesk
from girginosvm.daemon.doctor import STREAMS as ABOUT_ITSELF
from girginosvm.daemon.doctor import Diagnostics
from girginosvm.daemon.membership import STREAMS, Membership
from girginosvm.daemon.signin import SignIn
from girginosvm.daemon.survivor import Survivor
from girginosvm.features.cluster.commands import RecoverCluster
from girginosvm.features.node.queries import Health, ShowHealth
from girginosvm.http.desk import Answer as Shown
from girginosvm.http.desk import Caller


class Desk(LocalDesk):
    """The whole desk: this node's executor and files, and sign-in."""

    signin: SignIn
    membership: Membership
    survivor: Survivor
    health: Callable[[], Awaitable[Health]]
    contact: Contact
    diagnostics: Diagnostics

    async def leader_age_ms(self) -> int | None:
        """See ``http.Desk.leader_age_ms``."""
        return await self.contact.age_ms()

    async def caller(self, token: str, address: str) -> Caller:
        """See ``http.Desk.caller``."""
        return await self.signin.caller(token, address)

    async def perform(self, stream: Any, caller: Caller) -> Shown:
        """See ``http.Desk.perform``."""
        if isinstance(stream, ShowHealth):
            return Shown(value=await self.health())
        if isinstance(stream, ABOUT_ITSELF):
            return await self.diagnostics.perform(stream, caller)
        if isinstance(stream, RecoverCluster):
            return await self.survivor.perform(stream, caller)
        if isinstance(stream, STREAMS):
            return await self.membership.perform(stream, caller)
        return await self.signin.perform(stream, caller)
