"""Members as processes: ``python -m tests.bench.crew FOLDER NAME PORTS VOTERS``, the last two in JSON. Observers each
have one of their own, or all of them one (``watchers``)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from girginosvm.core.clock import SystemChance, SystemClock
from girginosvm.core.log import Log
from girginosvm.raft.cluster import Cluster
from girginosvm.raft.credentials import Address, Credentials
from girginosvm.raft.disk import RealDisk
from girginosvm.raft.files import Files
from girginosvm.raft.membership import founded
from girginosvm.raft.standing import Status
from girginosvm.raft.transport import Transport
from tests.floors.raft.member import Tally, served
from tests.floors.raft.pki import Authority
from tests.floors.raft.trio import REPOSITORY, Trio


def _port(number: int) -> int:
    """One below those that the kernel gives to whoever dials: sixty are dialled while they are yet to listen."""
    for port in range(20_000 + number, 32_000, 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError("no port is free")


class Crew(Trio):
    """So many voters, and so many who only listen: each as a process, or ``together`` in one."""

    def __init__(
        self, authority: Authority, folder: Path, voters: int, observers: int = 0, *, together: bool = False
    ) -> None:
        super().__init__(authority, folder, voters)
        self.watching = [f"o{number}" for number in range(1, observers + 1)]
        self.together = together
        for number, name in enumerate(self.watching):
            self._ports[name] = _port(number)
            authority.credentials(name)

    def start(self, name: str) -> None:
        self._run(name, "tests.bench.crew", name, json.dumps(self._ports), json.dumps(self.voters))

    def watch(self) -> None:
        """Begin the observers."""
        if self.together and self.watching:
            ports, voters = json.dumps(self._ports), json.dumps(self.voters)
            self._run("watchers", "tests.bench.watchers", ports, voters, json.dumps(self.watching))
        else:
            for name in self.watching:
                self.start(name)

    def _run(self, name: str, module: str, *words: str) -> None:
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", module, str(self.folder), *words],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip

    async def status(self, name: str) -> Status | None:
        """Of a voter; observers are not asked."""
        return await super().status(name) if name in self.clients else None

    async def whole(self) -> str:
        """Who leads, once it reaches everybody; TimeoutError after two minutes."""
        others = len(self.voters) + len(self.watching) - 1
        async with asyncio.timeout(120):
            while True:
                ended = [name for name, process in self.processes.items() if process.poll() is not None]
                if ended:
                    raise RuntimeError(f"{', '.join(ended)} ended")
                leader = await self.leader()
                status = await self.status(leader)
                if status is not None and status.role == "leader" and len(status.reached) == others:
                    return leader
                await asyncio.sleep(0.2)

    async def behind(self) -> int:
        """Entries that the observer lacks that lacks most."""
        status = await self.status(await self.leader())
        return max((status.lag.get(name, 0) for name in self.watching), default=0) if status is not None else 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Trio]:
        async with super().running():
            self.watch()
            try:
                yield self
            finally:
                if "watchers" in self.processes:  # it has files in memory
                    process = self.processes.pop("watchers")
                    process.terminate()
                    process.wait()


async def run(folder: Path, name: str, ports: dict[str, int], voters: list[str]) -> None:
    log = Log(level="error").bind(member=name)
    roster = founded({one: f"127.0.0.1:{port}" for one, port in ports.items()}, frozenset(voters))
    (folder / name).mkdir(exist_ok=True)
    machine, snapshots = Tally(folder / name / "tally.json"), folder / name / "snapshots"
    files = Files(RealDisk(snapshots), snapshots, machine)
    cluster = Cluster(
        files.opened(RealDisk(folder / name / "journal")), files, machine, SystemClock(), SystemChance(), log,
        Transport(name, Address("127.0.0.1", ports[name]), Credentials(folder / "ca.crt", folder / f"{name}.pem"), log),
        member=name, roster=roster,
    )  # fmt: skip
    await served(cluster, folder / f"{name}.sock", name, log)


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4])))
