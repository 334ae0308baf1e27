"""What only the fake host's machines do; the rest is the contract."""

from pathlib import Path

import pytest

from girginosvm.core.errors import HostFault
from girginosvm.core.host import Acceleration, DomainSpec, Firmware, Power
from girginosvm.hypervisor.fake.domains import FakeDomains
from girginosvm.hypervisor.fake.state import State


def _spec(tmp_path: Path) -> DomainSpec:
    return DomainSpec(
        id="0192f0c1-1111-7222-8333-444455556666", name="web", generation=1, vcpu=1, memory_bytes=1 << 26,
        firmware=Firmware.BIOS, acceleration=Acceleration.TCG, disks=(), nics=(),
        serial_log=str(tmp_path / "log" / "web.log"), serial_socket="", vnc_socket="",
    )  # fmt: skip


async def test_a_boot_writes_to_the_serial_log_once_and_a_second_start_writes_nothing(tmp_path: Path) -> None:
    port, spec = FakeDomains(State(tmp_path / "host.json")), _spec(tmp_path)
    await port.define(spec)
    await port.start(spec.id, generation=1)
    once = (tmp_path / "log" / "web.log").read_text(encoding="utf-8")
    assert "web-0192f0c1 login:" in once
    await port.start(spec.id, generation=1)
    assert (tmp_path / "log" / "web.log").read_text(encoding="utf-8") == once


async def test_a_machine_ended_through_another_opener_of_the_file_is_reported(tmp_path: Path) -> None:
    port, spec = FakeDomains(State(tmp_path / "host.json")), _spec(tmp_path)
    await port.define(spec)
    await port.start(spec.id, generation=1)
    events = port.events()
    assert (await anext(events)).id == ""
    FakeDomains(State(tmp_path / "host.json")).end(spec.id, power=Power.CRASHED, reason="crashed")
    happened = await anext(events)
    assert (happened.id, happened.what) == (spec.id, "stopped")
    assert (await port.observe())[0].power is Power.CRASHED


async def test_an_injected_fault_leaves_no_effect(tmp_path: Path) -> None:
    state = State(tmp_path / "host.json")
    port, spec = FakeDomains(state), _spec(tmp_path)
    state.fail("domains.define", "libvirt-refused", "no room")
    with pytest.raises(HostFault, match="no room"):
        await port.define(spec)
    assert await port.observe() == ()
