"""Lines between hosts, in virtual time: they stall, break, end in order or not, and deliver late. Who dials whom, and
which of two lines stays, decides the mesh of production."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Set

from sim.raft.machine import Machine
from sim.raft.timeline import Timeline

from girginosvm.raft import messages
from girginosvm.raft.lines import Down, Heard, Up
from girginosvm.raft.membership import Roster
from girginosvm.raft.mesh import Mesh, replaces

Pair = tuple[str, str]


class Wires:
    """A host's end of the network, for one life of its process."""

    def __init__(self, machine: Machine, network: Network) -> None:
        self.machine = machine
        self._network = network
        self._trying: set[str] = set()
        self.mesh = Mesh(machine.name)

    def send(self, peer: str, frame: bytes) -> None:
        self._network.send(self.machine.name, peer, frame)

    def set_members(self, roster: Roster, electable: Set[str], guests: Set[str] = frozenset()) -> None:
        network, name = self._network, self.machine.name
        mine = network.lines_of(name)
        self.mesh.set_members(roster.ids, electable, {*mine, *self._trying}, self.machine.time.now, guests)
        for peer in mine:
            if peer not in self.mesh.members:
                self.drop(peer, "no member any more")
        self._trying.difference_update(self.mesh.useless(self._trying))
        for peer in self.mesh.useless(peer for peer in network.lines_of(name) if network.dialled(name, peer)):
            self.drop(peer, "neither of the two may lead")

    def drop(self, peer: str, reason: str) -> None:
        self._network.hang_up(self.machine.name, peer)

    def dial(self) -> None:
        """As a poll does."""
        time = self.machine.time
        for peer in self.mesh.dial(time.now):
            self._trying.add(peer)
            slow = self._network.is_cut(self.machine.name, peer)
            in_ms = time.chance.randrange(*((100, 1500) if slow else (1, 6)))
            self.machine.later(in_ms, lambda peer=peer: self._try(peer))

    def _try(self, peer: str) -> None:
        """A dial gets through, or does not."""
        if peer not in self._trying:
            return
        name, other = self.machine.name, self._network.ends.get(peer)
        if other is not None and other.machine.up and other.machine.paused:
            self.machine.later(100, lambda: self._try(peer))  # its kernel answers; nobody shakes hands
            return
        self._trying.discard(peer)
        if other is None or not other.machine.up or self._network.is_cut(name, peer):
            if peer not in self._network.lines_of(name):
                self.mesh.lost(peer, self.machine.time.now)
        else:
            self._network.connect(name, peer)


class Network:
    """``cut`` are pairs between which no frame gets through, in that direction. ``said`` hears every frame."""

    def __init__(self, time: Timeline, said: Callable[[str, str, messages.Frame], None]) -> None:
        self._time = time
        self._said = said
        self.ends: dict[str, Wires] = {}
        self.cut: set[Pair] = set()
        self.slow_lines = 0.02  # of all frames
        self._lines: dict[Pair, int] = {}  # the life of each line that is up
        self._line_count = itertools.count(1)
        self._dialler: dict[frozenset[str], str] = {}  # of each line that is up, or was
        self._closing: dict[Pair, int] = {}  # the first has closed it; what it said before is on its way
        self._mute: set[Pair] = set()  # nothing has come over it to the first of the two
        self._arrives: dict[Pair, int] = {}
        self._stalled: dict[Pair, list[tuple[int, bytes]]] = {}

    def plug(self, machine: Machine) -> Wires:
        """The end of its next process."""
        self.ends[machine.name] = Wires(machine, self)
        return self.ends[machine.name]

    def unplug(self, name: str, *, reset: bool) -> None:
        """Its process has ended; the others hear of that only with ``reset``."""
        for peer in self.ends:
            self._disconnect(name, peer, reset=reset)

    def is_cut(self, one: str, other: str) -> bool:
        """Nobody of the two can open a line to the other."""
        return (one, other) in self.cut or (other, one) in self.cut

    def part(self, one: str, other: str) -> None:
        """Cut in both directions."""
        self.cut |= {(one, other), (other, one)}

    def lines_of(self, name: str) -> list[str]:
        """To whom a host has a line."""
        return [far for near, far in self._lines if near == name]

    def dialled(self, name: str, peer: str) -> bool:
        """Its line to ``peer`` was opened by this end."""
        return self._dialler[frozenset((name, peer))] == name

    def connect(self, one: str, other: str) -> None:
        """``one`` has dialled, and both have proved who they are."""
        pair = (one, other)
        for ended in (pair, pair[::-1]):
            self._closed(ended, self._closing.get(ended, 0))
        if not (other in self.ends[one].mesh.members and one in self.ends[other].mesh.members):
            if pair not in self._lines:
                self._refused(one, other)
            return
        if pair in self._lines:
            if not replaces(*pair, old_dialled=self.dialled(*pair), new_dialled=True):
                return
            self._disconnect(one, other, reset=False)
        self._dialler[frozenset(pair)] = one
        for side, far in (pair, pair[::-1]):
            self._lines[side, far] = next(self._line_count)
            self._stalled.pop((side, far), None)
            self._mute.add((side, far))
            self.ends[side].mesh.up(far)
            self.ends[side].machine.hear(Up(far))

    def _refused(self, one: str, other: str) -> None:
        """It hears of that when its own part of the handshake is done."""
        end = self.ends[one]
        end.machine.hear(Up(other))
        end.machine.hear(Down(other, reset=True))
        end.mesh.lost(other, self._time.now, mute=True)

    def _disconnect(self, one: str, other: str, *, reset: bool) -> None:
        if self._lines.pop((one, other), None) is None:
            return
        self._lines.pop((other, one))
        self._ends((other, one), reset=reset)
        self._ends((one, other), reset=False)

    def hang_up(self, one: str, other: str) -> None:
        """By ``one``; what it has said before still arrives, as TCP has it."""
        pair = (one, other)
        line = self._lines.pop(pair, None)
        if line is None:
            return
        self._lines.pop(pair[::-1])
        self._ends(pair, reset=False)
        self._closing[pair] = line
        machine = self.ends[other].machine
        machine.later(max(0, self._arrives.get(pair, 0) - self._time.now), lambda: self._closed(pair, line))

    def _closed(self, pair: Pair, line: int) -> None:
        if line and self._closing.get(pair) == line:
            del self._closing[pair]
            self._ends(pair[::-1], reset=True)

    def _ends(self, pair: Pair, *, reset: bool) -> None:
        """The first of the two has no line to the other any more."""
        near, far = pair
        self.ends[near].mesh.lost(far, self._time.now, mute=pair in self._mute)
        self._mute.discard(pair)
        self.ends[near].machine.hear(Down(far, reset))

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

    def _carry(self, pair: Pair, line: int, frame: bytes) -> None:
        chance = self._time.chance
        slow = chance.random() < self.slow_lines
        when = self._time.now + (chance.randrange(20, 120) if slow else chance.randrange(0, 3))
        when = max(when, self._arrives.get(pair, 0))  # a line keeps its order
        self._arrives[pair] = when

        def arrive() -> None:
            if line in (self._lines.get(pair), self._closing.get(pair)):
                end = self.ends[pair[1]]
                self._mute.discard(pair[::-1])
                end.mesh.heard(pair[0])
                end.machine.hear(Heard(pair[0], frame))

        self._time.at(when, arrive)

    def heal(self) -> None:
        """All cuts end: what was stalled on a line comes now, late; half of the lines break instead."""
        self.cut.clear()
        stalled, self._stalled = self._stalled, {}
        for pair, frames in stalled.items():
            if self._time.chance.random() < 0.5:
                self._disconnect(*pair, reset=False)
                continue
            for line, frame in frames:
                self._carry(pair, line, frame)
