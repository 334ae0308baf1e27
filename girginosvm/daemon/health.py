"""What a node says when it is asked how it is: gathered from the parts of its agent, a sentence for each problem."""

from __future__ import annotations

import os
from typing import Final

from girginosvm import __version__
from girginosvm.core.errors import Problem
from girginosvm.core.settings import Settings
from girginosvm.core.units import MIB, shown
from girginosvm.daemon.beginning import Beginning
from girginosvm.daemon.desk import Watch
from girginosvm.daemon.membership import Membership
from girginosvm.daemon.reconcile import Rounds
from girginosvm.features.node.queries import Health
from girginosvm.raft.client import Client

# What keeps the first words back, and is said by the raft process itself.
_SAID_ELSEWHERE: Final = ("", "halted", "database-behind")


class HealthCheck:
    """Of the node called ``name``."""

    def __init__(
        self, config: Settings, name: str, *, client: Client, watch: Watch, rounds: Rounds, membership: Membership,
        beginning: Beginning,
    ) -> None:  # fmt: skip
        self._config = config
        self._name = name
        self._client = client
        self._watch = watch
        self._rounds = rounds
        self._membership = membership
        self._beginning = beginning

    async def made(self) -> Health:
        """Also while the raft process is away: what the database says can still be read."""
        problems = self._rounds.unfinished() + full_places(self._config)
        if self._membership.notice:
            problems.insert(0, self._membership.notice)
        elif self._beginning.waits not in _SAID_ELSEWHERE:
            problems.append("this node has nobody to agree with: it shows what it knows, and changes nothing")
        index, halted = self._watch.index, ""
        try:
            status = await self._client.status()
        except Problem as away:
            problems.insert(0, away.detail)
        else:
            index, halted = status.applied_index, status.halted
            halts = halted and f"nothing is applied any more: {halted}"
            problems[:0] = filter(None, (halts, status.lacking, status.trouble))
        return Health(node=self._name, version=__version__, applied_index=index, halted=halted, problems=problems)


def full_places(config: Settings) -> list[str]:
    """A sentence for each directory of ours whose file system has less than 1 MiB, or no inode, left (statvfs(3))."""
    found = []
    for part in ("db", "raft", "pki", "images", "seeds", "serial"):
        path = config.path(part)
        if not path.is_dir():
            continue
        room = os.statvfs(path)
        if room.f_bavail * room.f_frsize < MIB:
            found.append(f"{path} is full: {shown(room.f_bavail * room.f_frsize)} are free")
        elif room.f_files and not room.f_favail:
            found.append(f"{path} is full: no inode is free")
    return found
