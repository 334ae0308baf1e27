"""Makes the host's machines be as the rows say: the shell around ``plan``."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from girginosvm.core.errors import HostFault, Problem
from girginosvm.core.host import (
    Acceleration,
    DiskSpec,
    DomainSpec,
    Firmware,
    FoundDomain,
    NicSpec,
    Power,
    SeedSpec,
    VolumeSpec,
)
from girginosvm.features.site import Site
from girginosvm.features.vm import plan as plans
from girginosvm.features.vm.model import Wanted
from girginosvm.features.vm.reports import ReportForeign, ReportVm
from girginosvm.features.vm.seed import network_config
from girginosvm.features.vm.wanted import machines


class _Host(msgspec.Struct, frozen=True):
    """One look at everything."""

    domains: dict[str, FoundDomain]
    volumes: frozenset[str]
    bridges: frozenset[str]
    guarded: frozenset[str]


class VmReconciler:
    """Takes no input when woken: it reads both sides anew, every time."""

    name = "vm"
    wakes_on = ("vm", "vm_disk", "vm_nic", "network", "pool")
    resync_s = 30.0

    def __init__(self, site: Site) -> None:
        self._site = site
        self._acceleration: Acceleration | None = None
        # Generations whose guest was asked to stop by this process; after a restart it is asked once more.
        self._asked: dict[str, int] = {}
        self._seeded: dict[str, int] = {}
        self._foreign: bytes = b""

    async def reconcile(self) -> float | None:
        """One round; answers seconds until it wants to be woken, None: at the next change."""
        wanted: tuple[Wanted, ...] = await self._site.read(lambda reader: machines(reader, self._site))
        found = await self._look(wanted)
        await self._say_foreign(wanted, found)
        waits: list[float] = []
        for machine in wanted:
            wait = await self._one(machine, found)
            if wait is not None:
                waits.append(wait)
        return min(waits, default=None)

    async def _look(self, wanted: tuple[Wanted, ...]) -> _Host:
        host = self._site.host
        if self._acceleration is None:
            self._acceleration = (await host.facts.observe()).acceleration
        domains = {domain.id: domain for domain in await host.domains.observe()}
        volumes: set[str] = set()
        for directory in sorted({str(Path(disk.path).parent) for machine in wanted for disk in machine.disks}):
            with contextlib.suppress(HostFault):  # a missing directory has no volumes; ensure says why it cannot
                volumes |= {volume.path for volume in await host.volumes.observe(directory)}
        bridges = frozenset(bridge.name for bridge in await host.bridges.observe() if bridge.up)
        guarded = frozenset(guard.tap for guard in await host.filter.observe())
        return _Host(domains, frozenset(volumes), bridges, guarded)

    async def _say_foreign(self, wanted: tuple[Wanted, ...], found: _Host) -> None:
        known = {machine.id for machine in wanted}
        foreign = tuple(one for one in found.domains.values() if not one.ours and one.id not in known)
        now = msgspec.msgpack.encode(foreign)
        if now != self._foreign and (foreign or self._foreign):
            await self._site.say(ReportForeign(node=self._site.node, domains=foreign))
        self._foreign = now

    async def _one(self, machine: Wanted, host: _Host) -> float | None:
        found = plans.Found(
            domain=host.domains.get(machine.id), volumes=host.volumes, bridges=host.bridges, guarded=host.guarded,
            seeded=self._seeded.get(machine.id) is not None, now_ms=self._site.clock.wall_ms(),
            asked_shutdown=self._asked.get(machine.id) == machine.generation,
        )  # fmt: skip
        steps = plans.plan(machine, found)
        if machine.found_state == Power.RUNNING and found.domain is not None and found.domain.power != Power.RUNNING:
            # It ended behind our back: said before it is mended, so that history has both.
            await self._report(machine, found.domain)
        try:
            acted = await self._act(machine, steps)
        except Problem as problem:
            await self._report(machine, host.domains.get(machine.id), problem=problem)
            self._site.log.warning("vm.failed", vm=machine.name, code=problem.code, detail=problem.detail)
            return 5.0
        domain = await self._again(machine) if acted else host.domains.get(machine.id)
        last = steps[-1]
        if isinstance(last, plans.Wait):
            await self._report(machine, domain, step=last.reason)
            left = (last.until_ms - found.now_ms) / 1000 if last.until_ms else 5.0
            return max(0.2, min(left, 5.0))
        await self._report(machine, domain, reached=machine.generation)
        return None

    async def _again(self, machine: Wanted) -> FoundDomain | None:
        domains = await self._site.host.domains.observe()
        return next((domain for domain in domains if domain.id == machine.id), None)

    async def _act(self, machine: Wanted, steps: tuple[plans.Step, ...]) -> bool:
        acted = False
        for step in steps:
            if isinstance(step, plans.Wait | plans.Reached):
                continue
            self._site.log.info("vm.step", vm=machine.name, generation=machine.generation, step=repr(step)[:200])
            await self._step(machine, step)
            acted = True
        return acted

    async def _step(self, machine: Wanted, step: plans.Step) -> None:
        domains, generation = self._site.host.domains, machine.generation
        match step:
            case plans.EnsureVolume(disk):
                directory = str(Path(disk.path).parent)
                await self._site.host.volumes.ensure_pool(directory)
                await self._site.host.volumes.ensure(
                    VolumeSpec(path=disk.path, format=disk.format, size_bytes=disk.size_bytes, base=disk.base,
                               base_format=disk.base_format, full_copy=disk.full_copy)
                )  # fmt: skip
            case plans.EnsureSeed():
                await self._site.host.seeds.ensure(self._seed(machine))
                self._seeded[machine.id] = generation
            case plans.Define():
                await domains.define(self._domain(machine))
            case plans.Adopt():
                await domains.adopt(machine.id, generation=generation)
            case plans.Start():
                await domains.start(machine.id, generation=generation)
            case plans.Shutdown():
                await domains.shutdown(machine.id, generation=generation)
                self._asked[machine.id] = generation
            case plans.PowerOff():
                await domains.power_off(machine.id, generation=generation)
            case plans.Reboot(force):
                await domains.reboot(machine.id, generation=generation, force=force)
            case plans.Undefine():
                await domains.undefine(machine.id, generation=generation)
            case plans.RemoveFiles(paths):
                await self._remove(machine, paths)

    async def _remove(self, machine: Wanted, paths: tuple[str, ...]) -> None:
        for path in paths:
            await self._site.host.volumes.remove(path)
        await self._site.host.seeds.remove(str(self._site.seed_path(machine.id)))
        self._site.serial_log(machine.id).unlink(missing_ok=True)
        for kind in ("vnc", "serial"):  # QEMU leaves its sockets behind when it is killed
            self._site.settings.run_path("vm", f"{machine.id}.{kind}").unlink(missing_ok=True)
        self._seeded.pop(machine.id, None)
        self._asked.pop(machine.id, None)

    def _seed(self, machine: Wanted) -> SeedSpec:
        return SeedSpec(
            machine=machine.id, hostname=machine.name, path=str(self._site.seed_path(machine.id)),
            ssh_keys=machine.ssh_keys, user_data=self._site.unseal(machine.user_data),
            network_config=network_config(machine.nics),
        )  # fmt: skip

    def _domain(self, machine: Wanted) -> DomainSpec:
        disks = [
            DiskSpec(disk.path, disk.format, f"vd{chr(ord('a') + n)}", serial=f"{machine.id[:8]}-{n}")
            for n, disk in enumerate(machine.disks)
        ]
        seed = DiskSpec(str(self._site.seed_path(machine.id)), "raw", f"vd{chr(ord('a') + len(disks))}",
                        serial="cidata", read_only=True)  # fmt: skip
        return DomainSpec(
            id=machine.id, name=machine.name, generation=machine.generation, vcpu=machine.vcpu,
            memory_bytes=machine.memory_bytes, firmware=Firmware(machine.firmware),
            acceleration=self._acceleration or Acceleration.TCG, disks=(*disks, seed),
            nics=tuple(
                NicSpec(nic.mac, nic.bridge, nic.tap, (nic.address,) if nic.address else (), nic.mtu)
                for nic in machine.nics
            ),
            serial_log=str(self._site.serial_log(machine.id)),
            serial_socket=str(self._site.settings.run_path("vm", f"{machine.id}.serial")),
            vnc_socket=str(self._site.settings.run_path("vm", f"{machine.id}.vnc")),
            title=machine.name,
        )  # fmt: skip

    async def _report(
        self,
        machine: Wanted,
        domain: FoundDomain | None,
        *,
        step: str = "",
        reached: int = 0,
        problem: Problem | None = None,
    ) -> None:
        """Say a difference, and only a difference."""
        state = domain.power.value if domain else ("gone" if machine.doomed else Power.STOPPED.value)
        reason = domain.reason if domain else "no domain on the host"
        holds = reached or machine.found_generation
        acceleration = domain.acceleration.value if domain and domain.acceleration else ""
        said = (machine.found_state, machine.found_reason, machine.found_generation, machine.found_reboots,
                machine.found_acceleration, machine.found_agent, machine.found_problem)  # fmt: skip
        detail = problem.detail if problem else ""
        agent = bool(domain and domain.agent_connected)
        reboots = machine.reboots if reached else machine.found_reboots
        if (state, reason, holds, reboots, acceleration, agent, detail) == said and not step:
            return
        await self._site.say(
            ReportVm(
                vm=machine.id, node=self._site.node, state=state, reason=reason[:500], step=step[:500], reached=holds,
                reboots=reboots, acceleration=acceleration, agent=agent, problem=detail[:1000],
                problem_code=problem.code if problem else "", failed=machine.generation if problem else 0,
            )
        )  # fmt: skip
