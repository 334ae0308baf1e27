"""A cluster in one process: the production node, journal and filter, in virtual time, on disks that lose power.

Everything random comes from one seed, so a seed replays exactly. What is virtual: the clock, the network (lines that
stall, break, and deliver late), the flush (it takes time, and a power loss in the middle of it tears), the database
(it forgets what was not checkpointed when power goes), the thread of snapshots (each step takes time, and tears, too).
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import itertools
import os
import random
import zlib
from collections import deque
from collections.abc import Callable, Sequence, Set
from pathlib import Path
from typing import Protocol

import msgspec
import pysyncobj.syncobj
from floors.raft.power import PowerLossDisk

from girginosvm.core.entries import Applied, Entry, Halt, Place, Unfit
from girginosvm.core.errors import HostFault, Problem
from girginosvm.core.log import Log as Lines
from girginosvm.raft import messages
from girginosvm.raft.alone import StateMachine
from girginosvm.raft.apply import Checkpointed, Done, Installed
from girginosvm.raft.applying import Retention
from girginosvm.raft.core import Timing
from girginosvm.raft.files import Files, Outcome, Task
from girginosvm.raft.flush import Record, write
from girginosvm.raft.journal import Journal
from girginosvm.raft.lines import Down, Event, Heard, Up
from girginosvm.raft.membership import Roster, founded
from girginosvm.raft.mesh import Mesh, replaces
from girginosvm.raft.node import Node, Start

QUIET = Lines(open(os.devnull, "w"))  # noqa: SIM115 - for the whole run
PIECE = 700  # a snapshot has some of these


class Broken(AssertionError):
    """An invariant of Raft, or of ours, does not hold."""


class Put(msgspec.Struct, frozen=True):
    """The register ``key`` is ``value`` from now on. ``id`` is the request's."""

    id: str
    key: str
    value: str


class Memory(StateMachine, Protocol):
    """A host's state machine, over the ends of its processes."""

    def found(self, chance: random.Random | None) -> Memory:
        """What the next process finds; with ``chance`` the power was lost, and with it what was not durable."""
        ...


class Store:
    """A state machine of registers; a power loss takes it back to its last checkpoint."""

    def __init__(self, *, dedup: bool = True) -> None:
        self.entries: list[Entry] = []
        self.registers: dict[str, str] = {}
        self.outcomes: dict[str, bytes] = {}
        self.executed: list[str] = []
        self.durable = 0
        self.dedup = dedup
        self.snapshots = Disk()

    def applied_index(self) -> int:
        return self.entries[-1].index if self.entries else 0

    def last_stamp_ms(self) -> int:
        return self.entries[-1].at_ms if self.entries else 0

    def checkpoint(self) -> int:
        self.durable = self.applied_index()
        return self.durable

    def snapshot(self, path: Path) -> Place:
        data = msgspec.msgpack.encode(self.entries)
        self.snapshots.create(path.name, len(data))
        self.snapshots.write(path.name, 0, data)
        return self._place()

    def install(self, path: Path) -> Place:
        """In one durable transaction."""
        entries = msgspec.msgpack.decode(self.snapshots.read(path.name), type=list[Entry])
        if len(entries) <= self.applied_index():
            raise Unfit("it is no newer")
        self.entries, self.registers, self.outcomes, self.executed = [], {}, {}, []
        for entry in entries:
            self.apply(entry)
        self.checkpoint()
        return self._place()

    def _place(self) -> Place:
        last = self.entries[-1]
        return Place(last.index, last.term, last.at_ms)

    def apply(self, entry: Entry) -> Applied:
        if entry.index != self.applied_index() + 1:
            raise Halt(f"entry {entry.index} after {self.applied_index()}")
        if self.entries and entry.at_ms < self.entries[-1].at_ms:
            raise Broken(f"the log's time went back at entry {entry.index}")
        outcomes = []
        for data in entry.commands:
            put = msgspec.msgpack.decode(data, type=Put)
            if not self.dedup or put.id not in self.outcomes:
                self.registers[put.key] = put.value
                self.outcomes[put.id] = b"%d" % entry.index
                self.executed.append(put.id)
            outcomes.append(self.outcomes[put.id])
        self.entries.append(entry)
        return Applied(tuple(outcomes))

    def found(self, chance: random.Random | None) -> Store:
        if chance is None:
            return self
        again = Store(dedup=self.dedup)
        for entry in self.entries[: self.durable]:
            again.apply(entry)
        again.durable = self.durable
        return again


class Applier:
    """Applies at once, in the turn that hands over. To install a snapshot takes time."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._done: list[Done] = []

    def submit(self, entries: Sequence[Entry]) -> None:
        self._done += [(entry, self._host.memory.apply(entry)) for entry in entries]

    def checkpoint(self) -> None:
        self._done.append(Checkpointed(self._host.memory.checkpoint()))

    def install(self, path: Path) -> None:
        host, life = self._host, self._host.life

        def finish() -> None:
            if host.life == life:
                try:
                    self._done.append(Installed(host.memory.install(path)))
                except Unfit as unfit:
                    self._done.append(Installed(None, str(unfit)))
                else:
                    host.world.installs += 1
                    host.world.on_install(host)
                host.wake()

        host.world.later(host.world.chance.randrange(0, 60), finish)

    def collect(self) -> list[Done]:
        done, self._done = self._done, []
        return done


class Shelf:
    """The thread of snapshots: one task after the other, a few ms each, slow when the disk is."""

    def __init__(self, host: Host, files: Files) -> None:
        self._host = host
        self._files = files
        self._tasks: deque[Task] = deque()
        self._done: list[Outcome] = []

    def submit(self, task: Task) -> None:
        self._tasks.append(task)
        if len(self._tasks) == 1:
            self._begin()

    def collect(self) -> list[Outcome]:
        done, self._done = self._done, []
        return done

    def _begin(self) -> None:
        host, life = self._host, self._host.life

        def finish() -> None:
            if host.life != life:
                return
            if host.slow_ms < 0:
                host.world.later(50, finish)
                return
            outcome = self._files.do(self._tasks.popleft())
            if outcome is not None:
                self._done.append(outcome)
                host.wake()
            if self._tasks:
                self._begin()

        host.world.later(host.world.chance.randrange(0, 8) + max(0, host.slow_ms), finish)

    def die(self, chance: random.Random) -> None:
        """The process ends in the middle of a task: any part of it may have been done."""
        if self._tasks:
            self._host.snapshots.fuse = chance.randrange(0, 6)
            self._files.do(self._tasks[0])
            self._host.snapshots.fuse = -1


class Clock:
    """The world's time, as one host sees it: its wall clock may be anywhere."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.wall_offset_ms = 0

    def wall_ms(self) -> int:
        return 1_800_000_000_000 + self._world.now + self.wall_offset_ms

    def monotonic_ms(self) -> int:
        return self._world.now


class Chance:
    def __init__(self, world: World) -> None:
        self._world = world

    def take(self, count: int) -> bytes:
        return self._world.chance.randbytes(count)


class Disk(PowerLossDisk):
    """Fails for good after ``fuse`` more operations: where a death finds a generation half written."""

    fuse = -1

    def _burn(self) -> None:
        if self.fuse == 0:
            raise OSError(errno.EIO, "the power is gone")
        self.fuse -= self.fuse > 0

    def create(self, name: str, size: int) -> None:
        self._burn()
        super().create(name, size)

    def write(self, name: str, offset: int, data: bytes) -> None:
        self._burn()
        super().write(name, offset, data)

    def flush(self, name: str) -> None:
        self._burn()
        super().flush(name)

    def remove(self, name: str) -> None:
        self._burn()
        super().remove(name)

    def found(self, chance: random.Random) -> Disk:
        """What is on it when power comes back."""
        return Disk(self.lose_power(chance).durable, honest=self.honest)


class Flusher:
    """One generation at a time, a few ms each; ``slow_ms`` of the host comes on top, and -1 is for ever."""

    def __init__(self, host: Host, journal: Journal) -> None:
        self._host = host
        self.journal = journal
        self._done = 0
        self._fault: OSError | None = None
        self._records: Sequence[Record] = ()

    def begin(self, generation: int, records: Sequence[Record]) -> None:
        host, life = self._host, self._host.life
        self._records = records

        def finish() -> None:
            if host.life != life:
                return
            if host.slow_ms < 0:
                host.world.later(50, finish)
                return
            self._records = ()
            try:
                write(self.journal, records)
            except OSError as fault:
                self._fault = fault
            else:
                self._done = generation
            host.wake()

        host.world.later(host.world.chance.randrange(0, 3) + max(0, host.slow_ms), finish)

    def die(self, chance: random.Random) -> None:
        """The process ends while a generation is being written: any part of it may have been."""
        if self._records:
            self._host.disk.fuse = chance.randrange(0, 2 * len(self._records) + 3)
            with contextlib.suppress(OSError):
                write(self.journal, self._records)
            self._host.disk.fuse = -1

    def done(self) -> int:
        if self._fault is not None:
            raise self._fault
        return self._done

    def close(self) -> None:
        """Nothing to let go of."""


class Host:
    """A machine: what survives a process (disk, database) and the process."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.disk = Disk()
        self.snapshots = Disk(honest=world.honest)
        self.memory = world.memory(name)
        self.clock = Clock(world)
        self.life = 0
        self.up = False
        self.paused = False
        self.slow_ms = 0
        self.inbox: list[Event] = []
        self.node: Node | None = None
        self._due = -1
        self.first: Roster | None = None  # of one that joins: the members as they were then
        self.wires = Wires(self)

    def start(self) -> None:
        if self.name in self.world.gone:
            return
        self.life += 1
        self.up, self.paused, self.inbox, self._due, self.wires = True, False, [], -1, Wires(self)
        if isinstance(self.memory, Store):
            self.memory.snapshots = self.snapshots
        files = Files(self.snapshots, Path("snapshots"), self.memory, piece_bytes=PIECE)
        try:
            journal = files.opened(self.disk, segment_bytes=1 << 14)
        except HostFault:  # no room to finish an install: the supervisor tries again
            self.up = False
            self.world.later(200, lambda: None if self.up else self.start())
            return
        self.flusher = Flusher(self, journal)
        self.shelf = Shelf(self, files)
        roster = self.first or self.world.founding
        start = Start(self.name, roster, self.memory.applied_index(), self.memory.last_stamp_ms())
        if journal.vote.term < self.world.said_term.get(self.name, 0):
            raise Broken(f"{self.name} has forgotten term {self.world.said_term[self.name]}")
        self.node = Node(
            start, journal, self.flusher, Applier(self), self.shelf, self.wires, self.clock, Chance(self.world),
            self.world.lines, timing=Timing(proposal_ms=3000), retention=self.world.retention, applied=self._applied,
        )  # fmt: skip
        self.world.watch(self)
        self.wake()

    def stop(self, *, power: bool) -> None:
        """Kill the process; with ``power`` whatever was not flushed may be lost, in pieces."""
        self.life += 1
        if not self.up:
            return
        self.up, self.node = False, None
        self.flusher.die(self.world.chance)
        self.shelf.die(self.world.chance)
        if power:
            self.disk = self.disk.found(self.world.chance)
            self.snapshots = self.snapshots.found(self.world.chance)
        self.memory = self.memory.found(self.world.chance if power else None)
        for peer in self.world.hosts.values():
            if peer is not self:
                self.world.disconnect(self, peer, reset=not power)

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

    def hear(self, event: Event) -> None:
        if self.up:
            self.inbox.append(event)
            self.wake()

    def wake(self) -> None:
        self.at(self.world.now)

    def at(self, when: int) -> None:
        """A turn is due then, unless one is due before."""
        if self.up and not self.paused and (self._due < 0 or when < self._due):
            self._due = when
            life = self.life
            self.world.at(when, lambda: self._turn(life, when))

    def go_on(self) -> None:
        """After a pause."""
        if self.paused:
            self.paused, self._due = False, -1
            self.wake()

    def _turn(self, life: int, when: int) -> None:
        if life != self.life or self.paused or self._due != when or self.node is None:
            return
        self._due = -1
        self.wires.dial()
        events, self.inbox = self.inbox, []
        following = self.node.turn(events)
        self.world.look(self)
        if self.node is not None and not self.node.stopped:
            self.at(max(following, self.world.now + 1))

    def _applied(self, entry: Entry, applied: Applied) -> None:
        self.world.applied(self, entry)
        if self.world.chance.random() < 0.02:
            self.memory.checkpoint()


class Wires:
    """A host's end of the network, for one life of its process: ``mesh`` decides as in production."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._life = host.life
        self._trying: set[str] = set()
        self.mesh = Mesh(host.name)

    def send(self, peer: str, frame: bytes) -> None:
        self._host.world.send(self._host.name, peer, frame)

    def set_members(self, roster: Roster, electable: Set[str]) -> None:
        world, name = self._host.world, self._host.name
        mine = world.lines_of(name)
        self.mesh.set_members(roster.ids, electable, {*mine, *self._trying}, world.now)
        for peer in mine:
            if peer not in self.mesh.members:
                self.drop(peer, "no member any more")
        self._trying.difference_update(self.mesh.useless(self._trying))
        for peer in self.mesh.useless(peer for peer in world.lines_of(name) if world.dialled(name, peer)):
            self.drop(peer, "neither of the two may lead")

    def drop(self, peer: str, reason: str) -> None:
        self._host.world.hang_up(self._host, self._host.world.hosts[peer])

    def dial(self) -> None:
        """As a poll does."""
        world = self._host.world
        for peer in self.mesh.dial(world.now):
            self._trying.add(peer)
            slow = world.is_cut(self._host.name, peer)
            world.later(world.chance.randrange(*((100, 1500) if slow else (1, 6))), lambda peer=peer: self._try(peer))

    def _try(self, peer: str) -> None:
        """A dial gets through, or does not."""
        world, other = self._host.world, self._host.world.hosts.get(peer)
        if self._host.life != self._life or peer not in self._trying:
            return
        if other is not None and other.up and other.paused:  # its kernel answers; nobody shakes hands
            world.later(100, lambda: self._try(peer))
            return
        self._trying.discard(peer)
        if other is None or not other.up or world.is_cut(self._host.name, peer):
            if peer not in world.lines_of(self._host.name):
                self.mesh.lost(peer, world.now)
        else:
            world.connect(self._host, other)


class World:
    """Hosts, lines, time; and the invariants, looked at after every turn."""

    honest = True  # False, a mutant: what is sealed as a snapshot is not flushed

    def __init__(
        self, seed: int, *, voters: int = 3, observers: int = 0, dedup: bool = True, retention: Retention | None = None
    ) -> None:
        self.chance = random.Random(seed)
        self.now = 1
        self.dedup = dedup
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.voters = [f"n{number}" for number in range(1, voters + 1)]
        names = [*self.voters, *(f"o{number}" for number in range(1, observers + 1))]
        self.hosts = {name: self.host(name) for name in names}
        self.founding = founded(dict.fromkeys(self.hosts, ""), frozenset(self.voters))
        self.retention = retention or Retention()
        self.installs = 0
        self.on_install: Callable[[Host], None] = lambda host: None
        self._lines: dict[tuple[str, str], int] = {}  # the life of each line that is up
        self._line_count = itertools.count(1)
        self._dialler: dict[frozenset[str], str] = {}  # of each line that is up, or was
        self._closing: dict[tuple[str, str], int] = {}  # the first has closed it; what it said before is on its way
        self._mute: set[tuple[str, str]] = set()  # nothing has come over it to the first of the two
        self._arrives: dict[tuple[str, str], int] = {}
        self.cut: set[tuple[str, str]] = set()
        self.gone: set[str] = set()  # who does not start again
        self._stalled: dict[tuple[str, str], list[tuple[int, bytes]]] = {}
        self.leaders: dict[int, str] = {}
        self.contents: dict[tuple[int, int], int] = {}
        self.committed: dict[int, tuple[int, int]] = {}
        self.said_term: dict[str, int] = {}
        self.votes: dict[tuple[str, int], str] = {}
        self.highest: dict[str, int] = {}
        self.turns = 0
        self.slow_lines = 0.02
        self.lines = QUIET

    def host(self, name: str) -> Host:
        """One of them."""
        return Host(self, name)

    def memory(self, name: str) -> Memory:
        """What a new host has."""
        return Store(dedup=self.dedup)

    # Time.

    def at(self, when: int, what: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (when, next(self._order), what))

    def later(self, in_ms: int, what: Callable[[], None]) -> None:
        self.at(self.now + in_ms, what)

    def run(self, until: int, *, stop: Callable[[], bool] = lambda: False) -> None:
        """Let time pass; the core's own clock is the world's meanwhile (the third seam, in tests only)."""
        real = pysyncobj.syncobj.monotonicTime
        pysyncobj.syncobj.monotonicTime = lambda: self.now / 1000
        try:
            while not stop() and self.happen(until):
                pass
        finally:
            pysyncobj.syncobj.monotonicTime = real
        if not stop():
            self.now = max(self.now, until)

    def happen(self, until: int) -> bool:
        """The next thing that happens; False when nothing does until then."""
        if not self._queue or self._queue[0][0] > until:
            return False
        when, _, what = heapq.heappop(self._queue)
        self.now = max(self.now, when)
        what()
        return True

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

    def lead_passed_from(self, leader: Host) -> Callable[[], bool]:
        """Somebody else leads."""
        return lambda: self.leader() not in (None, leader)

    def trace(self) -> str:
        """What happened, in few bytes: equal for equal runs."""
        seen = (self.turns, self.now, sorted(self.committed.items()), sorted(self.leaders.items()))
        return f"{zlib.crc32(repr(seen).encode()):08x}"

    # Lines.

    def is_cut(self, one: str, other: str) -> bool:
        """Nobody of the two can open a line to the other."""
        return (one, other) in self.cut or (other, one) in self.cut

    def lines_of(self, name: str) -> list[str]:
        """To whom a host has a line."""
        return [far for near, far in self._lines if near == name]

    def dialled(self, name: str, peer: str) -> bool:
        """Its line to ``peer`` was opened by this end."""
        return self._dialler[frozenset((name, peer))] == name

    def connect(self, one: Host, other: Host) -> None:
        """``one`` has dialled, and both have proved who they are."""
        pair = (one.name, other.name)
        for ended in (pair, pair[::-1]):
            self._closed(ended, self._closing.get(ended, 0))
        if one.name not in other.wires.mesh.members or other.name not in one.wires.mesh.members:
            if pair not in self._lines:
                one.hear(Up(other.name))  # it hears of the refusal when its own part is done
                one.hear(Down(other.name, reset=True))
                one.wires.mesh.lost(other.name, self.now, mute=True)
            return
        if pair in self._lines:
            if not replaces(*pair, old_dialled=self.dialled(*pair), new_dialled=True):
                return
            self.disconnect(one, other, reset=False)
        self._dialler[frozenset(pair)] = one.name
        for side, far in (pair, pair[::-1]):
            self._lines[side, far] = next(self._line_count)
            self._stalled.pop((side, far), None)
            self._mute.add((side, far))
            self.hosts[side].wires.mesh.up(far)
            self.hosts[side].hear(Up(far))

    def disconnect(self, one: Host, other: Host, *, reset: bool) -> None:
        if self._lines.pop((one.name, other.name), None) is None:
            return
        self._lines.pop((other.name, one.name))
        self._ends((other.name, one.name), reset=reset)
        self._ends((one.name, other.name), reset=False)

    def hang_up(self, one: Host, other: Host) -> None:
        """By ``one``; what it has said before still arrives, as TCP has it."""
        pair = (one.name, other.name)
        line = self._lines.pop(pair, None)
        if line is None:
            return
        self._lines.pop(pair[::-1])
        self._ends(pair, reset=False)
        self._closing[pair] = line
        life = other.life
        when = max(self.now, self._arrives.get(pair, 0))
        self.at(when, lambda: self._closed(pair, line) if other.life == life else None)

    def _closed(self, pair: tuple[str, str], line: int) -> None:
        if line and self._closing.get(pair) == line:
            del self._closing[pair]
            self._ends(pair[::-1], reset=True)

    def _ends(self, pair: tuple[str, str], *, reset: bool) -> None:
        """The first of the two has no line to the other any more."""
        near, far = pair
        self.hosts[near].wires.mesh.lost(far, self.now, mute=pair in self._mute)
        self._mute.discard(pair)
        self.hosts[near].hear(Down(far, reset))

    def send(self, sender: str, receiver: str, frame: bytes) -> None:
        pair = (sender, receiver)
        line = self._lines.get(pair)
        if line is None:
            return
        self._said(sender, receiver, messages.decode(frame))
        if pair in self.cut:
            self._stalled.setdefault(pair, []).append((line, frame))
            return
        self._carry(pair, line, frame)

    def _carry(self, pair: tuple[str, str], line: int, frame: bytes) -> None:
        slow = self.chance.random() < self.slow_lines
        when = self.now + (self.chance.randrange(20, 120) if slow else self.chance.randrange(0, 3))
        when = max(when, self._arrives.get(pair, 0))  # a line keeps its order
        self._arrives[pair] = when

        def arrive() -> None:
            if line in (self._lines.get(pair), self._closing.get(pair)):
                self._mute.discard(pair[::-1])
                self.hosts[pair[1]].wires.mesh.heard(pair[0])
                self.hosts[pair[1]].hear(Heard(pair[0], frame))

        self.at(when, arrive)

    def heal(self) -> None:
        """All cuts end: what was stalled on a line comes now, late; half of the lines break instead."""
        self.cut.clear()
        stalled, self._stalled = self._stalled, {}
        for pair, frames in stalled.items():
            if self.chance.random() < 0.5:
                self.disconnect(self.hosts[pair[0]], self.hosts[pair[1]], reset=False)
                continue
            for line, frame in frames:
                self._carry(pair, line, frame)

    # Invariants.

    def watch(self, host: Host) -> None:
        """Every entry that a log takes in is looked at: (index, term) fixes it."""
        assert host.node is not None
        log = host.node.log
        add = log.add

        def looked(command: bytes, idx: int, term: int) -> None:
            add(command, idx, term)
            stored, index, term = log[-1]
            digest, place = zlib.crc32(stored), (index + log.shift, term)
            if self.contents.setdefault(place, digest) != digest:
                raise Broken(f"{host.name}: entry {place} has two contents")

        log.add = looked  # type: ignore[method-assign]

    def _said(self, sender: str, receiver: str, frame: messages.Frame) -> None:
        if isinstance(frame.body, messages.Append | messages.Ack | messages.AskVote | messages.Vote):
            self.said_term[sender] = max(self.said_term.get(sender, 0), frame.term)
        if isinstance(frame.body, messages.Vote):
            place = (sender, frame.body.term)
            if self.votes.setdefault(place, receiver) != receiver:
                raise Broken(f"{sender} has voted twice in term {frame.body.term}")
        if isinstance(frame.body, messages.AskVote):
            place = (sender, frame.body.term)
            if self.votes.setdefault(place, sender) != sender:
                raise Broken(f"{sender} stands in term {frame.body.term}, in which it has voted for another")

    def look(self, host: Host) -> None:
        self.turns += 1
        node = host.node
        assert node is not None
        if node.halted:
            raise Broken(f"{host.name} halted: {node.halted}")
        if node.core.leading:
            leader = self.leaders.setdefault(node.core.term, host.name)
            if leader != host.name:
                raise Broken(f"{leader} and {host.name} lead term {node.core.term}")
        if node.core.term < self.highest.get(f"{host.name}/{host.life}", 0):
            raise Broken(f"{host.name}'s term fell")
        self.highest[f"{host.name}/{host.life}"] = node.core.term

    def applied(self, host: Host, entry: Entry) -> None:
        found = (entry.term, zlib.crc32(msgspec.msgpack.encode(entry)))
        if self.committed.setdefault(entry.index, found) != found:
            raise Broken(f"{host.name} applied another entry {entry.index}")

    def leader(self) -> Host | None:
        """The host that leads the newest term, if one does."""
        leading = [host for host in self.hosts.values() if host.node is not None and host.node.core.leading]
        return max(leading, key=lambda host: host.node.core.term if host.node else 0, default=None)
