"""The node-to-node port: what one node asks of another, beside what goes through the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NoReturn, Protocol

import msgspec

from girginosvm.core.access import Actor
from girginosvm.core.errors import Busy


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asks to see, as the node that was asked hands it to the one it is about. The first has found out
    who asks; the other one decides what they may. ``path`` carries the query."""

    actor: Actor
    path: str


class Peers(Protocol):
    """Other members, by their ids. Busy ``node-unreachable``, HostFault ``node-strange``, or the problem that the other
    node answers."""

    async def fetch_image(self, node: str, image: str, into: Path, offset: int, came: Callable[[int], None]) -> None:
        """Append to ``into`` the bytes of the image from ``offset`` on, as ``node`` has them; ``came`` is told how many
        are there now. What has come stays when the rest does not."""
        ...

    def forward(self, node: str, call: Call) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """What ``node`` answers to a person, piece by piece as it comes, while the block lasts."""
        ...


class Nobody:
    """A node that knows no other."""

    async def fetch_image(self, node: str, image: str, into: Path, offset: int, came: Callable[[int], None]) -> None:
        """See ``Peers``."""
        self._refuse(node)

    def forward(self, node: str, call: Call) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """See ``Peers``."""
        self._refuse(node)

    def _refuse(self, node: str) -> NoReturn:
        raise Busy("node-unreachable", f"node {node} is not known here", retry_after_s=2)
