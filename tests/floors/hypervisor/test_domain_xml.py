"""The XML of a machine: golden texts, libvirt's own schema, hostile input."""

from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from lxml import etree

from girginosvm.core.errors import HostFault
from girginosvm.core.host import Acceleration, DiskSpec, DomainSpec, Firmware, FoundNic, NicSpec, Power
from girginosvm.hypervisor.libvirt.xml import Mark, domain_xml, metadata_text, parse, sockets_and_logs

_GOLDEN = Path(__file__).parents[2] / "golden" / "xml"
_SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")
_ID = "0192f0c1-1111-7222-8333-444455556666"

BIOS = DomainSpec(
    id=_ID, name="web01", generation=3, vcpu=4, memory_bytes=8 << 30, firmware=Firmware.BIOS,
    acceleration=Acceleration.TCG,
    disks=(
        DiskSpec("/srv/pool/web01.qcow2", "qcow2", "vda", serial="root"),
        DiskSpec("/srv/seeds/web01.iso", "raw", "vdb", read_only=True),
    ),
    nics=(NicSpec("52:54:00:00:00:01", "br-vsw", "gvm0192f0c1a", ("198.51.100.10",)),),
    serial_log="/srv/log/web01.log", serial_socket="/run/vm/web01.serial", vnc_socket="/run/vm/web01.vnc",
)  # fmt: skip
UEFI = msgspec.structs.replace(
    BIOS, firmware=Firmware.UEFI, acceleration=Acceleration.KVM, title="Web server", epoch=2,
    nics=(NicSpec("52:54:00:00:00:02", "br9", "gvm0192f0c1b", mtu=9000),),
)  # fmt: skip
SPECS = {"bios-tcg": BIOS, "uefi-kvm": UEFI}


def _is_valid(text: str) -> bool:
    schema = etree.RelaxNG(etree.parse(str(_SCHEMA)))
    valid = schema.validate(etree.fromstring(text.encode()))
    print(schema.error_log)
    return bool(valid)


@pytest.mark.parametrize("name", SPECS)
def test_a_machine_is_written_as_the_golden_text(name: str) -> None:
    assert domain_xml(SPECS[name]) == (_GOLDEN / f"{name}.xml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SPECS)
def test_libvirts_own_schema_accepts_it(name: str) -> None:
    assert _is_valid(domain_xml(SPECS[name]))


def test_libvirts_own_schema_would_refuse_a_mistake() -> None:
    assert not _is_valid(domain_xml(BIOS).replace("discard=", "dispose="))


@pytest.mark.parametrize("name", SPECS)
def test_what_was_written_is_read_back(name: str) -> None:
    spec = SPECS[name]
    found = parse(domain_xml(spec), power=Power.RUNNING, reason="booted")
    assert (found.id, found.name, found.ours) == (spec.id, "web01-0192f0c1", True)
    assert (found.generation, found.epoch, found.power, found.reason) == (3, spec.epoch, Power.RUNNING, "booted")
    assert (found.vcpu, found.memory_bytes, found.firmware) == (4, 8 << 30, spec.firmware)
    assert (found.acceleration, found.disks) == (spec.acceleration, spec.disks)
    assert found.nics == tuple(FoundNic(nic.mac, nic.bridge, nic.tap, nic.addresses) for nic in spec.nics)
    assert sockets_and_logs(domain_xml(spec)) == (
        ("/run/vm/web01.serial", "/run/vm/web01.vnc"), ("/srv/log/web01.log",),
    )  # fmt: skip


def test_a_domain_without_our_element_is_foreign_and_still_readable() -> None:
    found = parse("<domain type='lxc'><name>x</name><uuid>u</uuid><memory unit='MiB'>2</memory><devices/></domain>")
    assert (found.ours, found.generation, found.memory_bytes, found.acceleration) == (False, 0, 2 << 20, None)
    marked = parse("<domain type='kvm'><metadata><o:machine xmlns:o='urn:other' id='x'/></metadata></domain>")
    assert not marked.ours


def test_the_agent_counts_as_connected_only_when_libvirt_says_so() -> None:
    text = (
        "<domain type='qemu'><devices><channel><target name='org.qemu.guest_agent.0' state='{}'/></channel></devices>"
        "</domain>"
    )
    assert parse(text.format("connected")).agent_connected
    assert not parse(text.format("disconnected")).agent_connected


@pytest.mark.parametrize("title", ['"><disk type="file"/>', "a & b <c>", "]]>", "-v", "Türkçe başlık"])
def test_markup_in_a_text_stays_text(title: str) -> None:
    text = domain_xml(msgspec.structs.replace(BIOS, title=title))
    root = ET.fromstring(text)
    assert root.findtext("title") == title
    assert len(root.findall("devices/disk")) == 2
    assert _is_valid(text)


@pytest.mark.parametrize("field", ["name", "title", "serial_log", "serial_socket", "vnc_socket", "id"])
@pytest.mark.parametrize("letter", ["\n", "\r", "\t", "\0", "\x1b", "\x85", "\u2028", "\ud800", "\ufffe"])
def test_a_control_character_anywhere_is_refused(field: str, letter: str) -> None:
    spec = msgspec.structs.replace(BIOS, **{field: f"a{letter}b"})
    with pytest.raises(HostFault) as caught:
        domain_xml(spec)
    assert caught.value.code == "domain-unwritable"


@pytest.mark.parametrize("name", ["a/b", "../../etc/x", ".hidden"])
def test_a_name_that_could_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(HostFault, match="no name for a domain"):
        domain_xml(BIOS, name=name)


@pytest.mark.parametrize("tap", ["", "vnet0", "vif3", "macvtap0", "gvm4567890123456"])
def test_a_taps_name_that_would_not_stick_is_refused(tap: str) -> None:
    nics = (NicSpec("52:54:00:00:00:01", "br0", tap),)
    with pytest.raises(HostFault, match="cannot be a tap's name"):
        domain_xml(msgspec.structs.replace(BIOS, nics=nics))


def test_the_element_for_an_adopted_domain_names_no_prefix_of_its_own() -> None:
    assert metadata_text("i<d", Mark(4, reboots=2)) == '<machine id="i&lt;d" generation="4" epoch="0" reboots="2" />'
