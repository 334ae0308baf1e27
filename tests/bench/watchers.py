"""Many observers in one process: ``python -m tests.bench.watchers FOLDER PORTS VOTERS NAMES``, the last three in JSON.

On machines of their own sixty observers have sixty times two cores; here they share two with the voters, and what is
asked is what they cost those. So each is whole where the voters meet it, and light where they do not: node, core, lines
and TLS are the product's; the journal is a file in memory, since its disk would be another one; what it applies it only
counts; and all of them take turns in one thread, where sixty interpreters would mostly switch between each other.
"""

from __future__ import annotations

import json
import selectors
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from girginosvm.core.clock import SystemChance, SystemClock
from girginosvm.core.entries import Applied, Entry, Place
from girginosvm.core.log import Log
from girginosvm.raft.apply import Checkpointed, Done
from girginosvm.raft.credentials import Address, Credentials
from girginosvm.raft.disk import RealDisk
from girginosvm.raft.files import Files, Outcome, Task
from girginosvm.raft.flush import Record, write
from girginosvm.raft.journal import Journal
from girginosvm.raft.membership import founded
from girginosvm.raft.node import Node, Start
from girginosvm.raft.transport import Transport

MEMORY = "/dev/shm"
SEGMENT_BYTES = 1 << 20


class Counting:
    """A state machine that knows how far it is."""

    def __init__(self) -> None:
        self.place = Place(0, 0, 0)

    def applied_index(self) -> int:
        return self.place.index

    def last_stamp_ms(self) -> int:
        return self.place.at_ms

    def checkpoint(self) -> int:
        return self.place.index

    def snapshot(self, path: Path) -> Place:
        raise OSError("nobody asks an observer of this run for one")

    def install(self, path: Path) -> Place:
        raise OSError("nobody of this run is so far behind")

    def apply(self, entry: Entry) -> Applied:
        self.place = Place(entry.index, entry.term, entry.at_ms)
        return Applied(tuple(b"" for _ in entry.commands))


class Now:
    """Flushes and applies in the turn that asks for it."""

    def __init__(self, journal: Journal, machine: Counting) -> None:
        self._journal, self._machine = journal, machine
        self._flushed = 0
        self._done: list[Done] = []
        self.stirred = False  # something was done that the next turn takes up: where there are threads, they wake it

    def begin(self, generation: int, records: Sequence[Record]) -> None:
        write(self._journal, records)
        self._flushed, self.stirred = generation, True

    def done(self) -> int:
        return self._flushed

    def close(self) -> None:
        """The process ends with it."""

    def submit(self, entries: Sequence[Entry]) -> None:
        self._done += [(entry, self._machine.apply(entry)) for entry in entries]
        self.stirred = True

    def checkpoint(self) -> None:
        self._done.append(Checkpointed(self._machine.checkpoint()))
        self.stirred = True

    def install(self, path: Path) -> None:
        self._machine.install(path)

    def collect(self) -> list[Done]:
        done, self._done = self._done, []
        return done


class Shelf:
    """The files of snapshots, which nobody here sends or gets."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def submit(self, task: Task) -> None:
        self._files.do(task)

    def collect(self) -> list[Outcome]:
        return []


class Watcher:
    """One observer; ``turn`` when something came, or when it is ``due``."""

    def __init__(self, folder: Path, name: str, ports: dict[str, int], voters: list[str], place: Path) -> None:
        log = Log(level="error").bind(member=name)
        place.mkdir()
        machine, snapshots = Counting(), place / "snapshots"
        files = Files(RealDisk(snapshots), snapshots, machine)
        journal = files.opened(RealDisk(place / "journal"), segment_bytes=SEGMENT_BYTES)
        self._now = now = Now(journal, machine)
        credentials = Credentials(folder / "ca.crt", folder / f"{name}.pem")
        self.transport = Transport(name, Address("127.0.0.1", ports[name]), credentials, log)
        roster = founded({one: f"127.0.0.1:{port}" for one, port in ports.items()}, frozenset(voters))
        self._clock = SystemClock()
        self._node = Node(
            Start(name, roster, 0, 0), journal, now, now, Shelf(files), self.transport, self._clock, SystemChance(), log
        )
        self.due_ms = 0

    def turn(self) -> None:
        self._now.stirred = False
        self.due_ms = self._node.turn(self.transport.poll(0))
        if self._now.stirred or self.transport.eager:  # the latter: a line has more, decrypted already
            self.due_ms = 0


def run(folder: Path, ports: dict[str, int], voters: list[str], names: list[str]) -> None:
    """Until SIGTERM. One selector over those of the members: each is readable when a line of its member is."""
    place = Path(tempfile.mkdtemp(prefix="girginosvm-bench-", dir=MEMORY))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        watchers = [Watcher(folder, name, ports, voters, place / name) for name in names]
        ready = selectors.DefaultSelector()
        for one in watchers:
            ready.register(one.transport.fileno(), selectors.EVENT_READ, one)
        while True:
            now_ms = time.monotonic_ns() // 1_000_000
            turned = {one: None for one in watchers if one.due_ms <= now_ms}
            wait_s = 0.0 if turned else (min(one.due_ms for one in watchers) - now_ms) / 1000
            turned |= {key.data: None for key, _ in ready.select(wait_s)}
            for one in turned:
                one.turn()
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    run(Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3]), json.loads(sys.argv[4]))
