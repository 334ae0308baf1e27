"""What of a host outlives its process, and when a turn of that process is due."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from sim.raft.disk import Disk
from sim.raft.timeline import Clock, Timeline

from girginosvm.raft.alone import StateMachine
from girginosvm.raft.lines import Event


class Memory(StateMachine, Protocol):
    """A host's state machine, over the ends of its processes."""

    def found(self, chance: random.Random | None) -> Memory:
        """What the next process finds; with ``chance`` the power was lost, and with it what was not durable."""
        ...


class Machine(ABC):
    """``life`` counts its processes. ``slow_ms`` is what each task of its disks takes longer; -1 is for ever."""

    def __init__(self, time: Timeline, name: str, memory: Memory, *, honest: bool = True) -> None:
        self.time = time
        self.name = name
        self.disk = Disk()
        self.snapshots = Disk(honest=honest)
        self.memory = memory
        self.clock = Clock(time)
        self.life = 0
        self.up = False
        self.paused = False
        self.slow_ms = 0
        self.inbox: list[Event] = []
        self._due = -1

    def begin(self) -> None:
        """The next process."""
        self.life += 1
        self.up, self.paused, self.inbox, self._due = True, False, [], -1

    def later(self, in_ms: int, what: Callable[[], None]) -> None:
        """Unless this process has ended by then."""
        life = self.life
        self.time.later(in_ms, lambda: what() if self.life == life else None)

    def hear(self, event: Event) -> None:
        if self.up:
            self.inbox.append(event)
            self.wake()

    def wake(self) -> None:
        self.at(self.time.now)

    def at(self, when: int) -> None:
        """A turn is due then, unless one is due before."""
        if self.up and not self.paused and (self._due < 0 or when < self._due):
            self._due = when
            life = self.life
            self.time.at(when, lambda: self._turn(when) if self.life == life else None)

    def go_on(self) -> None:
        """After a pause."""
        if self.paused:
            self.paused, self._due = False, -1
            self.wake()

    @abstractmethod
    def turn(self, events: list[Event]) -> int | None:
        """What its process does with them; when its next turn is due, if one is."""

    def _turn(self, when: int) -> None:
        if self.paused or self._due != when:
            return
        self._due = -1
        events, self.inbox = self.inbox, []
        following = self.turn(events)
        if following is not None:
            self.at(max(following, self.time.now + 1))
