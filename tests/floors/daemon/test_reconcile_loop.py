"""A room's loop, in virtual time."""

import asyncio
import contextlib

from girginosvm.core.log import Log
from girginosvm.daemon.reconcile import Loop
from girginosvm.features.lanes import Lanes
from tests.sim.world import SimLoop


class Slow:
    """A room whose round takes 100 ms, in which something changes every time."""

    name = "slow"
    wakes_on = ("vm",)
    resync_s = 30.0

    def __init__(self) -> None:
        self.rounds: list[float] = []

    async def reconcile(self, lanes: Lanes) -> None:
        self.rounds.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.1)


def rounds(changes: list[float], until: float) -> list[float]:
    """When the room looked, if its table changed at these times."""
    virtual, room = SimLoop(), Slow()

    async def life() -> None:
        loop = Loop(room, Log(level="error"))
        for at in changes:
            virtual.call_at(at, loop.changed, ("vm",))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(until):
                await loop.run()

    virtual.run_until_complete(life())
    virtual.close()
    return [round(at, 3) for at in room.rounds]


def test_in_a_burst_of_changes_half_of_the_time_is_the_others() -> None:
    assert rounds([0.01 * number for number in range(1, 90)], until=0.95) == [0.0, 0.2, 0.4, 0.6, 0.8]


def test_a_change_after_a_quiet_time_is_looked_at_at_once() -> None:
    assert rounds([0.5], until=1.0) == [0.0, 0.5]
