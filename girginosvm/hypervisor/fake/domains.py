"""The ``Domains`` port on the fake host: the rules of the real one, without a hypervisor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec

from girginosvm.core.errors import HostFault, Stale
from girginosvm.core.host import DomainEvent, DomainSpec, FoundDomain, FoundNic, Power
from girginosvm.hypervisor.fake.state import State

_POLL_S: Final = 0.05  # the file may be changed by another process
_EVENTS_KEPT: Final = 500
_BOOT: Final = (
    "[    0.000000] Linux version 6.1.0-fake (fake host)",
    "[    0.310000] virtio_blk virtio1: [vda] ready",
    "[    0.720000] virtio_net virtio0 eth0: link up",
    "[    1.480000] cloud-init: finished, datasource NoCloud",
)


def _found(spec: DomainSpec, name: str, reboots: int = 0) -> FoundDomain:
    return FoundDomain(
        id=spec.id, name=name, ours=True, generation=spec.generation, epoch=spec.epoch, reboots=reboots,
        power=Power.STOPPED, vcpu=spec.vcpu, memory_bytes=spec.memory_bytes, acceleration=spec.acceleration,
        firmware=spec.firmware, disks=spec.disks,
        nics=tuple(FoundNic(nic.mac, nic.bridge, nic.tap, nic.addresses) for nic in spec.nics),
    )  # fmt: skip


class _Record(msgspec.Struct):
    """One domain: as it would start next, as it runs (None: off), and what it writes to."""

    defined: FoundDomain
    live: FoundDomain | None = None
    reason: str = ""
    power: Power = Power.STOPPED
    serial_log: str = ""

    def seen(self) -> FoundDomain:
        """What an observer sees: the running shape, with the marks of the definition."""
        return msgspec.structs.replace(
            self.live or self.defined, ours=self.defined.ours, generation=self.defined.generation,
            epoch=self.defined.epoch, reboots=self.defined.reboots, power=self.power, reason=self.reason,
            agent_connected=self.live is not None,
        )  # fmt: skip

    def off(self, power: Power, reason: str) -> None:
        self.live, self.power, self.reason = None, power, reason

    def on(self) -> None:
        self.live, self.power, self.reason = self.defined, Power.RUNNING, "booted"
        if self.serial_log:
            Path(self.serial_log).parent.mkdir(parents=True, exist_ok=True)
            with open(self.serial_log, "a", encoding="utf-8") as serial:
                serial.writelines(f"{line}\r\n" for line in (*_BOOT, f"{self.defined.name} login: "))


class FakeDomains:
    """Machines in the section ``domains``; what happened to them, in order, in the section ``happened``."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def observe(self) -> tuple[FoundDomain, ...]:
        """Every domain, in order of id."""
        await self._state.visit("domains.observe")
        records = self._state.section("domains").values()
        return tuple(sorted((_loaded(record).seen() for record in records), key=lambda domain: domain.id))

    async def define(self, spec: DomainSpec) -> None:
        """Equal to ``spec``; a running machine keeps its shape until the next start."""
        await self._state.visit("domains.define")
        with self._state.edit("domains") as domains:
            record = _lookup(domains, spec.id)
            if record is None:
                names = {_loaded(other).defined.name for other in domains.values()}
                if spec.domain_name in names:
                    raise HostFault("libvirt-refused", f"domain '{spec.domain_name}' already exists")
                record = _Record(_found(spec, spec.domain_name))
            else:
                _ours(record, spec.generation)
                record.defined = _found(spec, record.defined.name, record.defined.reboots)
            record.serial_log = spec.serial_log
            domains[spec.id] = msgspec.to_builtins(record)
        self._happened(spec.id, "defined")

    async def start(self, machine: str, *, generation: int, reboots: int = 0) -> None:
        """Run it, and let it write a few lines to its serial log."""
        await self._state.visit("domains.start")
        with self._state.edit("domains") as domains:
            record = _known(domains, machine)
            _ours(record, generation, exactly=True)
            if record.power is Power.RUNNING:
                return
            if record.power is Power.PAUSED:
                record.power, record.reason = Power.RUNNING, "unpaused"
            else:
                record.defined = _counted(record.defined, reboots)
                record.on()
            domains[machine] = msgspec.to_builtins(record)
        self._happened(machine, "started")

    async def shutdown(self, machine: str, *, generation: int) -> str:
        """Its guest always listens."""
        await self._state.visit("domains.shutdown")
        return "agent" if self._stop(machine, generation, "shutdown") else ""

    async def power_off(self, machine: str, *, generation: int) -> None:
        """End it now."""
        await self._state.visit("domains.power_off")
        self._stop(machine, generation, "destroyed")

    async def reboot(self, machine: str, *, generation: int, count: int, force: bool = False) -> str:
        """It boots again, in the shape it runs in."""
        await self._state.visit("domains.reboot")
        with self._state.edit("domains") as domains:
            record = _known(domains, machine)
            _ours(record, generation)
            if record.defined.reboots >= count:
                return ""
            if record.live is None:
                raise HostFault("domain-off", f"{record.defined.name} does not run, so it cannot be rebooted")
            live = record.live
            record.defined = _counted(record.defined, count)
            record.on()
            record.live = live
            domains[machine] = msgspec.to_builtins(record)
        self._happened(machine, "rebooted")
        return "reset" if force else "agent"

    async def undefine(self, machine: str, *, generation: int) -> None:
        """Forget a stopped machine."""
        await self._state.visit("domains.undefine")
        with self._state.edit("domains") as domains:
            record = _lookup(domains, machine)
            if record is None:
                return
            _ours(record, generation)
            if record.live is not None:
                raise HostFault("domain-running", f"{record.defined.name} still runs; only a stopped one is forgotten")
            del domains[machine]
        self._happened(machine, "undefined")

    async def adopt(self, machine: str, *, generation: int) -> None:
        """Mark a foreign domain as ours."""
        await self._state.visit("domains.adopt")
        with self._state.edit("domains") as domains:
            record = _known(domains, machine)
            if record.defined.ours:
                _ours(record, generation)
            record.defined = msgspec.structs.replace(record.defined, ours=True, generation=generation)
            domains[machine] = msgspec.to_builtins(record)

    async def events(self) -> AsyncIterator[DomainEvent]:
        """Events from now on, of every process that shares the state file; first one that says: look at everything."""
        last = int(self._state.section("happened").get("last", 0))
        yield DomainEvent("", "connected")
        while True:
            happened = self._state.section("happened")
            for number, machine, what in happened.get("events", ()):
                if number > last:
                    last = number
                    yield DomainEvent(machine, what)
            await asyncio.sleep(_POLL_S)

    # What the world does, for tests:

    def put(self, domain: FoundDomain) -> None:
        """A domain that somebody else made, running or not."""
        with self._state.edit("domains") as domains:
            live = domain if domain.power in (Power.RUNNING, Power.PAUSED) else None
            record = _Record(domain, live, domain.reason, domain.power)
            domains[domain.id] = msgspec.to_builtins(record)
        self._happened(domain.id, "defined")

    def end(self, machine: str, *, power: Power = Power.STOPPED, reason: str = "destroyed") -> None:
        """Its QEMU dies behind our back."""
        with self._state.edit("domains") as domains:
            record = _known(domains, machine)
            record.off(power, reason)
            domains[machine] = msgspec.to_builtins(record)
        self._happened(machine, "stopped")

    def _stop(self, machine: str, generation: int, reason: str) -> bool:
        with self._state.edit("domains") as domains:
            record = _lookup(domains, machine)
            if record is not None:
                _ours(record, generation)
            if record is None or record.live is None:
                return False
            record.off(Power.STOPPED, reason)
            domains[machine] = msgspec.to_builtins(record)
        self._happened(machine, "stopped")
        return True

    def _happened(self, machine: str, what: str) -> None:
        with self._state.edit("happened") as happened:
            happened["last"] = number = happened.get("last", 0) + 1
            happened["events"] = [*happened.get("events", []), [number, machine, what]][-_EVENTS_KEPT:]


def _counted(found: FoundDomain, reboots: int) -> FoundDomain:
    return msgspec.structs.replace(found, reboots=max(found.reboots, reboots))


def _loaded(record: Any) -> _Record:
    return msgspec.convert(record, _Record)


def _lookup(domains: dict[str, Any], machine: str) -> _Record | None:
    return _loaded(domains[machine]) if machine in domains else None


def _known(domains: dict[str, Any], machine: str) -> _Record:
    record = _lookup(domains, machine)
    if record is None:
        raise HostFault("domain-missing", f"no domain {machine} is defined on this host")
    return record


def _ours(record: _Record, generation: int, *, exactly: bool = False) -> None:
    found = record.defined
    if not found.ours:
        raise HostFault("domain-foreign", f"{found.name} was not made by girginosvm: it is shown, never touched")
    if found.generation > generation or (exactly and found.generation != generation):
        raise Stale(
            "generation-stale", f"{found.name} has generation {found.generation} defined, the step had {generation}"
        )
