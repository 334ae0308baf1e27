"""A room's loop, in virtual time."""

import asyncio
import contextlib

from girginosvm.core.log import Log
from girginosvm.daemon.reconcile import Loop
from girginosvm.features.lanes import Lanes
from tests.sim.world import SimLoop


class Slow:
    """A room whose round takes a while, in which something changes every time."""

    name = "slow"
    wakes_on = ("vm",)
    resync_s = 30.0

    def __init__(self, takes: float) -> None:
        self.takes = takes
        self.rounds: list[float] = []

    async def reconcile(self, lanes: Lanes) -> None:
        self.rounds.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes)


def rounds(changes: list[float], until: float, takes: float = 0.1) -> list[float]:
    """When the room looked, if its table changed at these times."""
    virtual, room = SimLoop(), Slow(takes)

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


def test_in_a_burst_of_changes_three_quarters_of_the_time_are_the_others() -> None:
    busy = [0.01 * number for number in range(1, 90)]
    assert rounds(busy, until=0.9, takes=0.04) == [0.0, 0.16, 0.32, 0.48, 0.64, 0.8]


def test_after_a_long_look_the_next_one_waits_for_a_quarter_of_a_second_at_most() -> None:
    assert rounds([0.01 * number for number in range(1, 140)], until=1.5, takes=0.25) == [0.0, 0.5, 1.0]


def test_a_change_after_a_quiet_time_is_looked_at_at_once() -> None:
    assert rounds([0.5], until=1.0) == [0.0, 0.5]
