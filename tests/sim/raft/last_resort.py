"""One seed of the last resort: most voters are lost for ever in the midst of a storm, a person says so, and a survivor
goes on by the code of production (``raft.recovery``, ``daemon.recovery``), also if it dies on the way. Then those who
were given up come back as they were, and newcomers join."""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from pathlib import Path

import msgspec
from sim.raft.faults import Faults
from sim.raft.invariants import Broken, Invariants
from sim.raft.linear import Operation
from sim.raft.registers import Put
from sim.raft.storm import SHORT, Client, Storm
from sim.raft.timeline import Chance
from sim.raft.world import QUIET, Host, World

from girginosvm.core import codec
from girginosvm.core.access import Actor, Role
from girginosvm.core.codec import Outcome
from girginosvm.core.entries import Change, Entry
from girginosvm.core.errors import Problem
from girginosvm.daemon import recovery as doing
from girginosvm.raft import recovery as deciding
from girginosvm.raft.alone import Alone
from girginosvm.raft.cluster import look
from girginosvm.raft.log import roster_of
from girginosvm.raft.node import Node

PATIENCE_MS = 2500  # before a person believes it
ENDS_MS = 9500
ROOT = msgspec.msgpack.encode(Actor("local", "local", "root", Role.ADMIN, "local"))


class TwoClusters(Invariants):
    """Each cluster has a history of its own; terms and entries never meet (``leaders``, ``contents``), nor members."""

    def __init__(self) -> None:
        super().__init__()
        self.recovered: set[str] = set()
        self._after: dict[int, tuple[int, int]] = {}
        self.changed_at = 0  # the newest change of members that the old cluster has applied

    def applied(self, name: str, entry: Entry) -> None:
        if entry.change is not None and name not in self.recovered:
            self.changed_at = max(self.changed_at, entry.index)
        super().applied(name, entry)

    def history(self, name: str) -> dict[int, tuple[int, int]]:
        return self._after if name in self.recovered else self.committed

    def turned(self, name: str, life: int, node: Node) -> None:
        super().turned(name, life, node)
        leader = node.core.leader
        if leader and (leader in self.recovered) != (name in self.recovered):
            raise Broken(f"{name} follows {leader}, which is of the other cluster")


class Parted(World):
    """A world with two clusters, in the end; ``recovered`` are those of the new one."""

    invariants: TwoClusters

    def __init__(self, seed: int, *, voters: int, observers: int) -> None:
        # A newcomer takes a snapshot; or reads the whole log, and meets the old members in it.
        retention = SHORT if seed // 4 % 2 else None
        super().__init__(seed, voters=voters, observers=observers, retention=retention, invariants=TwoClusters())
        self.recovered = self.invariants.recovered

    def leader(self) -> Host | None:
        """Of the old cluster: what its agents still ask for, the new one is not asked for."""
        return None if self.recovered else super().leader()


class LastResort(Storm):
    """``outcome`` says what became of it: "recovered", or why nothing was to recover."""

    more = ("join",)
    ends_ms = ENDS_MS

    def __init__(self, seed: int) -> None:
        world = Parted(seed, voters=2 + seed % 4, observers=seed // 8 % 2)
        Faults.__init__(self, world, 10**9)
        self.parted = world
        self.history = defaultdict(list[Operation])
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self.open_writes: dict[str, tuple[str, int]] = {}
        self.busy = 4
        self.outcome = ""
        self.whole = False

    def any_host(self) -> Host | None:
        """Nobody asks the old cluster once it is given up."""
        mine = self.parted.recovered or set(self.world.hosts)
        up = [host for name, host in self.world.hosts.items() if name in mine and host.up and not host.paused]
        return self.world.chance.choice(up) if up else None

    def run(self) -> None:
        """Broken when anything that must hold does not."""
        world = self.parted
        world.start()
        for number in range(self.busy):
            world.later(500 + number, Client(self, number).go)
        world.later(700, self._join)
        world.later(1000, self.strike)
        self.until_ms = world.chance.randrange(2500, 4000)
        world.run(self.until_ms - 300)
        if world.chance.random() < 0.5:
            self._cut()  # whoever that is lacks something when the others burn
        world.run(self.until_ms)
        survivor = world.chance.choice(list(world.hosts.values()))
        self._burn(survivor)
        world.run(world.now + PATIENCE_MS)
        with tempfile.TemporaryDirectory() as folder:
            found = self._decided(survivor, Path(folder))
            if found is None:
                return
            self._goes_on(found, Path(folder))
        self._comes_back(found)
        self._judge_recovered(found)

    def _burn(self, survivor: Host) -> None:
        """Most of those who vote, as the survivor knows it, and perhaps more."""
        world = self.parted
        voters = survivor.node.log.roster.voters if survivor.node else frozenset(world.voters)
        others = sorted(voters - {survivor.name})
        world.chance.shuffle(others)
        least = min(len(voters) - len(voters) // 2, len(others))
        world.gone = set(others[: world.chance.randrange(least, len(others) + 1)])
        for name in sorted(world.gone):
            world.hosts[name].stop(power=world.chance.random() < 0.5)
        self.calm()

    def _decided(self, survivor: Host, folder: Path) -> Host | None:
        """A person does what the command says: the node that may go on, once that is on its disk."""
        for _ in range(len(self.world.hosts)):
            node = survivor.member
            status = look(node, survivor.flusher.journal, self.world.now, last_stamp_ms=survivor.store.last_stamp_ms())
            sight = doing.sight_of(status)
            logs = {one: self.world.hosts[one].member.log.last for one in node.reached if self.world.hosts[one].up}
            gone = (sight.members | sight.voters | sight.electable) & self.parted.gone
            verdict = deciding.decide(sight, gone, logs, {})
            if isinstance(verdict, deciding.Recovery):
                # It is promised for the voters that this log knows: somebody may have gone on without its vote.
                self.whole = verdict.whole and node.log.changed_at >= self.parted.invariants.changed_at
                words = deciding.Wish(tuple(sorted(gone)), (), "I saw them burn", ROOT)
                doing.take(folder, status, words, survivor.clock, Chance(self.world))
                return survivor
            if verdict.code == "recover-elsewhere":
                survivor = self.world.hosts[max(logs, key=lambda one: (logs[one].term, logs[one].index))]
            elif verdict.code in ("recover-needless", "recover-no-log", "recover-unaccounted"):
                self.outcome = verdict.code
                return None
            else:
                raise Broken(f"{survivor.name}: {verdict.code}: {verdict.reason}")
        raise Broken("each survivor says that another one has more")

    def _goes_on(self, host: Host, folder: Path) -> None:
        """Its next lives, until one has done all of it; the others are switched off by then."""
        world = self.parted
        self.held = self._in_log(host) | set(host.store.executed)
        for other in world.hosts.values():
            other.stop(power=False)
        world.gone = set(world.hosts) - {host.name}
        world.recovered.add(host.name)
        for life in range(12):
            host.disk.fuse = world.chance.randrange(0, 14) if life < 10 and world.chance.random() < 0.7 else -1
            try:
                asyncio.run(self._alone(host, folder))
            except (Problem, OSError):
                pass
            else:
                break
            finally:
                host.disk.fuse = -1
                host.disk = host.disk.found(world.chance)
                host.memory = host.memory.found(world.chance)
        if list(folder.iterdir()):
            raise Broken("what was decided is never done")
        host.start()
        self.outcome = "recovered"

    async def _alone(self, host: Host, folder: Path) -> None:
        """One life of the raft process, as ``daemon.raft`` composes it."""
        store, chance = host.store, Chance(self.world)
        plan = doing.found(folder, host.name)
        _, journal = host.opened()
        if plan is not None:
            roster = roster_of(journal) or self.world.founding
            doing.settle(journal, roster, plan, QUIET, stamp_ms=store.last_stamp_ms())
        alone = Alone(journal, store, host.clock, QUIET, node=host.name)
        await alone.start()

        async def says(command: bytes) -> bytes:
            """The registers have no words for it but a write."""
            request = codec.envelope(command).request_id
            await alone.propose(msgspec.msgpack.encode(Put(request, "recovered", request)))
            return codec.encode(Outcome(alone.status().applied_index))

        try:
            if plan is not None:
                await doing.record(folder, plan, says, host.clock, chance, stamp_ms=store.last_stamp_ms())
        finally:
            await alone.stop()

    @staticmethod
    def _in_log(host: Host) -> set[str]:
        """Requests in the survivor's own log, acknowledged or not."""
        log = host.member.log
        entries = [log.entry(index) for index in range(log.first_index, log.last.index + 1)]
        return {msgspec.msgpack.decode(data, type=Put).id for entry in entries for data in entry.commands}

    def _comes_back(self, host: Host) -> None:
        """Who was given up, with all that it had; and two who never were there, one after the other."""
        world = self.parted
        old = sorted(world.gone)
        world.gone = set()
        for name in old:
            world.later(world.chance.randrange(0, 1500), world.hosts[name].start)
        for name in ("y1", "y2"):
            world.recovered.add(name)
            for kind in ("add", "nominate", "promote"):
                self._changed(host, Change(kind, name))
                if kind == "add":
                    joiner = world.hosts[name] = world.host(name)
                    joiner.first = host.member.log.roster
                    joiner.start()
                if kind == "nominate" and world.chance.random() < 0.3:
                    host.stop(power=True)
                    host.start()
        world.run(max(world.now, ENDS_MS), stop=lambda: not self.busy and world.now > ENDS_MS)
        world.run(world.now + 8000, stop=lambda: not self.busy)

    def _changed(self, host: Host, change: Change) -> None:
        answers: list[bytes | Problem] = []
        while b"" not in answers:
            if len(answers) > 40:
                raise Broken(f"{change} is never made: {answers[-1]}")
            leader = next((one for one in self._new() if one.up and one.member.core.leading), host)
            leader.member.change(change, answers.append)
            leader.wake()
            self.world.run(self.world.now + 150)

    def _new(self) -> list[Host]:
        return [self.world.hosts[name] for name in sorted(self.parted.recovered) if name in self.world.hosts]

    def _judge_recovered(self, host: Host) -> None:
        answers: list[bytes | Problem] = []
        host.propose(Put("last", "last", "last"), answers.append)
        self.world.run(self.world.now + 6000, stop=lambda: bool(answers) and self._same())
        if not answers or not isinstance(answers[-1], bytes) or not self._same():
            raise Broken(f"no write is possible after the recovery: {answers}")
        executed = host.store.executed
        if len(executed) != len(set(executed)):
            raise Broken("a request was executed twice")
        acknowledged = set(self.acknowledged)
        lost = (acknowledged if self.whole else acknowledged & (self.held | self._since())) - set(executed)
        if lost:
            raise Broken(f"acknowledged, {'promised' if self.whole else 'held'}, and lost: {sorted(lost)}")
        undead = set(self.refused) & set(executed)
        if undead:
            raise Broken(f"refused as not done, and done: {sorted(undead)}")
        if self.whole:
            self._linear(set(executed))
        for one in self.world.hosts.values():
            if one.member.stopped or (one.name not in self.parted.recovered and "last" in one.store.registers):
                raise Broken(f"{one.name} of the old cluster: {one.member.stopped or 'has a write of the new one'}")

    def _since(self) -> set[str]:
        """What was asked for the first time after the recovery."""
        return {name for name, (_, began) in self.open_writes.items() if began > self.until_ms + PATIENCE_MS}

    def _same(self) -> bool:
        """The new members have applied the same, and know themselves and nobody of old."""
        new = self._new()
        return all(
            one.store.executed == new[0].store.executed
            and one.member.log.roster.ids == self.parted.recovered
            and one.member.core.voters == self.parted.recovered
            and "last" in one.store.registers
            for one in new
        )
