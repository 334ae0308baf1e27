"""What a node says of its own health: gathered here, judged by the diagnostics room."""

from __future__ import annotations

from typing import Final

from girginosvm.core import access
from girginosvm.core.action import Stream
from girginosvm.core.errors import Unauthenticated
from girginosvm.core.settings import Settings
from girginosvm.daemon import quorum
from girginosvm.daemon.membership import Membership
from girginosvm.features.diagnostics import queries
from girginosvm.http.desk import Answer, Caller

STREAMS: Final = (queries.ShowQuorum,)


class Diagnostics:
    """The desk's part for diagnostics."""

    def __init__(self, config: Settings, membership: Membership) -> None:
        self._config = config
        self._membership = membership

    async def perform(self, stream: Stream, caller: Caller) -> Answer:
        """See ``Desk.perform``; for the requests in ``STREAMS``."""
        if caller.actor is None:
            raise Unauthenticated("sign-in-needed", "this needs a bearer token")
        access.check(caller.actor, stream.action.permission)
        machines = not (self._config.witness or self._config.fake_host)
        shown = await quorum.look(self._membership, libvirt_uri=self._config.libvirt_uri if machines else "")
        return Answer(value=shown, index=shown.applied_index)
