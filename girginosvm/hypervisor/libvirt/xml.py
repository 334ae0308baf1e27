"""A machine as libvirt's domain XML, and back. Pure: trees in, trees out, no string is ever glued into markup.

Format: libvirt's "Domain XML format" (formatdomain.html); the result is held to libvirt's own RELAX NG schema by a
test. Our metadata element carries id, generation, epoch and the addresses that its interfaces were given, so that a
host which comes back with the machine brings them along: a domain without it is foreign.
"""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree as ET

import msgspec

from girginosvm.core.errors import HostFault
from girginosvm.core.host import (
    Acceleration,
    DiskSpec,
    DomainSpec,
    Firmware,
    FoundDomain,
    FoundNic,
    NicSpec,
    Power,
)

METADATA_URI: Final = "urn:girginosvm:machine:1"
METADATA_KEY: Final = "girginosvm"
_TAG: Final = f"{{{METADATA_URI}}}machine"
AGENT_CHANNEL: Final = "org.qemu.guest_agent.0"
_UNITS: Final = {"b": 1, "bytes": 1, "KiB": 1 << 10, "k": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_TYPES: Final = {Acceleration.KVM: "kvm", Acceleration.TCG: "qemu"}
_TAP_BYTES: Final = 15  # IFNAMSIZ - 1

ET.register_namespace(METADATA_KEY, METADATA_URI)


def _add(parent: ET.Element, tag: str, text: str | None = None, **attributes: str | int) -> ET.Element:
    child = ET.SubElement(parent, tag, {key: _safe(str(value), f"{tag}/@{key}") for key, value in attributes.items()})
    if text is not None:
        child.text = _safe(text, tag)
    return child


def _safe(text: str, where: str) -> str:
    """``text``, unless a character has no place in XML or would break a line; markup is escaped by the tree."""
    strange = next((letter for letter in text if ord(letter) < 32 or ord(letter) in _UNPRINTABLE), None)
    if strange is not None:
        raise HostFault("domain-unwritable", f"{where} holds the character U+{ord(strange):04X}: {text[:80]!r}")
    return text


_UNPRINTABLE: Final = frozenset({*range(0x7F, 0xA0), *range(0xD800, 0xE000), 0x2028, 0x2029, 0xFFFE, 0xFFFF})


class Mark(msgspec.Struct, frozen=True):
    """Our element in a domain's metadata: from which generation it was made, which requests to reboot are done, and
    MAC and IPv4 address of each interface that was given one (``addresses="MAC=ADDRESS MAC=ADDRESS"``)."""

    generation: int
    epoch: int = 0
    reboots: int = 0
    addresses: tuple[tuple[str, str], ...] = ()


_NUMBERS: Final = ("generation", "epoch", "reboots")


def mark_for(spec: DomainSpec, reboots: int) -> Mark:
    """The mark of a domain that is made after ``spec``."""
    addresses = tuple((nic.mac, address) for nic in spec.nics for address in nic.addresses)
    return Mark(spec.generation, spec.epoch, reboots, addresses)


def metadata(machine: str, mark: Mark) -> ET.Element:
    """The element of machine ``machine``."""
    element = ET.Element(_TAG)
    element.set("id", _safe(machine, "machine/@id"))
    for key in _NUMBERS:
        element.set(key, str(getattr(mark, key)))
    if mark.addresses:
        pairs = " ".join(f"{mac}={address}" for mac, address in mark.addresses)
        element.set("addresses", _safe(pairs, "machine/@addresses"))
    return element


def metadata_text(machine: str, mark: Mark) -> str:
    """Our element as virDomainSetMetadata wants it: without prefix, libvirt adds the key given beside it."""
    element = metadata(machine, mark)
    element.tag = "machine"
    return ET.tostring(element, encoding="unicode")


def mark_of(element: ET.Element) -> Mark:
    """What our element says; an attribute of a later release is ignored, one of an earlier one's is 0."""
    pairs = (pair.partition("=") for pair in (element.get("addresses") or "").split())
    generation, epoch, reboots = (int(element.get(key) or 0) for key in _NUMBERS)
    return Mark(generation, epoch, reboots, tuple((mac, address) for mac, _, address in pairs if address))


def domain_xml(spec: DomainSpec, *, name: str = "", kind: str = "", reboots: int = 0) -> str:
    """The persistent definition. ``reboots`` keeps the count of an earlier one, ``name`` the name of an adopted
    domain; ``kind`` overrides the type (libvirt's test driver knows only ``test``). HostFault ``domain-unwritable``
    for what XML or libvirt cannot carry."""
    name = name or spec.domain_name
    if "/" in name or not name.strip() or name.startswith("."):
        raise HostFault("domain-unwritable", f"{name[:80]!r} is no name for a domain")
    root = ET.Element("domain", type=kind or _TYPES[spec.acceleration])
    _add(root, "name", name)
    _add(root, "uuid", spec.id)
    if spec.title:
        _add(root, "title", spec.title)
    _add(root, "metadata").append(metadata(spec.id, mark_for(spec, reboots)))
    _add(root, "memory", str(spec.memory_bytes >> 10), unit="KiB")
    _add(root, "currentMemory", str(spec.memory_bytes >> 10), unit="KiB")
    _add(root, "vcpu", str(spec.vcpu), placement="static")
    _platform(root, spec)
    _devices(_add(root, "devices"), spec)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _platform(root: ET.Element, spec: DomainSpec) -> None:
    """Firmware, processor, clocks, and what happens when the guest ends."""
    start = _add(root, "os", **({"firmware": "efi"} if spec.firmware is Firmware.UEFI else {}))
    _add(start, "type", "hvm", arch="x86_64", machine="q35")
    if spec.firmware is Firmware.UEFI:
        # Without Secure Boot: it needs SMM and signed loaders, and TCG runs SMM badly.
        features = _add(start, "firmware")
        _add(features, "feature", enabled="no", name="enrolled-keys")
        _add(features, "feature", enabled="no", name="secure-boot")
    _add(start, "boot", dev="hd")
    features = _add(root, "features")
    _add(features, "acpi")
    _add(features, "apic")
    if spec.acceleration is Acceleration.KVM:
        _add(root, "cpu", mode="host-passthrough", check="none", migratable="on")
    else:
        _add(root, "cpu", mode="maximum", check="none")  # host-passthrough is refused without KVM
    clock = _add(root, "clock", offset="utc")
    _add(clock, "timer", name="rtc", tickpolicy="catchup")
    _add(clock, "timer", name="pit", tickpolicy="delay")
    _add(clock, "timer", name="hpet", present="no")
    _add(root, "on_poweroff", "destroy")
    _add(root, "on_reboot", "restart")
    _add(root, "on_crash", "destroy")  # ends with the reason "crashed"; the reconciler decides what follows
    power = _add(root, "pm")
    _add(power, "suspend-to-mem", enabled="no")
    _add(power, "suspend-to-disk", enabled="no")


def _devices(devices: ET.Element, spec: DomainSpec) -> None:
    for disk in spec.disks:
        _disk(devices, disk)
    _add(devices, "controller", type="usb", model="qemu-xhci")
    for nic in spec.nics:
        _nic(devices, nic)
    serial = _add(devices, "serial", type="unix")
    _add(serial, "source", mode="bind", path=spec.serial_socket)
    _add(serial, "log", file=spec.serial_log, append="on")
    _add(serial, "target", type="isa-serial", port=0)
    channel = _add(devices, "channel", type="unix")
    _add(channel, "target", type="virtio", name=AGENT_CHANNEL)
    _add(devices, "input", type="tablet", bus="usb")
    screen = _add(devices, "graphics", type="vnc")
    _add(screen, "listen", type="socket", socket=spec.vnc_socket)
    _add(_add(devices, "video"), "model", type="vga")
    balloon = _add(devices, "memballoon", model="virtio")
    _add(balloon, "stats", period=10)
    entropy = _add(devices, "rng", model="virtio")
    _add(entropy, "backend", "/dev/urandom", model="random")
    _add(devices, "panic", model="isa")


def _disk(devices: ET.Element, spec: DiskSpec) -> None:
    """Default cache mode (write-back with flushes): ``none`` needs O_DIRECT, which not every file system has."""
    disk = _add(devices, "disk", type="file", device="disk")
    driver = _add(disk, "driver", name="qemu", type=spec.format)
    if not spec.read_only:
        driver.set("discard", "unmap")
        driver.set("detect_zeroes", "unmap")
    _add(disk, "source", file=spec.path)
    _add(disk, "target", dev=spec.target, bus=spec.bus)
    if spec.read_only:
        _add(disk, "readonly")
    if spec.serial:
        _add(disk, "serial", spec.serial)


def _nic(devices: ET.Element, spec: NicSpec) -> None:
    if not 0 < len(spec.tap.encode()) <= _TAP_BYTES or spec.tap.startswith(("vnet", "vif", "macvtap")):
        raise HostFault("domain-unwritable", f"{spec.tap!r} cannot be a tap's name: libvirt would choose another")
    nic = _add(devices, "interface", type="bridge")
    _add(nic, "mac", address=spec.mac)
    _add(nic, "source", bridge=spec.bridge)
    _add(nic, "target", dev=spec.tap)
    _add(nic, "model", type="virtio")
    if spec.mtu != 1500:
        _add(nic, "mtu", size=spec.mtu)


def parse(text: str, *, power: Power = Power.UNKNOWN, reason: str = "", persistent: bool = True) -> FoundDomain:
    """What libvirt shows of a domain; ``power`` and ``reason`` come from virDomainGetState."""
    root = ET.fromstring(text)
    element = root.find(f"metadata/{_TAG}")
    mark = mark_of(element) if element is not None else Mark(0)
    kind = root.get("type", "")
    return FoundDomain(
        id=root.findtext("uuid", ""),
        name=root.findtext("name", ""),
        ours=element is not None,
        generation=mark.generation,
        epoch=mark.epoch,
        reboots=mark.reboots,
        power=power,
        reason=reason,
        vcpu=int(root.findtext("vcpu", "0")),
        memory_bytes=_bytes(root.find("memory")),
        acceleration={word: way for way, word in _TYPES.items()}.get(kind),
        firmware=_firmware(root.find("os")),
        disks=tuple(_found_disk(disk) for disk in root.iterfind("devices/disk")),
        nics=tuple(_found_nic(nic, mark) for nic in root.iterfind("devices/interface")),
        persistent=persistent,
        agent_connected=any(
            target.get("name") == AGENT_CHANNEL and target.get("state") == "connected"
            for target in root.iterfind("devices/channel/target")
        ),
    )


def sockets_and_logs(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The paths of a definition that need a directory: sockets (QEMU makes them), and logs (libvirt opens them)."""
    devices = ET.fromstring(text).find("devices")
    if devices is None:
        return (), ()
    serial = [source.get("path") for source in devices.iterfind("serial[@type='unix']/source[@mode='bind']")]
    screen = [listen.get("socket") for listen in devices.iterfind("graphics/listen[@type='socket']")]
    logs = [log.get("file") for log in devices.iterfind("serial/log")]
    return tuple(path for path in (*serial, *screen) if path), tuple(path for path in logs if path)


def _bytes(element: ET.Element | None) -> int:
    if element is None or element.text is None:
        return 0
    return int(element.text) * _UNITS.get(element.get("unit", "KiB"), 1 << 10)


def _firmware(start: ET.Element | None) -> Firmware:
    if start is None:
        return Firmware.BIOS
    efi = start.get("firmware") == "efi" or start.find("loader[@type='pflash']") is not None
    return Firmware.UEFI if efi else Firmware.BIOS


def _at(parent: ET.Element, tag: str, *keys: str) -> str:
    """The first of these attributes of ``tag``, or nothing: foreign domains may lack any of them."""
    child = parent.find(tag)
    return next((value for key in keys if child is not None and (value := child.get(key))), "")


def _found_disk(disk: ET.Element) -> DiskSpec:
    return DiskSpec(
        path=_at(disk, "source", "file", "dev", "name", "volume"),
        format=_at(disk, "driver", "type") or "raw",
        target=_at(disk, "target", "dev"),
        bus=_at(disk, "target", "bus"),
        serial=disk.findtext("serial", ""),
        read_only=disk.find("readonly") is not None,
    )


def _found_nic(nic: ET.Element, mark: Mark) -> FoundNic:
    mac = _at(nic, "mac", "address")
    return FoundNic(
        mac=mac,
        bridge=_at(nic, "source", "bridge", "network", "dev"),
        tap=_at(nic, "target", "dev"),
        addresses=tuple(address for of, address in mark.addresses if of == mac),
    )
