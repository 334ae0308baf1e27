"""What this node is: processors, memory, kernel, versions, firmware, and what executes guests."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from girginosvm.core.errors import HostFault
from girginosvm.core.host import Acceleration, HostFacts
from girginosvm.hypervisor import owners
from girginosvm.hypervisor.libvirt.loop import Link
from girginosvm.hypervisor.libvirt.probe import probed, qemu_binary
from girginosvm.hypervisor.run import run

# Where libvirt looks for firmware descriptors (docs/interop/firmware.json of QEMU); /etc overrides /usr/share.
_DESCRIPTORS: Final = ("/etc/qemu/firmware", "/usr/share/qemu/firmware")


class LibvirtFacts:
    """Facts of the machine that this process runs on. The probe runs once, in ``place``."""

    def __init__(self, link: Link, place: Path, *, node_name: str = "") -> None:
        self._link = link
        self._place = place
        self._node_name = node_name
        self._probe: tuple[Acceleration, str] | None = None
        self._probing = asyncio.Lock()

    async def observe(self) -> HostFacts:
        """Looked up anew; libvirt's version is empty while libvirt does not answer."""
        acceleration, reason = await self._acceleration()
        try:
            libvirt = _version(await self._link.call("asking for the version", _about))
        except HostFault:
            libvirt = ""
        return HostFacts(
            hostname=self._node_name or socket.gethostname(),
            cpus=len(os.sched_getaffinity(0)),
            cpu_model=cpu_model(_text("/proc/cpuinfo")),
            memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            kernel=os.uname().release,
            os=os_name(_text("/etc/os-release")),
            libvirt=libvirt,
            qemu=await _qemu_version(qemu_binary()),
            acceleration=acceleration,
            acceleration_reason=reason,
            firmwares=("bios", "uefi") if efi_descriptors(_DESCRIPTORS) else ("bios",),
            addresses=await _addresses(),
        )

    async def _acceleration(self) -> tuple[Acceleration, str]:
        async with self._probing:
            if self._probe is None:
                self._probe = await probed(qemu_binary(), self._place)
            return self._probe


def _about(connection: Any) -> int:
    """Its version; and who QEMU is, before files are made for it."""
    if connection.getType() == "QEMU":
        owners.learn(connection.getCapabilities())
    return int(connection.getLibVersion())


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def cpu_model(cpuinfo: str) -> str:
    """``model name`` of the first processor, /proc/cpuinfo."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else ""


def os_name(release: str) -> str:
    """``PRETTY_NAME`` of os-release(5)."""
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)"?$', release, re.MULTILINE)
    return found[1] if found else ""


def efi_descriptors(places: Iterable[str]) -> tuple[str, ...]:
    """The descriptors of x86_64 UEFI firmware for q35 without Secure Boot whose code file exists: what libvirt would
    choose from for ``<os firmware='efi'>``. Debian and AlmaLinux keep OVMF in different places; this tells."""
    found: dict[str, Path] = {}
    for place in places:
        for file in sorted(Path(place).glob("*.json")):
            found.setdefault(file.name, file)
    return tuple(str(file) for file in found.values() if _is_plain_efi(_text(str(file))))


def _is_plain_efi(descriptor: str) -> bool:
    try:
        firmware = json.loads(descriptor)
        code = firmware["mapping"]["executable"]["filename"]
        machines = [
            machine
            for target in firmware["targets"]
            if target["architecture"] == "x86_64"
            for machine in target["machines"]
        ]
        plain = not {"secure-boot", "requires-smm"} & set(firmware["features"])
        return (
            plain
            and "uefi" in firmware["interface-types"]
            and any(machine.startswith("pc-q35") for machine in machines)
            and Path(code).exists()
        )
    except (ValueError, KeyError, TypeError):
        return False  # not ours to mend; libvirt will say what is wrong with it


async def _qemu_version(binary: str) -> str:
    if not binary:
        return ""
    found = re.search(r"version ([0-9.]+)", (await run(binary, "--version")).out)
    return found[1] if found else ""


async def _addresses() -> tuple[str, ...]:
    """The node's global IPv4 addresses, in order of interface (ip-address(8))."""
    try:
        ran = await run("ip", "-j", "-4", "address", "show", "scope", "global")
        links = json.loads(ran.out or "[]")
    except (HostFault, ValueError):
        return ()
    return tuple(one["local"] for link in links for one in link.get("addr_info", ()) if "local" in one)
