"""What goes wrong in a storm, at the worst time: deaths, power, partitions, slow and full disks, clocks, members."""

from __future__ import annotations

from sim.raft.invariants import Broken
from sim.raft.world import Host, World

from girginosvm.core.entries import Change
from girginosvm.core.errors import Problem

JOINERS = 2


class Faults:
    """One after the other, from ``strike`` on until ``until_ms``; ``calm`` ends them all."""

    more: tuple[str, ...] = ()

    def __init__(self, world: World, until_ms: int) -> None:
        self.world = world
        self.until_ms = until_ms
        self.faults: list[str] = []
        self.changed: list[Change] = []
        self.lost = 0

    def strike(self) -> None:
        """The next one, and when the one after it comes."""
        world = self.world
        if world.now >= self.until_ms:
            return
        name = world.chance.choice(
            ["kill", "kill_all", "power", "power", "power_all", "pause", "cut", "one_way", "bridge", "slow", "hang",
             "full", "clock", "transfer", "heal", "members", "members", "members", *self.more]
        )  # fmt: skip
        self.faults.append(f"{world.now} {name}")
        getattr(self, f"_{name}")()
        world.later(world.chance.randrange(50, 900), self.strike)

    def _some(self) -> Host:
        """A host, the leader more often than not."""
        leader = self.world.leader()
        if leader is not None and self.world.chance.random() < 0.5:
            return leader
        return self.world.chance.choice(list(self.world.hosts.values()))

    def _down(self, host: Host, *, power: bool) -> None:
        host.stop(power=power)
        self.world.later(self.world.chance.randrange(10, 1200), lambda: None if host.up else host.start())

    def _kill(self) -> None:
        self._down(self._some(), power=False)

    def _power(self) -> None:
        self._down(self._some(), power=True)

    def _kill_all(self) -> None:
        for host in self.world.hosts.values():
            self._down(host, power=False)

    def _power_all(self) -> None:
        for host in self.world.hosts.values():
            self._down(host, power=True)

    def _pause(self) -> None:
        host = self._some()
        host.paused = True
        self.world.later(self.world.chance.randrange(100, 2000), host.go_on)

    def _cut(self) -> None:
        host = self._some()
        for peer in self.world.hosts:
            self.world.network.part(host.name, peer)
        self._heal_later()

    def _one_way(self) -> None:
        host = self._some()
        inward = self.world.chance.random() < 0.5
        for peer in self.world.hosts:
            self.world.network.cut.add((peer, host.name) if inward else (host.name, peer))
        self._heal_later()

    def _bridge(self) -> None:
        one, other = self.world.chance.sample(list(self.world.hosts), 2)
        self.world.network.part(one, other)
        self._heal_later()

    def _heal_later(self) -> None:
        self.world.later(self.world.chance.randrange(100, 2500), self.world.network.heal)

    def _heal(self) -> None:
        self.world.network.heal()

    def _slow(self) -> None:
        host = self._some()
        host.slow_ms = self.world.chance.randrange(10, 600)
        self.world.later(self.world.chance.randrange(200, 2000), lambda: setattr(host, "slow_ms", 0))

    def _hang(self) -> None:
        host = self._some()
        host.slow_ms = -1
        self.world.later(self.world.chance.randrange(500, 5000), lambda: setattr(host, "slow_ms", 0))

    def _full(self) -> None:
        host = self._some()
        host.disk.room = 0

        def room() -> None:
            host.disk.room = 1 << 40
            if host.node is not None and host.node.stopped:
                host.stop(power=False)
                host.start()

        self.world.later(self.world.chance.randrange(200, 1500), room)

    def _lose(self) -> None:
        """A database is gone, and the journal was compacted: what is before it is durable in another one."""
        host = self._some()
        whole = [one for one in self.world.hosts.values() if one.node is not None and not one.node.lacking]
        if host.node is None or len(whole) < len(self.world.hosts):
            return
        base = host.node.log.first_index - 1
        if base and any(one is not host and one.store.durable >= base for one in whole):
            host.stop(power=self.world.chance.random() < 0.5)
            host.memory = self.world.memory(host.name)
            self.lost += 1
            self.world.later(self.world.chance.randrange(10, 1200), lambda: None if host.up else host.start())

    def _clock(self) -> None:
        self._some().clock.wall_offset_ms += self.world.chance.choice([-(10**8), 10**8, -5000, 5000])

    def _transfer(self) -> None:
        leader = self.world.leader()
        if leader is not None and leader.node is not None:
            leader.node.hand_over(self.world.chance.choice(self.world.voters))
            leader.wake()

    def _members(self) -> None:
        """Give a learner a vote, in its two steps, or take one from a voter; often during another change."""
        leader = self.world.leader()
        if leader is None:
            return
        member = self.world.chance.choice(leader.member.log.roster.members)
        kind = "demote" if member.voter else "promote" if member.nominated else "nominate"
        change = Change(kind, member.id)

        def answer(outcome: bytes | Problem) -> None:
            if isinstance(outcome, bytes):
                self.changed.append(change)

        leader.member.change(change, answer)
        leader.wake()

    def install(self, host: Host) -> None:
        """The worst time to lose power: the database holds a snapshot, and the journal does not go on after it yet."""
        if self.world.now < self.until_ms and self.world.chance.random() < 0.4:
            life = host.life
            self.world.later(
                self.world.chance.randrange(0, 4), lambda: self._down(host, power=True) if host.life == life else None
            )

    def _join(self) -> None:
        """A node that has nothing comes as a learner; it is asked for until it is in, as a leader's agent does."""
        world = self.world
        name = f"x{sum(one.startswith('x') for one in world.hosts) + 1}"
        if name == f"x{JOINERS + 1}":
            return
        host = world.hosts[name] = world.host(name)

        def add() -> None:
            leader = world.leader()
            if leader is not None and name in leader.member.log.settled(leader.member.core.committed).ids:
                return
            if leader is not None:
                leader.member.change(Change("add", name), lambda answer: None)
                leader.wake()
            world.later(world.chance.randrange(100, 400), add)

        add()
        host.start()

    def calm(self) -> None:
        """All is whole again. Broken when a member has stopped for another reason than its disk."""
        self.world.network.heal()
        for host in self.world.hosts.values():
            host.slow_ms, host.disk.room = 0, 1 << 40
            if host.node is not None and host.node.stopped:
                if not host.node.stopped.startswith(("the journal's disk", "the database lacks")):
                    raise Broken(f"{host.name} stopped: {host.node.stopped}")
                host.stop(power=False)
            host.go_on()
            if not host.up:
                host.start()
