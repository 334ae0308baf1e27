"""The desk that answers at this node's doors: each request goes to the part that it is for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from girginosvm.core.clock import Chance, Clock
from girginosvm.daemon.contact import Contact
from girginosvm.daemon.desk import LocalDesk, Watch
from girginosvm.daemon.doctor import STREAMS as ABOUT_ITSELF
from girginosvm.daemon.doctor import Diagnostics
from girginosvm.daemon.execute import Executor
from girginosvm.daemon.health import HealthCheck
from girginosvm.daemon.membership import STREAMS, Membership
from girginosvm.daemon.signin import SignIn
from girginosvm.daemon.survivor import Survivor
from girginosvm.features.cluster.commands import RecoverCluster
from girginosvm.features.node.queries import ShowHealth
from girginosvm.features.site import Site
from girginosvm.http.desk import Answer as Shown
from girginosvm.http.desk import Caller


class Desk(LocalDesk):
    """The whole desk: this node's executor and files, and a part for each stream."""

    def __init__(
        self, executor: Executor, site: Site, watch: Watch, clock: Clock, chance: Chance, *,
        barrier: Callable[[], Awaitable[None]], cluster: str, contact: Contact, signin: SignIn, membership: Membership,
        survivor: Survivor, diagnostics: Diagnostics, health: HealthCheck,
    ) -> None:  # fmt: skip
        super().__init__(executor, site, watch, clock, chance, barrier=barrier)
        self.cluster = cluster
        self.membership = membership
        self._contact = contact
        self._signin = signin
        self._survivor = survivor
        self._diagnostics = diagnostics
        self._health = health

    async def leader_age_ms(self) -> int | None:
        """See ``http.Desk.leader_age_ms``."""
        return await self._contact.age_ms()

    async def caller(self, token: str, address: str) -> Caller:
        """See ``http.Desk.caller``."""
        return await self._signin.caller(token, address)

    async def perform(self, stream: Any, caller: Caller, *, key: str, why: str) -> Shown:
        """See ``http.Desk.perform``."""
        if isinstance(stream, ShowHealth):
            return Shown(value=await self._health.made())
        if isinstance(stream, ABOUT_ITSELF):
            return await self._diagnostics.perform(stream, caller)
        if isinstance(stream, RecoverCluster):
            return await self._survivor.perform(stream, caller)
        if isinstance(stream, STREAMS):
            return await self.membership.perform(stream, caller, key=key, why=why)
        return await self._signin.perform(stream, caller, key=key, why=why)
