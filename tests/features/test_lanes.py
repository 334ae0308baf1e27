"""Work side by side."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator

import pytest

from girginosvm.core.errors import HostFault
from girginosvm.core.log import Log
from girginosvm.features.lanes import Lanes


class Bay:
    """Lanes whose failures rest for an hour, and what was said of them."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.woken = asyncio.Event()
        self.words = io.StringIO()
        self.lanes = Lanes(group, self.woken.set, Log(self.words), first_s=3600)

    async def rested(self, subject: str) -> None:
        """Its piece has failed."""
        for _ in range(10):
            await asyncio.sleep(0)
        assert self.lanes.resting(subject)

    async def end(self) -> None:
        """The next end of a piece."""
        self.woken.clear()
        async with asyncio.timeout(5):
            await self.woken.wait()


@pytest.fixture
async def bay() -> AsyncIterator[Bay]:
    group = asyncio.TaskGroup()
    async with group:
        one = Bay(group)
        yield one
        for subject in one.lanes.busy():
            one.lanes.give_up(subject)


async def hang() -> None:
    await asyncio.Event().wait()


async def nothing() -> None:
    """Ends at once."""


async def test_a_piece_that_hangs_holds_its_own_subject_only(bay: Bay) -> None:
    bay.lanes.start("a", hang)
    bay.lanes.start("b", nothing)
    await bay.end()
    assert bay.lanes.busy() == {"a"}
    with pytest.raises(ValueError, match="a has a piece"):
        bay.lanes.start("a", nothing)


@pytest.mark.parametrize("fault", [HostFault("no-room", "the disk is full"), ValueError("a bug")])
async def test_what_fails_is_said_and_rests_and_the_others_go_on(bay: Bay, fault: Exception) -> None:
    async def fail() -> None:
        raise fault

    bay.lanes.start("a", fail)
    bay.lanes.start("b", nothing)
    await bay.end()
    assert bay.lanes.resting("a")
    assert bay.lanes.busy() == {"a"}
    assert str(fault) in bay.words.getvalue()


async def test_giving_up_ends_a_piece_or_its_pause_and_frees_the_subject(bay: Bay) -> None:
    async def fail() -> None:
        raise HostFault("no-room", "the disk is full")

    bay.lanes.start("a", hang)
    bay.lanes.start("b", fail)
    await bay.rested("b")
    bay.lanes.start("c", nothing)  # given up before its first step
    for subject in ("c", "a", "b"):
        bay.lanes.give_up(subject)
        await bay.end()
    assert bay.lanes.busy() == frozenset()
    bay.lanes.start("a", nothing)


async def test_giving_up_twice_does_not_interrupt_what_tidies_up(bay: Bay) -> None:
    tidied = asyncio.Event()

    async def tidy() -> None:
        try:
            await hang()
        finally:
            await asyncio.sleep(0)
            tidied.set()

    bay.lanes.start("a", tidy)
    await asyncio.sleep(0)
    bay.lanes.give_up("a")
    await asyncio.sleep(0)
    bay.lanes.give_up("a")
    await bay.end()
    assert tidied.is_set()
