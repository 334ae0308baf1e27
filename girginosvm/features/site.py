"""What a reconciler stands on: one node's hands, its eyes on the database, and its voice into the log."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from girginosvm.core.action import Command
from girginosvm.core.clock import Clock
from girginosvm.core.log import Log
from girginosvm.core.peers import Nobody, Peers
from girginosvm.core.settings import Settings
from girginosvm.hypervisor.ports import Host
from girginosvm.state.reader import Reader

# A look at the database, in one snapshot of it: the answer of the function that is given a reader.
Read = Callable[[Callable[[Reader], Any]], Awaitable[Any]]


class Site:
    """Constructor arguments of every reconciler. ``say`` proposes a report; ``unseal`` opens a sealed field; ``wake``
    has another room look again; ``peers`` are the other nodes."""

    def __init__(
        self,
        *,
        node: str,
        settings: Settings,
        host: Host,
        read: Read,
        say: Callable[[Command], Awaitable[object]],
        unseal: Callable[[str], str],
        clock: Clock,
        log: Log,
        progress: dict[str, int],
        wake: Callable[[str], None] = lambda room: None,
        peers: Peers | None = None,
    ) -> None:
        self.node = node
        self.settings = settings
        self.host = host
        self.read = read
        self.say = say
        self.unseal = unseal
        self.clock = clock
        self.log = log
        # Percent of running work by subject id: local, never replicated.
        self.progress = progress
        # What one room changed on the host may be what another waits for, and no table tells it.
        self.wake = wake
        self.peers: Peers = peers or Nobody()

    def image_path(self, name: str) -> Path:
        """A file of the image store."""
        return self.settings.path("images", name)

    def seed_path(self, vm: str) -> Path:
        """A machine's seed."""
        return self.settings.path("seeds", f"{vm}.iso")

    def serial_log(self, vm: str) -> Path:
        """What a machine's serial port said."""
        return self.settings.path("serial", f"{vm}.log")

    def pool_path(self, path: str) -> str:
        """A pool's or volume's path, under the root in labs."""
        return os.path.join(self.settings.root, path.lstrip("/"))
