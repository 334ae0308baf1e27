"""The hands of the vm room: one step of a plan, done on the host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from girginosvm.core.errors import HostFault
from girginosvm.core.host import Acceleration, DiskSpec, DomainSpec, Firmware, NicSpec, SeedSpec, VolumeSpec
from girginosvm.features.site import Site
from girginosvm.features.vm import plan as plans
from girginosvm.features.vm.model import Wanted, WantedDisk
from girginosvm.features.vm.seed import network_config
from girginosvm.features.vm.serial import earlier

# More full copies at once end no sooner: they share one disk.
_COPIES: Final = 2
# libvirtd answers five calls of one connection at a time (max_client_requests): one is left for looking.
_CALLS: Final = 4


class Deeds:
    """Steps of different machines run side by side within two bounds; a machine that copies holds no call."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._copies = asyncio.Semaphore(_COPIES)
        self._calls = asyncio.Semaphore(_CALLS)
        self.acceleration = Acceleration.TCG

    async def do(self, machine: Wanted, step: plans.Step) -> None:
        """Take the step. HostFault or Stale when the host refuses."""
        if isinstance(step, plans.EnsureVolume):
            await self._volume(step.disk)
            return
        if isinstance(step, plans.LostVolume):
            detail = (
                f"its disk {step.path} is not there, though it was built before; it is not replaced by an empty one"
            )
            raise HostFault("volume-lost", detail)
        async with self._calls:
            await self._quick(machine, step)

    async def _volume(self, disk: WantedDisk) -> None:
        volumes = self._site.host.volumes
        spec = VolumeSpec(path=disk.path, format=disk.format, size_bytes=disk.size_bytes, base=disk.base,
                          base_format=disk.base_format, full_copy=disk.full_copy)  # fmt: skip
        async with self._room(disk):
            await volumes.ensure_pool(str(Path(disk.path).parent))
            await volumes.ensure(spec)

    @asynccontextmanager
    async def _room(self, disk: WantedDisk) -> AsyncIterator[None]:
        """Blank disks and overlays are made in no time; only a copy waits for its turn."""
        if not (disk.base and disk.full_copy):
            yield
            return
        async with self._copies:
            yield

    async def _quick(self, machine: Wanted, step: plans.Step) -> None:
        domains, generation = self._site.host.domains, machine.generation
        match step:
            case plans.EnsureSeed():
                await self._site.host.seeds.ensure(self._seed(machine))
            case plans.Define():
                await domains.define(self._domain(machine))
            case plans.Adopt():
                await domains.adopt(machine.id, generation=generation)
            case plans.Start():
                await domains.start(machine.id, generation=generation, reboots=machine.reboots)
            case plans.Shutdown():
                await domains.shutdown(machine.id, generation=generation)
            case plans.PowerOff():
                await domains.power_off(machine.id, generation=generation)
            case plans.Reboot(force):
                await domains.reboot(machine.id, generation=generation, force=force, count=machine.reboots)
            case plans.Undefine():
                await domains.undefine(machine.id, generation=generation)
            case plans.RemoveFiles(paths):
                await self._remove(machine, paths)

    async def _remove(self, machine: Wanted, paths: tuple[str, ...]) -> None:
        for path in paths:
            await self._site.host.volumes.remove(path)
        await self._site.host.seeds.remove(str(self._site.seed_path(machine.id)))
        for log in (serial := self._site.serial_log(machine.id), earlier(serial)):
            log.unlink(missing_ok=True)
        for kind in ("vnc", "serial"):  # QEMU leaves its sockets behind when it is killed
            self._site.settings.run_path("vm", f"{machine.id}.{kind}").unlink(missing_ok=True)

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
            acceleration=self.acceleration, disks=(*disks, seed),
            nics=tuple(
                NicSpec(nic.mac, nic.bridge, nic.tap, (nic.address,) if nic.address else (), nic.mtu)
                for nic in machine.nics
            ),
            serial_log=str(self._site.serial_log(machine.id)),
            serial_socket=str(self._site.settings.run_path("vm", f"{machine.id}.serial")),
            vnc_socket=str(self._site.settings.run_path("vm", f"{machine.id}.vnc")),
            title=machine.name,
        )  # fmt: skip
