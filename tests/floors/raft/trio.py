"""Members as real processes on the loopback, over mutual TLS, each asked over its own socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

from girginosvm.core.entries import Change as MemberChange
from girginosvm.core.errors import Busy, NoQuorum, Problem
from girginosvm.core.log import Log
from girginosvm.raft.changes import Change
from girginosvm.raft.client import Client
from girginosvm.raft.standing import Status
from tests.floors.raft.pki import Authority
from tests.ports import free_port

REPOSITORY = Path(__file__).parents[3]


class Trio:
    """``start`` and ``kill`` processes; ``clients`` are their agents."""

    module = "tests.floors.raft.member"

    def __init__(self, authority: Authority, folder: Path, count: int = 3, *, joiners: int = 0) -> None:
        self.folder = authority.ca.parent
        self.fuse = self.folder / "fuse"  # the point at which a process is to die: ``n1/journal.flush:before``
        self.voters = [f"n{number}" for number in range(1, count + 1)]
        self.joiners = [f"n{number}" for number in range(count + 1, count + joiners + 1)]
        self.names = [*self.voters, *self.joiners]
        self._ports = {name: free_port() for name in self.names}
        for name in self.names:
            authority.credentials(name)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.clients = {
            name: Client(self.folder / f"{name}.sock", release="test", changed=self._changed, log=Log(level="error"))
            for name in self.names
        }

    def port(self, name: str) -> int:
        """Where a member listens for the others."""
        return self._ports[name]

    def _changed(self, change: Change | None) -> None:
        """Nobody listens here."""

    def start(self, name: str) -> None:
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", self.module, str(self.folder), name, json.dumps(self._ports),
             json.dumps(self.voters)],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "GIRGINOSVM_POINTS_FUSE": str(self.fuse)},
        )  # fmt: skip

    def kill(self, name: str) -> None:
        """SIGKILL, and wait until it is gone."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    async def status(self, name: str) -> Status | None:
        try:
            return await self.clients[name].status()
        except Problem:
            return None

    async def leader(self) -> str:
        """Who leads the newest term; TimeoutError when nobody does within 30 s."""
        async with asyncio.timeout(30):
            while True:
                found = [one for name in self.processes if (one := await self.status(name)) is not None]
                leading = [one for one in found if one.role == "leader"]
                if leading:
                    return max(leading, key=lambda one: one.term).member
                await asyncio.sleep(0.005)

    async def rejoined(self, name: str) -> Status:
        """A member that was started hears the leader and reaches all others; TimeoutError after 30 s."""
        async with asyncio.timeout(30):
            while True:
                status = await self.status(name)
                if status is not None and status.leader and len(status.reached) == len(self.processes) - 1:
                    return status
                await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Trio]:
        """All up and led, until the block ends."""
        tasks = [asyncio.create_task(client.run()) for client in self.clients.values()]
        try:
            for name in self.voters:
                self.start(name)
            await self.leader()
            yield self
        finally:
            for task in tasks:
                task.cancel()
            for name in list(self.processes):
                self.kill(name)

    async def change(self, kind: str, name: str) -> None:
        """Ask the leader for a change of members until it is made; TimeoutError after 30 s."""
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(Problem):
                    place = f"127.0.0.1:{self._ports[name]}"
                    await self.clients[await self.leader()].change(MemberChange(cast(Any, kind), name, place))
                    return
                await asyncio.sleep(0.02)

    async def propose(self, name: str, command: bytes) -> bytes:
        """By one member, again while that surely did nothing; TimeoutError after 30 s."""
        async with asyncio.timeout(30):
            while True:
                try:
                    return await self.clients[name].propose(command)
                except (Busy, NoQuorum):
                    await asyncio.sleep(0.02)

    async def reaches(self, name: str, index: int) -> Status:
        """A member has applied so far; TimeoutError after 40 s."""
        async with asyncio.timeout(40):
            while True:
                status = await self.status(name)
                if status is not None and status.applied_index >= index:
                    return status
                await asyncio.sleep(0.01)

    async def tally(self) -> dict[str, int]:
        """How often each command was executed, by whoever answers first."""
        end_s = time.monotonic() + 10
        while True:
            for name in self.processes:
                with contextlib.suppress(Problem):
                    return dict(json.loads(await self.clients[name].propose(b"tally")))
            if time.monotonic() > end_s:
                raise TimeoutError("nobody answers")
            await asyncio.sleep(0.02)
