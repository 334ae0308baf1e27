"""Goes along with the cluster's CAs and keys: takes in what is offered, shows what is used, lets go of what is old.

A node that was removed knows the CA's key and the cluster key of its time. So once it is out of reach of the log, the
leader offers new ones. The CA is offered until every member trusts it, then signs for all of them, and the older ones
are trusted until nobody shows their certificates any more. A member that is away holds that up, and keeps its way back.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

from girginosvm.core.action import Command
from girginosvm.core.errors import Conflict, Stale
from girginosvm.core.log import Log
from girginosvm.daemon.certificate import CertificateReconciler
from girginosvm.daemon.secrets import ClusterKey
from girginosvm.features.lanes import Lanes
from girginosvm.features.membership import api, plan
from girginosvm.features.membership.authority import AdvanceAuthority, OfferAuthority, ReportTrust
from girginosvm.features.site import Read
from girginosvm.http.tls import Identity, new_authority
from girginosvm.raft.standing import Status


class TrustReconciler:
    """``status`` says whether this node leads: one proposes what all are ready for, and the log looks once more."""

    name = "trust"
    wakes_on = ("ca", "member", "member_gone", "member_trust")
    resync_s = 30.0

    def __init__(
        self, identity: Identity, keeper: CertificateReconciler, key: ClusterKey, key_file: Path, *, node: str,
        read: Read, say: Callable[[Command], Awaitable[object]], status: Callable[[], Awaitable[Status]], log: Log,
    ) -> None:  # fmt: skip
        self._identity = identity
        self._keeper = keeper
        self._key = key
        self._key_file = key_file
        self._node = node
        self._read = read
        self._say = say
        self._status = status
        self._log = log
        self._stale = False  # what this node shows and accepts is not yet what it has taken in

    async def reconcile(self, lanes: Lanes) -> float | None:
        """One round."""
        cas, trusts, gone, owed = await self._read(
            lambda reader: (api.cas(reader), api.trusts(reader), api.gone(reader), api.owes_new_keys(reader))
        )
        used = next((ca for ca in cas if ca.phase == "used"), None)
        if used is None:
            return None
        self._stale |= await asyncio.to_thread(self._take_in, cas, used)
        if self._stale:  # also in the round after one that found the disk full half-way
            self._log.info("trust.changed", used=used.generation, trusted=[ca.generation for ca in cas])
            await self._keeper.reconcile(lanes)
            self._keeper.renewed()
            self._stale = False
        await self._report(cas, trusts)
        step = plan.advance(cas, trusts)
        if not owed and step is None:
            return None
        status = await self._status()
        if status.role == "leader":
            await self._lead(owed and not gone & set(status.members), step)
        return 1.0  # who is in reach of the log changes without a row

    async def _lead(self, offer: bool, step: tuple[int, Literal["used", "alone"]] | None) -> None:
        try:
            if offer:  # before anything else: until then somebody outside has keys that open
                await self._say(await asyncio.to_thread(self._offer))
            elif step is not None:
                await self._say(AdvanceAuthority(generation=step[0], phase=step[1]))
        except (Conflict, Stale) as passed:
            if passed.code not in ("authority-passed", "authority-awaited"):
                raise

    def _offer(self) -> OfferAuthority:
        certificate, private = new_authority()
        ring = self._key.with_new()
        fresh = base64.b64encode(ring.keys[0]).decode()
        return OfferAuthority(certificate=certificate, ca_key=ring.seal(private), cluster_key=self._key.seal(fresh))

    def _take_in(self, cas: tuple[api.Ca, ...], used: api.Ca) -> bool:
        """Keys first, since the CA's own key is sealed with the one that came with it. Answers whether what this node
        trusts or signs with is new."""
        for ca in cas:
            if ca.sealed_cluster_key and self._key.add(
                base64.b64decode(self._key.unseal(ca.sealed_cluster_key)), self._key_file
            ):
                self._log.info("trust.key-added", generation=ca.generation)
        others = [ca.certificate for ca in reversed(cas) if ca is not used]
        return self._identity.adopt(self._key.unseal(used.sealed_key), [used.certificate, *others])

    async def _report(self, cas: tuple[api.Ca, ...], trusts: tuple[api.Trust, ...]) -> None:
        mine = next((one for one in trusts if one.member == self._node), None)
        if mine is None:  # no row of its own yet, or none any more
            return
        issuer = (await asyncio.to_thread(self._identity.issuer)).decode().strip()
        shows = next((ca.generation for ca in cas if ca.certificate.strip() == issuer), 0)
        if (mine.trusts, mine.shows) != (cas[-1].generation, shows):
            await self._say(ReportTrust(member=self._node, trusts=cas[-1].generation, shows=shows))
