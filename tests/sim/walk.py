"""Random walks: what people ask, what a host does wrong, what the world does behind our back, and deaths of the agent.

Every few steps the world calms down, and five minutes later rows and host have to agree, thing by thing
(``tests/scenarios/audit.py``). ``python -m tests.sim.walk SEED`` replays one and tells it step by step.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from girginosvm.core.host import FoundDomain, Power
from girginosvm.features.network.commands import AddNetwork, RemoveNetwork
from girginosvm.features.storage.commands import AddPool, RemovePool
from girginosvm.features.vm.commands import AdoptVm, CreateVm, DestroyVm
from girginosvm.features.vm.power import RebootVm, StartVm, StopVm
from girginosvm.hypervisor.fake.domains import FakeDomains
from girginosvm.hypervisor.points import points_of
from girginosvm.hypervisor.ports import Bridges, Domains, PacketFilter, Volumes
from tests.scenarios import audit
from tests.sim.world import Node, SimLoop

PORTS = {"domains": Domains, "volumes": Volumes, "bridges": Bridges, "filter": PacketFilter}
METHODS = sorted({point.partition(":")[0] for name, port in PORTS.items() for point in points_of(port, name)})
STEPS = 36
CALM_EVERY = 12
CALM_S = 300.0


class Walk:
    """One seed."""

    def __init__(self, seed: int, root: Path, loop: SimLoop, tell: Callable[[str], None] = lambda text: None) -> None:
        self.chance = Random(seed)
        self.node = Node(root, self.chance, loop)
        self.tell = tell
        self._world = FakeDomains(self.node.host.state)
        self._loop = loop
        self._count = 0
        self._taken: dict[str, int] = {}  # volumes that somebody deleted

    def _number(self) -> int:
        self._count += 1
        return self._count

    def _pick(self, sql: str) -> Any:
        rows = self.node.engine.rows(sql)
        return self.chance.choice(rows) if rows else None

    def _ask(self, command: Any) -> None:
        self.tell(f"{command!r} -> {self.node.ask(command)}")

    # What people ask.

    def create(self) -> None:
        network = self._pick("SELECT id FROM network ORDER BY id")
        pool = self._pick("SELECT id FROM pool ORDER BY id")
        if network and pool:
            self._ask(CreateVm(name=f"m{self._number()}", image=self.node.image,
                               memory_mb=self.chance.choice((64, 4096)),
                               network=network["id"], pool=pool["id"], start=self.chance.random() < 0.8))  # fmt: skip

    def power(self) -> None:
        row = self._pick("SELECT id FROM vm ORDER BY id")
        if row:
            graceful = self.chance.random() < 0.5
            self._ask(self.chance.choice((StartVm(vm=row["id"]), RebootVm(vm=row["id"], force=graceful),
                                          StopVm(vm=row["id"], force=not graceful))))  # fmt: skip

    def destroy(self) -> None:
        row = self._pick("SELECT id FROM vm ORDER BY id")
        if row:
            self._ask(DestroyVm(vm=row["id"], purge=self.chance.random() < 0.7, force=True))

    def adopt(self) -> None:
        row = self._pick("SELECT id FROM vm_foreign ORDER BY id")
        if row:
            self._ask(AdoptVm(vm=row["id"]))

    def network(self) -> None:
        row = self._pick("SELECT id FROM network WHERE name <> 'default' ORDER BY id")
        if row and self.chance.random() < 0.4:
            self._ask(RemoveNetwork(network=row["id"]))
        else:
            self._ask(AddNetwork(name=f"n{self._number()}", bridge=f"br{self._count}", cidr=f"10.{self._count}.0.0/29"))

    def pool(self) -> None:
        row = self._pick("SELECT id FROM pool WHERE name <> 'default' ORDER BY id")
        if row and self.chance.random() < 0.4:
            self._ask(RemovePool(pool=row["id"]))
        else:
            self._ask(AddPool(name=f"p{self._number()}", path=f"/srv/p{self._count}"))

    # What a host does wrong, and what the world does.

    def fault(self) -> None:
        method, times = self.chance.choice(METHODS), self.chance.randint(1, 3)
        self.tell(f"the next {times} {method} fail")
        self.node.host.state.fail(method, "host-odd", f"{method} was refused", times=times)

    def delay(self) -> None:
        method, delay_ms = self.chance.choice(METHODS), self.chance.choice((0, 50, 3000))
        self.tell(f"{method} takes {delay_ms} ms")
        self.node.host.state.delay(method, delay_ms)

    def end(self) -> None:
        domains = self.node.host.state.section("domains")
        running = sorted(machine for machine, record in domains.items() if record["live"])
        if running:
            machine = self.chance.choice(running)
            power, reason = self.chance.choice(
                ((Power.STOPPED, "destroyed"), (Power.CRASHED, "crashed"), (Power.STOPPED, "shutdown"))
            )
            self.tell(f"{machine} ends: {reason}")
            self._world.end(machine, power=power, reason=reason)
            if self.chance.random() < 0.7:  # else the event is lost
                self.node.wake("vm", "network")

    def stranger(self) -> None:
        machine = f"{self._number():08x}-0000-4000-8000-000000000000"
        self.tell(f"somebody defines {machine}")
        self._world.put(FoundDomain(id=machine, name=f"old{self._count}", ours=False, power=Power.RUNNING,
                                    memory_bytes=1 << 26))  # fmt: skip
        self.node.wake("vm")

    def flush(self) -> None:
        self.tell("somebody flushes the guards")
        with self.node.host.state.edit("guards") as guards:
            guards["in_force"] = []

    def bridge(self) -> None:
        with self.node.host.state.edit("bridges") as bridges:
            if bridges:
                name = self.chance.choice(sorted(bridges))
                self.tell(f"somebody deletes bridge {name}")
                del bridges[name]

    def undefine(self) -> None:
        with self.node.host.state.edit("domains") as domains:
            off = sorted(
                machine for machine, record in domains.items() if not record["live"] and record["defined"]["ours"]
            )
            if off:
                machine = self.chance.choice(off)
                if not self.node.engine.rows("SELECT 1 FROM vm WHERE id = ? AND adopted = 1", machine):
                    self.tell(f"somebody undefines {machine}")
                    del domains[machine]

    def volume(self) -> None:
        with self.node.host.state.edit("volumes") as volumes:
            if volumes:
                path = self.chance.choice(sorted(volumes))
                self.tell(f"somebody deletes {Path(path).name}")
                self._taken[path] = volumes.pop(path)

    async def restart(self) -> None:
        self.tell("the agent dies and comes back")
        await self.node.stop()
        await asyncio.sleep(self.chance.uniform(0, 5))
        self.node.start()

    DEEDS = (
        (create, 6), (power, 6), (destroy, 3), (adopt, 1), (network, 2), (pool, 1), (fault, 5), (delay, 2), (end, 3),
        (stranger, 1), (flush, 1), (bridge, 1), (undefine, 1), (volume, 1), (restart, 3),
    )  # fmt: skip

    async def run(self) -> list[str]:
        """The walk, as long as all agrees whenever the world calms down; what did not."""
        self.node.start()
        deeds, weights = zip(*self.DEEDS, strict=True)
        try:
            for number in range(1, STEPS + 1):
                (deed,) = self.chance.choices(deeds, weights)
                waited = deed(self)
                if waited is not None:
                    await waited
                await asyncio.sleep(self.chance.choice((0, 0, 0.01, 0.5, 10)))
                if number % CALM_EVERY == 0 and (wrong := await self._calm()):
                    return wrong
            return []
        finally:
            await self.node.stop()
            self.node.engine.close()

    async def _calm(self) -> list[str]:
        self.tell(f"-- {self._loop.time():.1f} s: the world calms down")
        self.node.unreliable = False
        with self.node.host.state.edit("faults") as faults:
            faults.clear()
        with self.node.host.state.edit("delays") as delays:
            delays.clear()
        self._give_back()
        await asyncio.sleep(CALM_S)
        self.node.unreliable = True
        return audit.faults(self.node.root)

    def _give_back(self) -> None:
        """Lost disks come back from the backup: without them a machine is rightly not as it should be."""
        sql = (
            "SELECT path FROM vm_disk JOIN vm ON vm.id = vm_disk.vm WHERE doomed <> 'purge' "
            "UNION SELECT path FROM disk_kept ORDER BY path"
        )
        wanted = {str(Path(self.node.root, row["path"].lstrip("/"))) for row in self.node.engine.rows(sql)}
        with self.node.host.state.edit("volumes") as volumes:
            volumes.update({path: size for path, size in self._taken.items() if path in wanted})
        self._taken.clear()


def walk(seed: int, tell: Callable[[str], None] = lambda text: None) -> list[str]:
    """One walk, from its seed alone; what did not agree in the end."""
    loop = SimLoop()
    with tempfile.TemporaryDirectory(prefix="girginosvm-sim-") as root:
        try:
            return loop.run_until_complete(Walk(seed, Path(root), loop, tell).run())
        finally:
            loop.close()


if __name__ == "__main__":
    for word in sys.argv[1:]:
        wrong = walk(int(word), lambda text: print(text.replace("\n", " "), flush=True))
        print(json.dumps({"seed": int(word), "agrees": not wrong, "wrong": wrong}))
