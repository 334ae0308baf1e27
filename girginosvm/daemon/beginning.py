"""A node's first words into the log: the cluster is founded once, its first administrator gets a password, and the mark
of its key stands there. They are said anew until somebody takes them, however long the others are away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from girginosvm.core.errors import Busy, Conflict, NoQuorum, Unknown
from girginosvm.core.log import Log
from girginosvm.core.settings import Settings
from girginosvm.daemon import durable
from girginosvm.daemon.membership import Membership
from girginosvm.daemon.signin import SignIn
from girginosvm.daemon.voice import Say
from girginosvm.features.auth.api import Account, account
from girginosvm.features.cluster.commands import FoundCluster, RecordKeyMark
from girginosvm.features.site import Read

FIRST_ADMIN: Final = "admin@local"
_PAUSE_S: Final = 0.2
_PAUSE_MOST_S: Final = 5.0


class Beginning:
    """``waits``: the code of the problem that the first words wait for; empty once they were said."""

    def __init__(self, config: Settings, signin: SignIn, membership: Membership, *, read: Read, say: Say, log: Log):
        self._config = config
        self._signin = signin
        self._membership = membership
        self._read = read
        self._say = say
        self._log = log
        self.waits = ""
        signin.chosen = self._chosen

    async def said(self, mark: str) -> None:
        """Once somebody has taken them. ``mark``: that of the cluster key, when the log has none."""
        pause_s = _PAUSE_S
        while True:
            try:
                await self._found()
                if mark:
                    await self._say(RecordKeyMark(mark=mark))
            except (NoQuorum, Busy, Unknown) as away:
                if away.code != self.waits:
                    self._log.warning("agent.waits", code=away.code, detail=away.detail)
                if self.waits:  # not the first time: was this node let go while it was away?
                    await self._membership.look_whether_removed()
                self.waits = away.code
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _PAUSE_MOST_S)
            else:
                self.waits = ""
                return

    async def _found(self) -> None:
        pool = self._config.path("storage").relative_to(self._config.root)
        try:
            founding = FoundCluster(
                pool_path=f"/{pool}", reserve_percent=self._config.reserve_pool_percent,
                event_days=self._config.event_days, operation_days=self._config.operation_days,
            )  # fmt: skip
            await self._say(founding)
            self._log.info("cluster.founded")
        except Conflict as known:
            if known.code != "founded":
                raise
        once = self._first_password
        if await self._signin.first_administrator(FIRST_ADMIN, lambda password: _kept(once, password)):
            self._log.info("auth.first-administrator", email=FIRST_ADMIN, password_file=str(once))
        elif once.exists():  # the node died between the change and the unlink
            first: Account | None = await self._read(lambda reader: account(reader, FIRST_ADMIN))
            if first is not None and not first.must_change:
                self._chosen(FIRST_ADMIN)
        token = self._config.token or self._config.advertise_panel_token
        if token:
            await self._signin.cluster_token(token)

    @property
    def _first_password(self) -> Path:
        return self._config.path("pki", "first-password")

    def _chosen(self, email: str) -> None:
        """The first administrator has a password of their own: the one-time password is good for nothing now."""
        if email == FIRST_ADMIN:
            self._first_password.unlink(missing_ok=True)


def _kept(path: Path, password: str) -> str:
    """The password in the file at ``path`` (0600), which an earlier life of this process may have written already."""
    if path.exists():
        return path.read_text(encoding="utf-8").strip()
    durable.replace(path, f"{password}\n".encode(), point="first-password.rename")
    return password
