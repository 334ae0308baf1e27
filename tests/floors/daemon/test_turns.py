"""Passwords are hashed two at a time, whoever asks for it: more of them wait, and more than a few are sent away."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from girginosvm.core.access import Actor, Role
from girginosvm.core.clock import SystemChance, SystemClock
from girginosvm.core.codec import Outcome, encode
from girginosvm.core.errors import Busy
from girginosvm.daemon.execute import Executor
from girginosvm.daemon.secrets import Turns, load_key
from girginosvm.features.auth.commands import CreateUser
from girginosvm.features.registry import REGISTRY


class Gate:
    """Work that goes on when told, and knows how much of it was under way at once."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.lock = threading.Lock()
        self.now = self.most = 0

    def __call__(self, word: str) -> str:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        assert self.go.wait(10)
        with self.lock:
            self.now -= 1
        return word.upper()


async def test_two_at_a_time_a_short_queue_and_then_busy() -> None:
    gate, turns = Gate(), Turns(at_once=2, queue=5)
    tasks = [asyncio.create_task(turns.take(gate, str(number))) for number in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Busy) as refused:
        await turns.take(gate, "6")
    assert refused.value.code == "sign-in-busy"
    gate.go.set()
    assert await asyncio.gather(*tasks) == ["0", "1", "2", "3", "4"]
    assert gate.most == 2
    assert await turns.take(gate, "next") == "NEXT"


class Rows:
    """What an executor reads before a create of a user: nothing is resolved, no key is known."""

    at_ms = 0
    level = 1
    applied_index = 1

    async def glance(self, fetch: Any) -> Any:
        return fetch(self)


async def test_making_users_waits_in_the_same_queue_as_signing_in(tmp_path: Path) -> None:
    gate, turns = Gate(), Turns(at_once=1, queue=2)

    async def propose(_: bytes) -> bytes:
        return encode(Outcome(1, value=encode({"user": "1"})))

    executor = Executor(
        REGISTRY, Rows(), propose, key=load_key(tmp_path / "key", SystemChance()), hash_password=gate,
        clock=SystemClock(), chance=SystemChance(), turns=turns,
    )  # fmt: skip
    root = Actor("local", "local", "root", Role.ADMIN)
    asked = CreateUser(email="a@b", password="x" * 12)
    tasks = [asyncio.create_task(executor.command(asked, root)) for _ in range(3)]
    for _ in range(20):
        await asyncio.sleep(0)
    with pytest.raises(Busy):
        await turns.take(gate, "a sign-in")
    gate.go.set()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [getattr(one, "code", "done") for one in ended] == ["done", "done", "sign-in-busy"]
    assert gate.most == 1
