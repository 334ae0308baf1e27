"""Voters and observers as processes: ``python -m tests.bench.crew FOLDER NAME PORTS VOTERS``, the last two in JSON."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from girginosvm.core.clock import SystemChance, SystemClock
from girginosvm.core.log import Log
from girginosvm.raft.cluster import Cluster
from girginosvm.raft.disk import RealDisk
from girginosvm.raft.files import Files
from girginosvm.raft.membership import founded
from girginosvm.raft.propose import serve
from girginosvm.raft.transport import Address, Credentials, Transport
from tests.floors.raft.member import Tally
from tests.floors.raft.pki import Authority
from tests.floors.raft.trio import REPOSITORY, Trio


class Crew(Trio):
    """So many voters, and so many who only listen."""

    def __init__(self, authority: Authority, folder: Path, voters: int, observers: int) -> None:
        super().__init__(authority, folder, voters + observers)
        self.voting = self.names[:voters]

    def start(self, name: str) -> None:
        ports = {one: self.port(one) for one in self.names}
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.crew", str(self.folder), name, json.dumps(ports),
             json.dumps(self.voting)],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip


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
    await cluster.start()
    server = await serve(folder / f"{name}.sock", cluster, release="test", member=name, log=log)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    server.close()
    await cluster.stop()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4])))
