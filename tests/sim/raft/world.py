"""A cluster in one process: the production node, journal and filter, in virtual time, on disks that lose power.

Everything random comes from one seed, so a seed replays exactly. What is virtual: the clock (``timeline``), the network
(``network``: lines that stall, break, and deliver late), the threads beside a node's turn (``threads``: each step takes
time, and tears when the power goes), the disks (``disk``), and the database, which forgets what was not checkpointed.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
from sim.raft.invariants import Invariants
from sim.raft.machine import Machine, Memory
from sim.raft.network import Network
from sim.raft.registers import Put, Store
from sim.raft.threads import Applier, Flusher, Shelf
from sim.raft.timeline import Chance, Timeline

from girginosvm.core.entries import Applied, Entry
from girginosvm.core.errors import HostFault, Problem
from girginosvm.core.log import Log as Lines
from girginosvm.raft.applying import Retention
from girginosvm.raft.core import Timing
from girginosvm.raft.files import Files
from girginosvm.raft.journal import Journal
from girginosvm.raft.lines import Event
from girginosvm.raft.membership import Roster, founded
from girginosvm.raft.node import Node, Start

QUIET = Lines(open(os.devnull, "w"))  # noqa: SIM115 - for the whole run
PIECE = 700  # a snapshot has some of these
SEGMENT = 1 << 14


class Host(Machine):
    """A machine, and the raft process that runs on it."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name, world.memory(name), honest=world.honest)
        self.world = world
        self.node: Node | None = None
        self.first: Roster | None = None  # of one that joins: the members as they were then
        self.wires = world.network.plug(self)

    def start(self) -> None:
        if self.name in self.world.gone:
            return
        self.begin()
        self.wires = self.world.network.plug(self)
        try:
            files, journal = self.opened()
        except HostFault:  # no room to finish an install: the supervisor tries again
            self.up = False
            self.world.later(200, lambda: None if self.up else self.start())
            return
        self.world.invariants.begins(self.name, journal.vote.term)
        self.flusher = Flusher(self, journal)
        self.shelf = Shelf(self, files)
        start = Start(
            self.name, self.first or self.world.founding, self.memory.applied_index(), self.memory.last_stamp_ms()
        )
        self.node = Node(
            start, journal, self.flusher, Applier(self, self._installed), self.shelf, self.wires, self.clock,
            Chance(self.world), self.world.lines, timing=Timing(proposal_ms=3000), retention=self.world.retention,
            applied=self._applied,
        )  # fmt: skip
        self.world.invariants.watch(self.name, self.node.log)
        self.wake()

    def opened(self) -> tuple[Files, Journal]:
        """What a process finds on its disks. HostFault without the room to finish what the last one has begun."""
        if isinstance(self.memory, Store):
            self.memory.snapshots = self.snapshots
        files = Files(self.snapshots, Path("snapshots"), self.memory, piece_bytes=PIECE)
        return files, files.opened(self.disk, segment_bytes=SEGMENT)

    def stop(self, *, power: bool) -> None:
        """Kill the process; with ``power`` whatever was not flushed may be lost, in pieces."""
        self.life += 1
        if not self.up:
            return
        self.up, self.node = False, None
        self.flusher.die()
        self.shelf.die()
        if power:
            self.disk = self.disk.found(self.world.chance)
            self.snapshots = self.snapshots.found(self.world.chance)
        self.memory = self.memory.found(self.world.chance if power else None)
        self.world.network.unplug(self.name, reset=not power)

    @property
    def store(self) -> Store:
        """The registers."""
        assert isinstance(self.memory, Store)
        return self.memory

    @property
    def member(self) -> Node:
        """The process that runs."""
        assert self.node is not None
        return self.node

    def propose(self, put: Put, answer: Callable[[bytes | Problem], None]) -> None:
        """As its agent would."""
        self.member.propose(msgspec.msgpack.encode(put), answer)
        self.wake()

    def turn(self, events: list[Event]) -> int | None:
        node = self.member
        self.wires.dial()
        following = node.turn(events)
        self.world.turns += 1
        self.world.invariants.turned(self.name, self.life, node)
        return None if node.stopped else following

    def _applied(self, entry: Entry, applied: Applied) -> None:
        self.world.invariants.applied(self.name, entry)
        if self.world.chance.random() < 0.02:
            self.memory.checkpoint()

    def _installed(self) -> None:
        self.world.installs += 1
        self.world.on_install(self)


class World(Timeline):
    """Hosts, between them a network, and what has to hold. ``gone`` are those that do not start again."""

    honest = True  # False, a mutant: what is sealed as a snapshot is not flushed

    def __init__(
        self, seed: int, *, voters: int = 3, observers: int = 0, dedup: bool = True,
        retention: Retention | None = None, invariants: Invariants | None = None,
    ) -> None:  # fmt: skip
        super().__init__(seed)
        self.dedup = dedup
        self.retention = retention or Retention()
        self.invariants = invariants or Invariants()
        self.network = Network(self, self.invariants.said)
        self.voters = [f"n{number}" for number in range(1, voters + 1)]
        names = [*self.voters, *(f"o{number}" for number in range(1, observers + 1))]
        self.hosts = {name: self.host(name) for name in names}
        self.founding = founded(dict.fromkeys(self.hosts, ""), frozenset(self.voters))
        self.gone: set[str] = set()
        self.installs = 0
        self.on_install: Callable[[Host], None] = lambda host: None
        self.turns = 0
        self.lines = QUIET

    def host(self, name: str) -> Host:
        """One of them."""
        return Host(self, name)

    def memory(self, name: str) -> Memory:
        """What a new host has."""
        return Store(dedup=self.dedup)

    def start(self, *, until: int = 0) -> None:
        """All hosts up, and time passes."""
        for host in self.hosts.values():
            host.start()
        self.run(until)

    def led(self, *, until: int = 3000) -> Host:
        """All hosts up, and one that leads."""
        self.start(until=until)
        leader = self.leader()
        assert leader is not None
        return leader

    def leader(self) -> Host | None:
        """The host that leads the newest term, if one does."""
        leading = [host for host in self.hosts.values() if host.node is not None and host.node.core.leading]
        return max(leading, key=lambda host: host.member.core.term, default=None)

    def lead_passed_from(self, leader: Host) -> Callable[[], bool]:
        """Somebody else leads."""
        return lambda: self.leader() not in (None, leader)

    def trace(self) -> str:
        """What happened, in few bytes: equal for equal runs."""
        found = self.invariants
        seen = (self.turns, self.now, sorted(found.committed.items()), sorted(found.leaders.items()))
        return f"{zlib.crc32(repr(seen).encode()):08x}"
