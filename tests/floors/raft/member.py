"""A member as a process of its own: ``python -m tests.floors.raft.member FOLDER NAME PORTS``; FOLDER/NAME.sock is its
socket.

FOLDER holds NAME.pem and ca.crt; PORTS says in JSON where each member listens. SIGTERM stops it. Its state machine
counts: what it answers to ``tally`` is how often each command was executed.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from pathlib import Path

from girginosvm.core.clock import SystemChance, SystemClock
from girginosvm.core.entries import Applied, Entry
from girginosvm.core.log import Log
from girginosvm.raft.cluster import Cluster
from girginosvm.raft.core import Timing
from girginosvm.raft.disk import RealDisk
from girginosvm.raft.journal import Journal
from girginosvm.raft.membership import founded
from girginosvm.raft.propose import serve
from girginosvm.raft.transport import Address, Credentials, Transport


class Tally:
    """In memory: after a restart the log says it all again."""

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()
        self.last = Entry(0, 0, 0, "", ())

    def applied_index(self) -> int:
        return self.last.index

    def last_stamp_ms(self) -> int:
        return self.last.at_ms

    def checkpoint(self) -> int:
        return 0

    def apply(self, entry: Entry) -> Applied:
        self.times.update(command.decode() for command in entry.commands)
        self.last = entry
        return Applied(tuple(self._outcome(command) for command in entry.commands), ("tally",))

    def _outcome(self, command: bytes) -> bytes:
        return json.dumps(self.times).encode() if command == b"tally" else b"did " + command[:16]


async def run(folder: Path, name: str, ports: dict[str, int]) -> None:
    log = Log(level="warning").bind(member=name)
    credentials = Credentials(folder / "ca.crt", folder / f"{name}.pem")
    roster = founded({one: f"127.0.0.1:{port}" for one, port in ports.items()}, frozenset(ports))
    cluster = Cluster(
        Journal(RealDisk(folder / name), keep_payloads=True), Tally(), SystemClock(), SystemChance(), log,
        Transport(name, Address("127.0.0.1", ports[name]), credentials, log),
        member=name, roster=roster, timing=Timing(proposal_ms=2000),
    )  # fmt: skip
    await cluster.start()
    server = await serve(folder / f"{name}.sock", cluster, release="test", member=name, log=log)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    server.close()
    await cluster.stop()


def main() -> None:
    """By the command line's words."""
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])))


if __name__ == "__main__":
    main()
