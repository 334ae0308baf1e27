"""Opens and closes the center's port of this node, as its row says."""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable

from girginosvm.core.action import Command
from girginosvm.core.log import Log
from girginosvm.features.center import api
from girginosvm.features.center.commands import ReportCenter
from girginosvm.features.lanes import Lanes
from girginosvm.features.site import Read
from girginosvm.http.door import Door


class CenterReconciler:
    """The same application as on the node's own port: a center holds nothing that another node does not have."""

    name = "center"
    wakes_on = ("center",)
    resync_s = 30.0

    def __init__(
        self, door: Door, context: Callable[[], ssl.SSLContext], *, node: str, read: Read,
        say: Callable[[Command], Awaitable[object]], log: Log,
    ) -> None:  # fmt: skip
        self._door = door
        self._context = context
        self._node = node
        self._read = read
        self._say = say
        self._log = log
        self._open: tuple[str, int] | None = None  # as wanted, and the port that it came to

    async def reconcile(self, lanes: Lanes) -> float | None:
        """One round; a port that is taken is tried again."""
        wanted: api.Wanted = await self._read(lambda reader: api.of_node(reader, self._node))
        problem = ""
        if self._open is not None and self._open[0] != wanted.bind:
            self._door.shut(self._open[1])
            self._log.info("center.closed", bind=self._open[0])
            self._open = None
        if wanted.bind and self._open is None:
            problem = await self._listen(wanted.bind)
        serves = self._open[0] if self._open is not None else ""
        if (wanted.said_bind, wanted.said_problem) != (serves, problem):
            await self._say(ReportCenter(node=self._node, bind=serves, problem=problem))
        return 5.0 if problem else None

    async def _listen(self, bind: str) -> str:
        host, _, port = bind.rpartition(":")
        try:
            opened = await self._door.tcp(host.strip("[]"), int(port), self._context)
        except (OSError, OverflowError) as fault:
            words = os.strerror(fault.errno) if isinstance(fault, OSError) and fault.errno else str(fault)
            self._log.warning("center.port-refused", bind=bind, fault=words)
            return f"cannot listen on {bind}: {words}"
        self._open = (bind, opened)
        self._log.info("center.opened", bind=bind)
        return ""
