"""The fake host's file."""

import contextlib
import time
from pathlib import Path

import pytest

from girginosvm.core.errors import HostFault
from girginosvm.hypervisor.fake.state import State


def test_what_one_opener_writes_another_reads(tmp_path: Path) -> None:
    with State(tmp_path / "sub" / "host.json").edit("domains") as domains:
        domains["a"] = {"power": "running"}
    assert State(tmp_path / "sub" / "host.json").section("domains") == {"a": {"power": "running"}}


def test_a_block_that_raises_changes_nothing(tmp_path: Path) -> None:
    state = State(tmp_path / "host.json")
    with contextlib.suppress(RuntimeError), state.edit("domains") as domains:
        domains["a"] = 1
        raise RuntimeError("halfway")
    assert state.read() == {}


async def test_an_injected_fault_hits_as_often_as_told_and_then_is_gone(tmp_path: Path) -> None:
    state = State(tmp_path / "host.json")
    state.fail("domains.start", "no-memory", "the host has 12 MiB free", times=2)
    for _ in range(2):
        with pytest.raises(HostFault, match="12 MiB") as caught:
            await state.visit("domains.start")
        assert caught.value.code == "no-memory"
    await state.visit("domains.start")


async def test_a_delay_holds_only_its_own_method(tmp_path: Path) -> None:
    state = State(tmp_path / "host.json")
    state.delay("domains.start", 40)
    began = time.monotonic()
    await state.visit("domains.define")
    assert time.monotonic() - began < 0.04
    await state.visit("domains.start")
    assert time.monotonic() - began >= 0.04
