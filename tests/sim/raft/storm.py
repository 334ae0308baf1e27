"""One seed: clients who write and read, faults that come at the worst time, and what has to hold at the end."""

from __future__ import annotations

import itertools
from collections import defaultdict

from sim.raft.faults import Faults
from sim.raft.invariants import Broken
from sim.raft.linear import NEVER, Operation, linearizable
from sim.raft.registers import Put
from sim.raft.world import Host, World

from girginosvm.core.errors import Busy, NoQuorum, Problem, Unknown
from girginosvm.raft.applying import Retention
from girginosvm.raft.mesh import useful

CLIENTS = 4
KEYS = 5
STORM_MS = 7000
CALM_MS = 8000  # at most; longer than any proposal waits
SHORT = Retention(entries=12, tail_entries=3)  # whoever is away for half a second needs a snapshot


class Client:
    """Writes (again with the same id until the outcome is known) and reads, on whichever host is up."""

    def __init__(self, storm: Storm, number: int) -> None:
        self.storm = storm
        self.number = number
        self._count = itertools.count(1)

    def go(self) -> None:
        world = self.storm.world
        if world.now >= self.storm.ends_ms:
            self.storm.busy -= 1
            return
        key = f"k{world.chance.randrange(KEYS)}"
        if world.chance.random() < 0.6:
            name = f"c{self.number}.{next(self._count)}"
            self._write(Put(name, key, name), world.now, [])
        else:
            self._read(key, world.now)

    def _pause(self) -> None:
        self.storm.world.later(self.storm.world.chance.randrange(1, 60), self.go)

    def _write(self, put: Put, began: int, tried: list[bool]) -> None:
        world = self.storm.world
        host = self.storm.any_host()
        if host is None or host.node is None:
            world.later(50, lambda: self._write(put, began, tried))
            return
        life, answered = host.life, [False]

        def again() -> None:
            """The host died with the answer, or gave none that is definite."""
            if not answered[0] and (host.life != life or world.now > began + 20_000):
                answered[0] = True
                tried.append(True)
                self._write(put, began, tried)
            elif not answered[0]:
                world.later(100, again)

        def answer(outcome: bytes | Problem) -> None:
            if answered[0]:
                return
            answered[0] = True
            if isinstance(outcome, bytes):
                self.storm.acknowledged.append(put.id)
                self.storm.history[put.key].append(Operation(began, world.now, "write", put.value))
                self._pause()
            elif isinstance(outcome, Busy | NoQuorum) and not tried and world.chance.random() < 0.5:
                self.storm.refused.append(put.id)  # surely not done, and never said again
                self._pause()
            else:
                if not isinstance(outcome, Busy | NoQuorum):
                    tried.append(True)
                world.later(world.chance.randrange(1, 40), lambda: self._write(put, began, tried))

        host.propose(put, answer)
        world.later(100, again)
        self.storm.open_writes[put.id] = (put.key, began)

    def _read(self, key: str, began: int) -> None:
        world = self.storm.world
        host = self.storm.any_host()
        if host is None or host.node is None:
            self._pause()
            return
        life, answered = host.life, [False]

        def again() -> None:
            if not answered[0] and host.life != life:
                self._pause()
            elif not answered[0]:
                world.later(100, again)

        def done(problem: Problem | None) -> None:
            answered[0] = True
            if problem is None:
                self.storm.history[key].append(Operation(began, world.now, "read", host.store.registers.get(key)))
            self._pause()

        host.node.read(done)
        host.wake()
        world.later(100, again)


class Storm(Faults):
    """``run`` raises Broken when anything that must hold does not."""

    more = ("join", "lose", "lose")
    ends_ms = STORM_MS  # for clients

    def __init__(self, seed: int, *, dedup: bool = True) -> None:
        world = World(seed, voters=5 if seed % 4 == 0 else 3, observers=seed % 3, dedup=dedup, retention=SHORT)
        super().__init__(world, STORM_MS - 1000)
        self.history: dict[str, list[Operation]] = defaultdict(list)
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self.open_writes: dict[str, tuple[str, int]] = {}
        self.busy = CLIENTS

    def any_host(self) -> Host | None:
        up = [host for host in self.world.hosts.values() if host.up and not host.paused]
        return self.world.chance.choice(up) if up else None

    def run(self) -> None:
        world = self.world
        world.start()
        for number in range(CLIENTS):
            world.later(500 + number, Client(self, number).go)
        world.later(1000, self.strike)
        world.on_install = self.install
        world.run(STORM_MS)
        self.calm()
        world.run(STORM_MS + CALM_MS, stop=lambda: not self.busy and not self._fetching())
        self._judge()

    def _fetching(self) -> bool:
        """Somebody lacks the state: a write there is refused, since it surely was not done."""
        return any(host.member.lacking for host in self.world.hosts.values())

    def _judge(self) -> None:
        world = self.world
        last: list[bytes | Problem] = []
        asked = world.hosts["n1"]
        while not last or isinstance(last[-1], Unknown):  # the id is the same: a snapshot may have had it in it
            asked.propose(Put("last", "last", "last"), last.append)
            said = len(last)
            world.run(world.now + 4000, stop=lambda said=said: len(last) > said)
            if len(last) == said or len(last) > 3:
                break
        world.run(world.now + 4000, stop=self._equal)
        world.run(world.now + 3000, stop=lambda: not self._crossed())
        if not last or not isinstance(last[-1], bytes):
            raise Broken(f"no write is possible after the storm: {last}")
        executed = asked.store.executed
        if len(executed) != len(set(executed)):
            raise Broken("a request was executed twice")
        missing = set(self.acknowledged) - set(executed)
        if missing:
            raise Broken(f"acknowledged and lost: {sorted(missing)}")
        undead = set(self.refused) & set(executed)
        if undead:
            raise Broken(f"refused as not done, and done: {sorted(undead)}")
        for host in world.hosts.values():
            if host.store.executed != executed:
                raise Broken(f"{host.name} and {asked.name} differ")
            if host.member.log.roster != asked.member.log.roster:
                raise Broken(f"{host.name} and {asked.name} know other members")
            if host.member.core.voters != host.member.log.roster.voters:
                raise Broken(f"{host.name}'s core counts other voters than its log says")
        if crossed := self._crossed():
            raise Broken(f"who may lead: {sorted(self._electable())}; lines that are missing, or of no use: {crossed}")
        self._linear(set(executed))

    def _electable(self) -> frozenset[str]:
        return self.world.hosts["n1"].member.log.roster.electable

    def _crossed(self) -> list[tuple[str, str]]:
        """Lines that the rule wants and that are not there, or the other way round."""
        return [
            (one, other) for one, other in itertools.combinations(sorted(self.world.hosts), 2)
            if useful(one, other, self._electable()) != (other in self.world.network.lines_of(one))
        ]  # fmt: skip

    def _equal(self) -> bool:
        """Everybody has applied the same, and knows the same members."""
        first = self.world.hosts["n1"]
        return all(
            host.store.applied_index() == first.store.applied_index()
            and host.member.log.roster == first.member.log.roster
            and "last" in host.store.registers
            for host in self.world.hosts.values()
        )

    def _linear(self, executed: set[str]) -> None:
        for name, (key, began) in self.open_writes.items():
            if name in executed and name not in set(self.acknowledged):
                self.history[key].append(Operation(began, NEVER, "write", name))
        for key, history in sorted(self.history.items()):
            if not linearizable(history):
                raise Broken(f"the reads of {key} fit no order of its writes")
