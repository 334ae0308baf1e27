"""What the contract of ``Domains`` runs on: the fake, libvirt's test driver, and real QEMU in a host of its own."""

from __future__ import annotations

import asyncio
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from girginosvm.core.host import (
    Acceleration,
    DiskSpec,
    DomainEvent,
    DomainSpec,
    Firmware,
    FoundDomain,
    NicSpec,
    Power,
)
from girginosvm.hypervisor.fake.domains import FakeDomains
from girginosvm.hypervisor.fake.state import State
from girginosvm.hypervisor.libvirt.domains import LibvirtDomains
from girginosvm.hypervisor.libvirt.loop import Link
from girginosvm.hypervisor.ports import Domains

if TYPE_CHECKING:
    from tests.lab.host import LabHost

MIB = 1 << 20


async def until(look: Callable[[], Awaitable[Any]], what: str, *, seconds: float = 20) -> Any:
    """Ask again every 20 ms until the answer is true."""
    end = asyncio.get_running_loop().time() + seconds
    while not (answer := await look()):
        assert asyncio.get_running_loop().time() < end, f"waited {seconds} s for {what}"
        await asyncio.sleep(0.02)
    return answer


class Driver(ABC):
    """One implementation under test. ``cannot`` names the tests it cannot run, with the reason."""

    name: ClassVar[str]
    cannot: ClassVar[dict[str, str]] = {}
    domains: Domains

    def __init__(self, place: Path) -> None:
        self.place = place

    def spec(self, name: str = "web", **changes: Any) -> DomainSpec:
        """A small machine with a blank disk; each call another one."""
        machine = str(uuid.uuid4())
        disk = self.place / f"{machine}.raw"
        with disk.open("wb") as blank:
            blank.truncate(MIB)
        spec = DomainSpec(
            id=machine, name=name, generation=1, vcpu=1, memory_bytes=64 * MIB, firmware=Firmware.BIOS,
            acceleration=Acceleration.TCG, disks=(DiskSpec(str(disk), "raw", "vda", serial="root"),),
            nics=(NicSpec("52:54:00:00:00:07", "br-vsw", f"gvm{machine[:8]}0"),),
            serial_log=str(self.place / "log" / f"{machine}.log"),
            serial_socket=str(self.place / "vm" / f"{machine}.serial"),
            vnc_socket=str(self.place / "vm" / f"{machine}.vnc"),
        )  # fmt: skip
        return msgspec.structs.replace(spec, **changes)

    async def found(self, machine: str) -> FoundDomain | None:
        """The one domain."""
        return next((one for one in await self.domains.observe() if one.id == machine), None)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[list[DomainEvent]]:
        """The events while the block runs, in a list that grows; it begins when events are surely reported."""
        heard: list[DomainEvent] = []

        async def listen() -> None:
            async for event in self.domains.events():
                heard.append(event)

        task = asyncio.create_task(listen())
        await asyncio.sleep(0)
        await self.domains.observe()
        try:
            yield heard
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @abstractmethod
    async def make_foreign(self) -> str:
        """A running domain that somebody else made; answers its id."""

    @abstractmethod
    async def kill(self, spec: DomainSpec) -> None:
        """End its QEMU behind everybody's back."""

    async def close(self) -> None:  # noqa: B027 - not every driver has something to leave
        """Leave nothing behind."""


class FakeDriver(Driver):
    """The fake host."""

    name = "fake"

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.domains = self.fake = FakeDomains(State(place / "host.json"))

    async def make_foreign(self) -> str:
        found = FoundDomain(id=str(uuid.uuid4()), name="theirs", ours=False, power=Power.RUNNING, vcpu=1)
        self.fake.put(found)
        return found.id

    async def kill(self, spec: DomainSpec) -> None:
        self.fake.end(spec.id)


class LinkDriver(Driver):
    """What both libvirt drivers share."""

    foreign_type: ClassVar[str]

    def __init__(self, place: Path, uri: str) -> None:
        super().__init__(place)
        self.link = Link(uri)
        self.domains = LibvirtDomains(self.link)

    async def make_foreign(self) -> str:
        machine = str(uuid.uuid4())
        text = (
            f"<domain type='{self.foreign_type}'><name>theirs-{machine[:8]}</name><uuid>{machine}</uuid>"
            "<memory unit='MiB'>64</memory><os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"
        )
        await self.link.call("making a foreign domain", lambda connection: connection.defineXML(text).create())
        return machine

    async def close(self) -> None:
        def clear(connection: Any) -> None:
            for domain in connection.listAllDomains(0):
                if domain.name() == "test":  # the test driver's own, seen by every connection of this process
                    continue
                if domain.isActive():
                    domain.destroy()
                domain.undefineFlags(0 if connection.getType() == "TEST" else 4)  # 4: with its NVRAM

        await self.link.call("clearing", clear)
        await self.link.close()


class LibvirtTestDriver(LinkDriver):
    """libvirt's mock driver, in this process."""

    name = "libvirt-test"
    foreign_type = "test"
    cannot: ClassVar[dict[str, str]] = {
        "test_a_forced_reboot_resets_and_the_machine_still_runs": "the test driver has no reset",
    }

    def __init__(self, place: Path) -> None:
        super().__init__(place, "test:///default")

    async def kill(self, spec: DomainSpec) -> None:
        await self.link.call("killing", lambda connection: connection.lookupByUUIDString(spec.id).destroy())


class RealDriver(LinkDriver):
    """libvirtd and QEMU (TCG) in namespaces of their own."""

    name = "qemu"
    foreign_type = "qemu"

    def __init__(self, host: LabHost) -> None:
        super().__init__(host.root, host.uri)
        self.host = host

    async def kill(self, spec: DomainSpec) -> None:
        self.host.exec("sh", "-c", f"kill -9 $(cat /run/libvirt/qemu/{spec.domain_name}.pid)")
