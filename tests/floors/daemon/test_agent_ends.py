"""An agent that is told to end does so, whatever it was about to become."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from girginosvm.core import settings
from girginosvm.core.log import Log
from girginosvm.daemon.agent import AGAIN, Agent


@pytest.mark.parametrize("told", [False, True])
def test_one_that_is_told_to_end_while_it_becomes_another_begins_no_other_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    agent = Agent(settings.load(str(tmp_path), {}), Log(level="error"))

    async def becomes(group: Any) -> None:
        agent._become()

    async def close() -> None:
        if told:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.to_thread(lambda: None)  # the loop has been woken by the signal when this comes back

    monkeypatch.setattr(agent, "_serve", becomes)
    monkeypatch.setattr(agent, "_close", close)
    assert asyncio.run(agent.run()) == (0 if told else AGAIN)
