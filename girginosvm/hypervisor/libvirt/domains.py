"""The ``Domains`` port on libvirt. Foreign domains are shown and, but for ``adopt``, never touched."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import libvirt
import msgspec

from girginosvm.core.errors import HostFault, Stale
from girginosvm.core.host import DomainEvent, DomainSpec, Firmware, FoundDomain, Power
from girginosvm.hypervisor import owners
from girginosvm.hypervisor.libvirt.loop import AnswerT, Link
from girginosvm.hypervisor.libvirt.states import power_of
from girginosvm.hypervisor.libvirt.xml import (
    METADATA_KEY,
    METADATA_URI,
    Mark,
    domain_xml,
    mark_for,
    mark_of,
    metadata_text,
    parse,
    sockets_and_logs,
)

# virDomainCreate answers when QEMU runs: with large memory or a slow disk that takes its time.
_START_S: Final = 120
# libvirt gives an agent 5 s to greet; one that did and then says nothing keeps the call up to 60 s.
_ASK_S: Final = 40
_CALL_S: Final = 30


class LibvirtDomains:
    """Machines through one ``Link``. One call per machine at a time, also when its caller went away and it still hangs
    in libvirt: the next one waits for its end, not longer than for an answer."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def observe(self) -> tuple[FoundDomain, ...]:
        """Every domain, ours and foreign, in order of id."""
        return await self._link.call("listing domains", _observe)

    async def define(self, spec: DomainSpec) -> None:
        """Make the persistent definition equal to ``spec``; a running guest gets it at its next start."""
        await self._turn(spec.id, f"defining {spec.domain_name}", lambda connection: _define(connection, spec))

    async def start(self, machine: str, *, generation: int, reboots: int = 0) -> None:
        """Run it (a paused one goes on). Stale when another generation is defined."""
        await self._turn(
            machine, f"starting {machine}", lambda connection: _start(connection, machine, generation, reboots),
            timeout_s=_START_S,
        )  # fmt: skip

    async def shutdown(self, machine: str, *, generation: int) -> str:
        """``agent`` or ``acpi``: which was asked; empty when the machine is off already."""
        return await self._turn(
            machine, f"shutting down {machine}", lambda connection: _shutdown(connection, machine, generation),
            timeout_s=_ASK_S,
        )  # fmt: skip

    async def power_off(self, machine: str, *, generation: int) -> None:
        """End it now; nothing when it is off. It does not wait for its turn: it is what ends a guest that hangs."""
        await self._link.call(f"powering off {machine}", lambda connection: _power_off(connection, machine, generation))

    async def reboot(self, machine: str, *, generation: int, count: int, force: bool = False) -> str:
        """``agent``, ``acpi``, ``reset``, or nothing: done already. HostFault ``domain-off`` when it does not run."""
        return await self._turn(
            machine, f"rebooting {machine}", lambda connection: _reboot(connection, machine, generation, count, force),
            timeout_s=_ASK_S,
        )  # fmt: skip

    async def undefine(self, machine: str, *, generation: int) -> None:
        """Forget a stopped machine; its logs stay, they are not libvirt's."""
        await self._turn(
            machine, f"undefining {machine}", lambda connection: _undefine(connection, machine, generation)
        )

    async def adopt(self, machine: str, *, generation: int) -> None:
        """Write our metadata element, live and persistent; the domain itself stays as it is."""
        await self._turn(machine, f"adopting {machine}", lambda connection: _adopt(connection, machine, generation))

    def events(self) -> AsyncIterator[DomainEvent]:
        """Lifecycle, reboot and agent events; one with an empty id after each new connection."""
        return self._link.events()

    async def _turn(
        self, machine: str, doing: str, work: Callable[[Any], AnswerT], *, timeout_s: float = _CALL_S
    ) -> AnswerT:
        turn = self._turns[machine]
        try:
            async with asyncio.timeout(timeout_s):
                await turn.acquire()
        except TimeoutError as late:
            detail = f"{doing}: libvirt has not ended an earlier call for this machine"
            raise HostFault("libvirt-timeout", detail) from late
        return await self._link.call(doing, work, timeout_s=timeout_s, ended=turn.release)


# What follows runs in a thread of the link. Domains are untyped: libvirt-python has no types for them.


def _observe(connection: Any) -> tuple[FoundDomain, ...]:
    found = []
    for domain in connection.listAllDomains(0):
        try:
            found.append(_found(domain))
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:  # gone since it was listed
                raise
    return tuple(sorted(found, key=lambda domain: domain.id))


def _found(domain: Any) -> FoundDomain:
    power, reason = power_of(*domain.state())
    return parse(domain.XMLDesc(0), power=power, reason=reason, persistent=bool(domain.isPersistent()))


def _lookup(connection: Any, machine: str) -> Any | None:
    try:
        return connection.lookupByUUIDString(machine)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _held(domain: Any) -> Mark | None:
    """Our element in the persistent definition; None for a foreign domain."""
    part = libvirt.VIR_DOMAIN_AFFECT_CONFIG if domain.isPersistent() else libvirt.VIR_DOMAIN_AFFECT_CURRENT
    try:
        text = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, METADATA_URI, part)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return None
        raise
    return mark_of(ET.fromstring(text))


def _ours(domain: Any, generation: int, *, exactly: bool = False) -> Mark:
    """HostFault for a foreign domain; Stale when the host holds a newer generation (``exactly``: another one)."""
    held = _held(domain)
    if held is None:
        raise HostFault("domain-foreign", f"{domain.name()} was not made by girginosvm: it is shown, never touched")
    if held.generation > generation or (exactly and held.generation != generation):
        detail = f"{domain.name()} has generation {held.generation} defined, the step had {generation}"
        raise Stale("generation-stale", detail)
    return held


def _known(connection: Any, machine: str) -> Any:
    domain = _lookup(connection, machine)
    if domain is None:
        raise HostFault("domain-missing", f"no domain {machine} is defined on this host")
    return domain


def _define(connection: Any, spec: DomainSpec) -> None:
    domain = _lookup(connection, spec.id)
    name, reboots = "", 0
    if domain is not None:
        reboots = _ours(domain, spec.generation).reboots
        name = domain.name()  # libvirt does not rename by defining; an adopted domain keeps its name
    kind = "test" if connection.getType() == "TEST" else ""
    domain = connection.defineXML(domain_xml(spec, name=name, kind=kind, reboots=reboots))
    if domain.isActive():  # both definitions say the same, so that one look tells the generation
        _mark(domain, mark_for(spec, reboots), libvirt.VIR_DOMAIN_AFFECT_LIVE)


def _mark(domain: Any, mark: Mark, part: int | None = None) -> None:
    """Write our element: into ``part``, or into every definition that the domain has."""
    if part is None:
        part = libvirt.VIR_DOMAIN_AFFECT_CONFIG if domain.isPersistent() else 0
        part |= libvirt.VIR_DOMAIN_AFFECT_LIVE if domain.isActive() else 0
    text = metadata_text(domain.UUIDString(), mark)
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, text, METADATA_KEY, METADATA_URI, part)


def _start(connection: Any, machine: str, generation: int, reboots: int) -> None:
    domain = _known(connection, machine)
    held = _ours(domain, generation, exactly=True)
    if domain.isActive():
        if power_of(*domain.state())[0] is Power.PAUSED:
            domain.resume()
        return
    if held.reboots < reboots:
        _mark(domain, msgspec.structs.replace(held, reboots=reboots))
    if connection.getType() == "QEMU":
        _make_room(connection, domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    domain.create()


def _make_room(connection: Any, definition: str) -> None:
    """The directories of sockets and logs; /run is empty after a boot. One that exists keeps owner and mode."""
    sockets, logs = sockets_and_logs(definition)
    owner = owners.learn(connection.getCapabilities())
    try:
        for path in sockets:
            place = Path(path).parent
            if not place.exists():
                place.mkdir(parents=True)
                os.chmod(place, 0o750)
                os.chown(place, *owner)
        for path in logs:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise HostFault("directory-refused", f"{fault.filename}: {fault.strerror}") from fault


def _ask(domain: Any, by_agent: Any, by_acpi: Any) -> str:
    """The agent's way when the agent is there and takes it, else the power button's."""
    if parse(domain.XMLDesc(0)).agent_connected:
        try:
            by_agent()
            return "agent"
        except libvirt.libvirtError:
            if not domain.isActive():  # it went down while the agent answered
                return "agent"
    by_acpi()
    return "acpi"


def _shutdown(connection: Any, machine: str, generation: int) -> str:
    domain = _lookup(connection, machine)
    if domain is None:
        return ""
    _ours(domain, generation)
    if not domain.isActive():
        return ""
    button = libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN if connection.getType() == "QEMU" else 0
    return _ask(
        domain,
        lambda: domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT),
        lambda: domain.shutdownFlags(button),
    )


def _power_off(connection: Any, machine: str, generation: int) -> None:
    domain = _lookup(connection, machine)
    if domain is None:
        return
    _ours(domain, generation)
    try:
        if domain.isActive():
            domain.destroy()
    except libvirt.libvirtError:
        if domain.isActive():  # it has ended between the two, as was wanted
            raise


def _reboot(connection: Any, machine: str, generation: int, count: int, force: bool) -> str:
    domain = _known(connection, machine)
    held = _ours(domain, generation)
    if held.reboots >= count:
        return ""
    if not domain.isActive():
        raise HostFault("domain-off", f"{domain.name()} does not run, so it cannot be rebooted")
    _mark(domain, msgspec.structs.replace(held, reboots=count))
    try:
        return _reboot_now(domain, force, acpi=connection.getType() == "QEMU")
    except libvirt.libvirtError:
        _mark(domain, held)  # it was refused, so it was not done
        raise


def _reboot_now(domain: Any, force: bool, *, acpi: bool) -> str:
    if force:
        domain.reset(0)
        return "reset"
    button = libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN if acpi else 0
    return _ask(domain, lambda: domain.reboot(libvirt.VIR_DOMAIN_REBOOT_GUEST_AGENT), lambda: domain.reboot(button))


def _undefine(connection: Any, machine: str, generation: int) -> None:
    domain = _lookup(connection, machine)
    if domain is None:
        return
    _ours(domain, generation)
    if domain.isActive():
        raise HostFault("domain-running", f"{domain.name()} still runs; only a stopped machine is forgotten")
    flags = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    if parse(domain.XMLDesc(0)).firmware is Firmware.UEFI and connection.getType() == "QEMU":
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    domain.undefineFlags(flags)


def _adopt(connection: Any, machine: str, generation: int) -> None:
    domain = _known(connection, machine)
    held = _held(domain)
    if held is not None:
        _ours(domain, generation)
    _mark(domain, msgspec.structs.replace(held or Mark(0), generation=generation))
