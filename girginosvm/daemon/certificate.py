"""Keeps the node's certificate good while it runs: new in time, and new when the host's names or addresses are."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime

from girginosvm.core.clock import Clock
from girginosvm.core.log import Log
from girginosvm.features.center import api as centers
from girginosvm.features.lanes import Lanes
from girginosvm.features.node import api as nodes
from girginosvm.features.site import Read
from girginosvm.http.tls import Identity


class CertificateReconciler:
    """The names are those that the node has reported, so a new address wakes it. Connections that are open keep the
    certificate they began with; new ones get the new one."""

    name = "certificate"
    wakes_on = ("node", "center")
    resync_s = 3600.0

    def __init__(
        self, identity: Identity, *, node: str, called: str, read: Read, clock: Clock,
        log: Log, own: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """``own``: further names that the node's settings give it."""
        self._own = own
        self._identity = identity
        self.context = identity.context()
        self._node = node
        self._called = called
        self._read = read
        self._clock = clock
        self._log = log

    async def reconcile(self, lanes: Lanes) -> float | None:
        """One round."""
        addresses, public = await self._read(
            lambda reader: (nodes.addresses(reader, self._node), centers.of_node(reader, self._node).host)
        )
        now = datetime.fromtimestamp(self._clock.wall_ms() / 1000, UTC)
        names = names_of(self._called, (*addresses, *self._own, *([public] if public else [])))
        if await asyncio.to_thread(self._identity.ensure, names, now=now):
            self.context = self._identity.context()
            self._log.info("certificate.renewed", names=names)
        return None

    def renewed(self) -> None:
        """What this node trusts has changed: connections from now on are judged by it."""
        self.context = self._identity.context()

    def shown(self) -> ssl.SSLContext:
        """For the next connection."""
        return self.context


def names_of(called: str, addresses: tuple[str, ...]) -> list[str]:
    """What the certificate is for: the node's name, the host's, its addresses."""
    return sorted({called, socket.gethostname(), *addresses})
