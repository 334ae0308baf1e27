"""The supervisor of ``agent --dev``."""

import asyncio
import io
import sys

import pytest

from girginosvm.core.errors import HostFault
from girginosvm.core.log import Log
from girginosvm.daemon import dev


async def test_a_process_that_cannot_be_started_is_said_instead_of_waiting_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(HostFault, match=r"cannot start raft \(/nowhere/python\): No such file or directory"):
        async with asyncio.timeout(10):
            await dev.supervise(("raft", "agent"), [], Log(io.StringIO()))
