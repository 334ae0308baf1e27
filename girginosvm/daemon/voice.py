"""A node's voice: what it reports is numbered, so that an older word that arrives late never overwrites a newer one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from girginosvm.core.action import Command

# Reports of one life of the process. One that makes more is past the next life's first number only by entries that the
# log already has, so numbers never go back.
_LIFE_BITS: Final = 20
# A command into the log, in this node's name; with an actor behind it, in somebody's.
Say = Callable[..., Awaitable[Any]]


class Voice:
    """Numbers reports by the log index at which this process began to speak and a counter: a restart goes on above
    what was said before, whatever the clock says, because each life begins with an entry of its own."""

    def __init__(self, say: Callable[[Command], Awaitable[object]]) -> None:
        self._say = say
        self._number = 0

    def begin(self, applied_index: int) -> None:
        """From here on; ``applied_index`` is beyond an entry that this process has written."""
        self._number = applied_index << _LIFE_BITS

    async def say(self, command: Command) -> object:
        """Propose; what has a ``sequence`` gets the next one, in the order of the calls."""
        if "sequence" in command.__struct_fields__:
            self._number += 1
            command = msgspec.structs.replace(command, sequence=self._number)
        return await self._say(command)
