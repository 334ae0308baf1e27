"""A member as a process of its own: ``python -m tests.floors.raft.member FOLDER NAME PORTS VOTERS``; its socket is
FOLDER/NAME.sock.

FOLDER holds NAME.pem and ca.crt; PORTS says in JSON where each member listens; VOTERS are those who vote to begin with.
SIGTERM stops it. Its state machine counts: what it answers to ``tally`` is how often each command was executed. What
begins with ``member`` changes who belongs (``member add n4``). The log is compacted often.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from pathlib import Path

from girginosvm.core import points
from girginosvm.core.clock import SystemChance, SystemClock
from girginosvm.core.entries import Applied, Entry, Place, Unfit
from girginosvm.core.log import Log
from girginosvm.raft.applying import Retention
from girginosvm.raft.cluster import Cluster
from girginosvm.raft.core import Timing
from girginosvm.raft.credentials import Address, Credentials
from girginosvm.raft.disk import RealDisk
from girginosvm.raft.files import Files
from girginosvm.raft.membership import founded
from girginosvm.raft.serve import serve
from girginosvm.raft.transport import Transport


class Tally:
    """Its database is a file that is written anew at each checkpoint, and by an install."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.times: Counter[str] = Counter()
        self.place = Place(0, 0, 0)
        if path.exists():
            self._load(path)

    def applied_index(self) -> int:
        return self.place.index

    def last_stamp_ms(self) -> int:
        return self.place.at_ms

    def checkpoint(self) -> int:
        self._save(self._path)
        return self.place.index

    def snapshot(self, path: Path) -> Place:
        return self._save(path)

    def install(self, path: Path) -> Place:
        theirs = Tally(path)
        if theirs.place.index <= self.place.index:
            raise Unfit("it is no newer")
        self._load(path)
        self._save(self._path)
        return self.place

    def apply(self, entry: Entry) -> Applied:
        self.times.update(command.decode() for command in entry.commands)
        self.place = Place(entry.index, entry.term, entry.at_ms)
        return Applied(tuple(self._outcome(command) for command in entry.commands), ("tally",))

    def _outcome(self, command: bytes) -> bytes:
        return json.dumps(self.times).encode() if command == b"tally" else b"did " + command[:16]

    def _save(self, path: Path) -> Place:
        place, times = self.place, self.times.copy()  # may run beside apply, which only adds: a test's licence
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps([place.index, place.term, place.at_ms, times]))
        draft.rename(path)
        return place

    def _load(self, path: Path) -> None:
        *place, times = json.loads(path.read_text())
        self.place, self.times = Place(*place), Counter(times)


async def run(folder: Path, name: str, ports: dict[str, int], voters: list[str]) -> None:
    log = Log(level="warning").bind(member=name)
    credentials = Credentials(folder / "ca.crt", folder / f"{name}.pem")
    roster = founded({one: f"127.0.0.1:{ports[one]}" for one in {*voters, name}}, frozenset(voters))
    (folder / name).mkdir(exist_ok=True)
    machine = Tally(folder / name / "tally.json")
    snapshots = folder / name / "snapshots"
    files = Files(RealDisk(snapshots), snapshots, machine, piece_bytes=4096)
    cluster = Cluster(
        files.opened(RealDisk(folder / name / "journal"), segment_bytes=1 << 12), files, machine, SystemClock(),
        SystemChance(), log, Transport(name, Address("127.0.0.1", ports[name]), credentials, log),
        member=name, roster=roster, timing=Timing(proposal_ms=2000), retention=Retention(entries=100, tail_entries=20),
    )  # fmt: skip
    await served(cluster, folder / f"{name}.sock", name, log)


async def served(cluster: Cluster, socket: Path, name: str, log: Log) -> None:
    """Until SIGTERM."""
    await cluster.start()
    server = await serve(socket, cluster, release="test", member=name, log=log)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    server.close()
    await cluster.stop()


def main() -> None:
    """By the command line's words."""
    points.name_process(sys.argv[2])
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4])))


if __name__ == "__main__":
    main()
