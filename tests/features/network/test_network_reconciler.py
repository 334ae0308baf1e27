"""The shell around the network's plan: what it changes on the host is told to the room that waits for it."""

import asyncio
from pathlib import Path
from typing import Any

from girginosvm.core.clock import SystemClock
from girginosvm.core.host import BridgeSpec, Guard
from girginosvm.core.log import Log
from girginosvm.core.settings import Settings
from girginosvm.features.lanes import Lanes
from girginosvm.features.network.reconciler import NetworkReconciler
from girginosvm.features.site import Site
from girginosvm.hypervisor.fake.host import FakeHost


async def test_the_machines_room_is_woken_by_what_was_done_and_by_nothing_else(tmp_path: Path) -> None:
    woken: list[str] = []
    wanted = ((BridgeSpec("br-one"),), (Guard("gvm1", "52:54:00:00:00:01", ("192.0.2.10",)),))

    async def read(_: Any) -> Any:
        return wanted

    host = FakeHost(tmp_path / "host.json")
    site = Site(
        node="n1", settings=Settings(root=str(tmp_path)), host=host, read=read, say=None, unseal=str,
        clock=SystemClock(), log=Log(level="error"), progress={}, wake=woken.append,
    )  # fmt: skip
    room, lanes = NetworkReconciler(site), Lanes(asyncio.TaskGroup(), lambda: None, site.log)
    await room.reconcile(lanes)
    assert woken == ["vm"]
    assert await host.filter.observe() == wanted[1]
    await room.reconcile(lanes)
    assert woken == ["vm"]
