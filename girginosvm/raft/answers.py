"""From a call that is answered later to something to await."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from girginosvm.core.errors import Problem
from girginosvm.raft.proposals import Answer


async def answered(ask: Callable[[Answer], None]) -> bytes:
    """The bytes that ``ask``'s argument is called with; a problem is raised."""
    future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def answer(outcome: bytes | Problem) -> None:
        if future.done():  # whoever waited has gone
            return
        if isinstance(outcome, Problem):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    ask(answer)
    return await future
