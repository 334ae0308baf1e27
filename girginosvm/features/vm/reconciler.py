"""Makes the host's machines be as the rows say: one look for all, then work side by side, one piece per machine.

A round never waits for a machine. It looks, decides (``plan``), and starts a piece of work for each machine that needs
one; the piece's end wakes the next round, and only what that one sees is reported as reached.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from functools import partial
from typing import Final

import msgspec

from girginosvm.core.errors import HostFault, Problem
from girginosvm.core.host import FoundDomain, Power
from girginosvm.features.lanes import Lanes
from girginosvm.features.site import Site
from girginosvm.features.vm import plan as plans
from girginosvm.features.vm.deeds import Deeds
from girginosvm.features.vm.model import Wanted
from girginosvm.features.vm.news import is_news, report_of
from girginosvm.features.vm.reports import ReportForeign, ReportVm
from girginosvm.features.vm.serial import turn
from girginosvm.features.vm.wanted import machines

# A serial port writes no more than a few MiB in that time.
_LOGS_MS: Final = 10_000


class _Host(msgspec.Struct, frozen=True):
    """One look at everything."""

    domains: dict[str, FoundDomain]
    volumes: frozenset[str]
    bridges: frozenset[str]
    guarded: frozenset[str]


class _Memory(msgspec.Struct):
    """What this process knows of a machine beyond what can be seen; lost at a restart, and done once more then."""

    asked: int = 0  # the generation during which its guest was asked to stop
    seeded: bool = False
    cleared: bool = False  # its files were removed
    step: str = ""  # the last step that was said
    failed: int = 0  # the last generation that was said to have failed
    working: int = 0  # the generation that the piece under way is for
    slow: plans.Step | None = None  # the step under way, when it may be given up


class VmReconciler:
    """Takes no input when woken: it reads both sides anew, every time."""

    name = "vm"
    wakes_on = ("vm", "vm_disk", "vm_nic", "network", "pool", "image_copy")
    resync_s = 30.0

    def __init__(self, site: Site) -> None:
        self._site = site
        self._deeds = Deeds(site)
        self._probed = False
        self._newest: dict[str, int] = {}
        self._memories: dict[str, _Memory] = {}
        self._foreign: bytes = b""
        self._logs_due_ms = 0

    async def reconcile(self, lanes: Lanes) -> float | None:
        """One round; answers seconds until it wants to be woken, None: at the next change."""
        busy = lanes.busy()  # before the look: what was seen of these may be older than their piece's end
        wanted: tuple[Wanted, ...] = await self._site.read(lambda reader: machines(reader, self._site))
        found = await self._look(wanted)
        await self._say_foreign(wanted, found)
        if self._site.clock.monotonic_ms() >= self._logs_due_ms:
            await asyncio.to_thread(self._turn_serial_logs, wanted)
            self._logs_due_ms = self._site.clock.monotonic_ms() + _LOGS_MS
        self._newest = {machine.id: machine.generation for machine in wanted}
        for forgotten in self._memories.keys() - self._newest.keys() - busy:
            del self._memories[forgotten]
        waits = [
            self._overtake(machine, lanes) if machine.id in busy else self._begin(machine, found, lanes)
            for machine in wanted
        ]
        return min((wait for wait in waits if wait is not None), default=None)

    async def _look(self, wanted: tuple[Wanted, ...]) -> _Host:
        host = self._site.host
        if not self._probed:
            self._deeds.acceleration = (await host.facts.observe()).acceleration
            self._probed = True
        domains = {domain.id: domain for domain in await host.domains.observe()}
        volumes: set[str] = set()
        for directory in sorted({os.path.dirname(disk.path) for machine in wanted for disk in machine.disks}):
            with contextlib.suppress(HostFault):  # a missing directory has no volumes; ensure says why it cannot
                volumes |= {volume.path for volume in await host.volumes.observe(directory)}
        bridges = frozenset(bridge.name for bridge in await host.bridges.observe() if bridge.up)
        guarded = frozenset(guard.tap for guard in await host.filter.observe())
        return _Host(domains, frozenset(volumes), bridges, guarded)

    async def _say_foreign(self, wanted: tuple[Wanted, ...], found: _Host) -> None:
        """With our mark or without: what the cluster does not have here is shown, and nobody starts or ends it."""
        known = {machine.id for machine in wanted}
        foreign = tuple(one for one in found.domains.values() if one.id not in known)
        now = msgspec.msgpack.encode(foreign)
        if now != self._foreign and (foreign or self._foreign):
            await self._site.say(ReportForeign(node=self._site.node, domains=foreign))
        self._foreign = now

    def _turn_serial_logs(self, wanted: tuple[Wanted, ...]) -> None:
        for machine in wanted:
            if turn(self._site.serial_log(machine.id)):
                self._site.log.info("serial.turned", vm=machine.name)

    def _overtake(self, machine: Wanted, lanes: Lanes) -> float | None:
        """Give up a busy machine's piece when its end is not worth waiting for; answers when to ask again, seconds."""
        late_s = (machine.stop_by_ms - self._site.clock.wall_ms()) / 1000 if machine.stop_by_ms else None
        late = machine.power == "off" and late_s is not None and late_s <= 0
        memory = self._memory(machine)
        if lanes.resting(machine.id):
            over = memory.working != machine.generation
        elif isinstance(memory.slow, plans.EnsureVolume):
            over = bool(machine.doomed)  # a stopped machine needs its disk all the same
        else:
            over = memory.slow is not None and late  # a power cut is late at once
        if over:
            lanes.give_up(machine.id)
        return max(0.2, late_s) if machine.power == "off" and late_s is not None and not late else None

    def _begin(self, machine: Wanted, host: _Host, lanes: Lanes) -> float | None:
        """Start what a free machine needs: a piece of work, or a word about it; answers as ``reconcile``."""
        memory = self._memory(machine)
        memory.working = machine.generation
        found = plans.Found(
            domain=host.domains.get(machine.id), volumes=host.volumes, bridges=host.bridges, guarded=host.guarded,
            seeded=memory.seeded, cleared=memory.cleared, now_ms=self._site.clock.wall_ms(),
            asked_shutdown=memory.asked == machine.generation,
        )  # fmt: skip
        steps = plans.plan(machine, found)
        last = steps[-1]
        if len(steps) > 1:
            lanes.start(machine.id, partial(self._work, machine, found.domain, steps))
        elif isinstance(last, plans.Wait):
            self._tell(machine, lanes, report_of(machine, found.domain, node=self._site.node, step=last.said.text))
        else:
            reached = machine.generation
            unbuilt = plans.unbuilt(machine, found)
            report = report_of(machine, found.domain, node=self._site.node, reached=reached, unbuilt=unbuilt)
            self._tell(machine, lanes, report)
        if isinstance(last, plans.Wait):
            left_s = (last.until_ms - found.now_ms) / 1000 if last.until_ms else 5.0
            return max(0.2, min(left_s, 5.0))
        return None

    def _tell(self, machine: Wanted, lanes: Lanes, report: ReportVm) -> None:
        memory = self._memory(machine)
        if is_news(machine, report, memory.step):
            lanes.start(machine.id, partial(self._say, machine, report))
        else:
            memory.step = report.step

    async def _say(self, machine: Wanted, report: ReportVm) -> None:
        await self._site.say(report)
        self._memory(machine).step = report.step

    async def _work(self, machine: Wanted, domain: FoundDomain | None, steps: tuple[plans.Step, ...]) -> None:
        """The steps in their order, until one fails or a newer generation is wanted."""
        if machine.found_state == Power.RUNNING and domain is not None and domain.power != Power.RUNNING:
            # It ended behind our back: said before it is mended, so that history has both.
            await self._say(machine, report_of(machine, domain, node=self._site.node))
        try:
            for step in steps[:-1]:  # the last one is what is waited for
                if self._newest.get(machine.id) != machine.generation:
                    return
                shown = repr(step)[:200]
                self._site.log.info("vm.step", vm=machine.name, generation=machine.generation, step=shown)
                await self._step(machine, step)
        except Problem as problem:
            self._site.log.warning("vm.failed", vm=machine.name, code=problem.code, detail=problem.detail)
            report, memory = report_of(machine, domain, node=self._site.node, problem=problem), self._memory(machine)
            if is_news(machine, report, memory.step) or memory.failed != machine.generation:
                await self._say(machine, report)
            memory.failed = machine.generation
            raise

    async def _step(self, machine: Wanted, step: plans.Step) -> None:
        memory = self._memory(machine)
        with self._giving_way(memory, step):
            await self._deeds.do(machine, step)
        match step:
            case plans.EnsureSeed():
                memory.seeded = True
            case plans.Shutdown():
                memory.asked = machine.generation
            case plans.RemoveFiles():
                memory.cleared = True
            case _:
                pass

    @contextlib.contextmanager
    def _giving_way(self, memory: _Memory, step: plans.Step) -> Iterator[None]:
        """Building a disk and asking a guest may take long, and may be given up halfway."""
        memory.slow = step if isinstance(step, plans.EnsureVolume | plans.Shutdown | plans.Reboot) else None
        try:
            yield
        finally:
            memory.slow = None

    def _memory(self, machine: Wanted) -> _Memory:
        return self._memories.setdefault(machine.id, _Memory())
