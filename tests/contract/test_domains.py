"""The contract of ``Domains``: the same sentences on the fake, on libvirt's test driver and on real QEMU."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from girginosvm.core.errors import HostFault, Stale
from girginosvm.core.host import Firmware, FoundNic, Power
from tests.contract.drivers import Driver, FakeDriver, LibvirtTestDriver, RealDriver, until

DRIVERS = (FakeDriver, LibvirtTestDriver, RealDriver)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each sentence on each driver, but for those the driver lists."""
    if "driver" in metafunc.fixturenames:
        able = [kind for kind in DRIVERS if metafunc.function.__name__ not in kind.cannot]
        if "host" in metafunc.fixturenames:
            able = [RealDriver]
        marks = {RealDriver: (pytest.mark.host,)}
        params = [pytest.param(kind, id=kind.name, marks=marks.get(kind, ())) for kind in able]
        metafunc.parametrize("driver", params, indirect=True)


@pytest.fixture(scope="module")
def host() -> Iterator[Any]:
    """A host of its own with a libvirtd."""
    from tests.lab.host import LabHost

    with LabHost() as one:
        one.root.chmod(0o711)
        yield one


@pytest.fixture
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Driver]:
    """One implementation, empty of ours."""
    if request.param is RealDriver:
        one: Driver = RealDriver(request.getfixturevalue("host"))
    else:
        one = request.param(tmp_path)
    yield one
    await one.close()


def test_what_a_driver_cannot_is_a_sentence_of_this_suite() -> None:
    for kind in DRIVERS:
        assert set(kind.cannot) <= set(globals())


async def test_a_defined_machine_is_seen_as_it_was_asked_for(driver: Driver) -> None:
    spec = driver.spec(epoch=4)
    await driver.domains.define(spec)
    found = await driver.found(spec.id)
    assert found is not None
    assert (found.name, found.ours, found.generation, found.epoch) == (spec.domain_name, True, 1, 4)
    assert (found.power, found.vcpu, found.memory_bytes) == (Power.STOPPED, 1, spec.memory_bytes)
    assert (found.firmware, found.persistent) == (Firmware.BIOS, True)
    assert found.disks == spec.disks
    assert found.nics == tuple(FoundNic(nic.mac, nic.bridge, nic.tap, nic.addresses) for nic in spec.nics)


async def test_defining_again_changes_nothing_and_a_newer_generation_changes_the_shape(driver: Driver) -> None:
    spec = driver.spec()
    await driver.domains.define(spec)
    before = await driver.domains.observe()
    await driver.domains.define(spec)
    assert await driver.domains.observe() == before
    await driver.domains.define(msgspec.structs.replace(spec, generation=2, vcpu=2))
    found = await driver.found(spec.id)
    assert found is not None
    assert (found.generation, found.vcpu) == (2, 2)


async def test_an_older_generation_is_stale_and_changes_nothing(driver: Driver) -> None:
    spec = driver.spec(generation=5)
    await driver.domains.define(spec)
    await driver.domains.start(spec.id, generation=5)
    before = await driver.found(spec.id)
    port = driver.domains
    for deed in (
        lambda: port.define(msgspec.structs.replace(spec, generation=4, vcpu=2)),
        lambda: port.start(spec.id, generation=4),
        lambda: port.start(spec.id, generation=6),
        lambda: port.shutdown(spec.id, generation=4),
        lambda: port.power_off(spec.id, generation=4),
        lambda: port.reboot(spec.id, generation=4, count=1, force=True),
        lambda: port.undefine(spec.id, generation=4),
        lambda: port.adopt(spec.id, generation=4),
    ):
        with pytest.raises(Stale) as caught:
            await deed()
        assert caught.value.code == "generation-stale"
    assert await driver.found(spec.id) == before


async def test_start_runs_a_machine_once_however_often_it_is_asked(driver: Driver) -> None:
    spec = driver.spec()
    await driver.domains.define(spec)
    await asyncio.gather(*(driver.domains.start(spec.id, generation=1) for _ in range(3)))
    found = await driver.found(spec.id)
    assert found is not None
    assert (found.power, found.reason) == (Power.RUNNING, "booted")


async def test_power_off_ends_it_and_is_nothing_for_what_is_off_or_unknown(driver: Driver) -> None:
    spec = driver.spec()
    await driver.domains.power_off(spec.id, generation=1)
    await driver.domains.define(spec)
    await driver.domains.start(spec.id, generation=1)
    await driver.domains.power_off(spec.id, generation=1)
    await driver.domains.power_off(spec.id, generation=1)
    found = await driver.found(spec.id)
    assert found is not None
    assert (found.power, found.reason) == (Power.STOPPED, "destroyed")


async def test_a_running_machine_learns_its_new_generation_and_keeps_its_shape(driver: Driver) -> None:
    spec = driver.spec()
    await driver.domains.define(spec)
    await driver.domains.start(spec.id, generation=1)
    await driver.domains.define(msgspec.structs.replace(spec, generation=2, memory_bytes=96 << 20))
    found = await driver.found(spec.id)
    assert found is not None
    assert (found.generation, found.power, found.memory_bytes) == (2, Power.RUNNING, 64 << 20)
    await driver.domains.power_off(spec.id, generation=2)
    found = await driver.found(spec.id)
    assert found is not None
    assert found.memory_bytes == 96 << 20


async def test_only_a_stopped_machine_is_forgotten_and_twice_is_nothing(driver: Driver) -> None:
    spec = driver.spec()
    await driver.domains.define(spec)
    await driver.domains.start(spec.id, generation=1)
    with pytest.raises(HostFault, match="still runs"):
        await driver.domains.undefine(spec.id, generation=1)
    await driver.domains.power_off(spec.id, generation=1)
    await driver.domains.undefine(spec.id, generation=1)
    await driver.domains.undefine(spec.id, generation=1)
    assert await driver.found(spec.id) is None


async def test_a_foreign_domain_is_shown_and_never_touched(driver: Driver) -> None:
    theirs = await driver.make_foreign()
    before = await driver.found(theirs)
    assert before is not None
    assert (before.ours, before.power) == (False, Power.RUNNING)
    port = driver.domains
    for deed in (
        lambda: port.define(driver.spec(id=theirs)),
        lambda: port.start(theirs, generation=9),
        lambda: port.shutdown(theirs, generation=9),
        lambda: port.power_off(theirs, generation=9),
        lambda: port.reboot(theirs, generation=9, count=1, force=True),
        lambda: port.undefine(theirs, generation=9),
    ):
        with pytest.raises(HostFault) as caught:
            await deed()
        assert caught.value.code == "domain-foreign"
    assert await driver.found(theirs) == before


async def test_an_adopted_domain_is_ours_and_otherwise_the_same(driver: Driver) -> None:
    theirs = await driver.make_foreign()
    before = await driver.found(theirs)
    await driver.domains.adopt(theirs, generation=3)
    await driver.domains.adopt(theirs, generation=3)
    assert before is not None
    assert await driver.found(theirs) == msgspec.structs.replace(before, ours=True, generation=3)
    await driver.domains.power_off(theirs, generation=3)
    found = await driver.found(theirs)
    assert found is not None
    assert (found.ours, found.generation, found.power) == (True, 3, Power.STOPPED)


async def test_what_is_unknown_cannot_be_started_rebooted_or_adopted(driver: Driver) -> None:
    machine = driver.spec().id
    port = driver.domains
    for deed in (
        lambda: port.start(machine, generation=1),
        lambda: port.reboot(machine, generation=1, count=1),
        lambda: port.adopt(machine, generation=1),
    ):
        with pytest.raises(HostFault) as caught:
            await deed()
        assert caught.value.code == "domain-missing"


async def test_a_name_that_another_domain_holds_is_refused_with_the_hosts_words(driver: Driver) -> None:
    first = driver.spec()
    second = msgspec.structs.replace(driver.spec(), id=first.id[:9] + "0000-4000-8000-000000000000")
    await driver.domains.define(first)
    with pytest.raises(HostFault, match=f"domain '{first.domain_name}' already exists"):
        await driver.domains.define(second)


async def test_changes_are_reported_as_they_happen(driver: Driver) -> None:
    spec = driver.spec()
    async with driver.listening() as heard:

        def heard_of(what: str) -> Callable[[], Any]:
            async def look() -> bool:
                return (spec.id, what) in [(event.id, event.what) for event in heard]

            return look

        await driver.domains.define(spec)
        await until(heard_of("defined"), "defined")
        await driver.domains.start(spec.id, generation=1)
        await until(heard_of("started"), "started")
        await driver.domains.power_off(spec.id, generation=1)
        await until(heard_of("stopped"), "stopped")
        await driver.domains.undefine(spec.id, generation=1)
        await until(heard_of("undefined"), "undefined")
    told = [event.what for event in heard if event.id == spec.id]
    ends = ("defined", "started", "stopped", "undefined")
    assert sorted(ends, key=told.index) == list(ends)


async def test_a_machine_killed_behind_our_back_is_reported_and_starts_again(driver: Driver) -> None:
    spec = driver.spec()
    await driver.domains.define(spec)
    await driver.domains.start(spec.id, generation=1)
    async with driver.listening() as heard:
        await driver.kill(spec)

        async def told() -> bool:
            return (spec.id, "stopped") in [(event.id, event.what) for event in heard]

        await until(told, "the event")
    found = await driver.found(spec.id)
    assert found is not None
    assert found.power in (Power.STOPPED, Power.CRASHED)
    await driver.domains.start(spec.id, generation=1)
    found = await driver.found(spec.id)
    assert found is not None
    assert found.power is Power.RUNNING


async def test_a_guest_is_asked_to_stop_in_one_of_two_ways_and_one_that_is_off_is_not_asked(driver: Driver) -> None:
    spec = driver.spec()
    await driver.domains.define(spec)
    assert await driver.domains.shutdown(spec.id, generation=1) == ""
    await driver.domains.start(spec.id, generation=1)
    assert await driver.domains.shutdown(spec.id, generation=1) in ("agent", "acpi")


async def test_a_forced_reboot_resets_and_the_machine_still_runs(driver: Driver) -> None:
    spec = driver.spec()
    await driver.domains.define(spec)
    with pytest.raises(HostFault, match="does not run"):
        await driver.domains.reboot(spec.id, generation=1, count=1, force=True)
    await driver.domains.start(spec.id, generation=1)
    assert await driver.domains.reboot(spec.id, generation=1, count=1, force=True) == "reset"
    found = await driver.found(spec.id)
    assert found is not None
    assert found.power is Power.RUNNING


async def test_a_request_to_reboot_is_done_once_and_a_boot_counts_for_those_before_it(driver: Driver) -> None:
    spec, port = driver.spec(), driver.domains
    await port.define(spec)
    await port.start(spec.id, generation=1, reboots=2)
    assert await port.reboot(spec.id, generation=1, count=2) == ""
    assert await port.reboot(spec.id, generation=1, count=3) in ("agent", "acpi")
    assert await port.reboot(spec.id, generation=1, count=3) == ""
    await port.define(msgspec.structs.replace(spec, generation=2, vcpu=2))
    found = await driver.found(spec.id)
    assert found is not None
    assert (found.reboots, found.generation) == (3, 2)
    await port.power_off(spec.id, generation=2)
    found = await driver.found(spec.id)
    assert found is not None
    assert found.reboots == 3


async def test_an_adopted_domain_is_rebooted_once_per_request_too(driver: Driver) -> None:
    theirs, port = await driver.make_foreign(), driver.domains
    await port.adopt(theirs, generation=1)
    assert await port.reboot(theirs, generation=2, count=1) in ("agent", "acpi")
    await port.adopt(theirs, generation=2)
    assert await port.reboot(theirs, generation=2, count=1) == ""
    found = await driver.found(theirs)
    assert found is not None
    assert (found.reboots, found.generation) == (1, 2)


async def test_a_killed_libvirtd_costs_one_event_and_no_machine(driver: RealDriver, host: Any) -> None:
    spec = driver.spec()
    await driver.domains.define(spec)
    await driver.domains.start(spec.id, generation=1)
    async with driver.listening() as heard:
        heard.clear()
        host.kill_libvirtd()
        with pytest.raises(HostFault) as caught:
            await driver.domains.observe()
        assert caught.value.code == "libvirt-unreachable"
        host.start_libvirtd()

        async def told() -> bool:
            return "" in [event.id for event in heard]

        await until(told, "the connection to be back")
        found = await driver.found(spec.id)
        assert found is not None
        assert found.power is Power.RUNNING
        await driver.domains.power_off(spec.id, generation=1)

        async def stopped() -> bool:
            return (spec.id, "stopped") in [(event.id, event.what) for event in heard]

        await until(stopped, "events over the new connection")


async def test_a_running_machine_has_its_sockets_its_log_and_its_tap(driver: RealDriver, host: Any) -> None:
    from tests.lab.host import qemu_user

    spec = driver.spec()
    await driver.domains.define(spec)
    await driver.domains.start(spec.id, generation=1)
    for test, path in (("-S", spec.serial_socket), ("-S", spec.vnc_socket), ("-f", spec.serial_log)):
        host.exec("test", test, path)
    assert f"{spec.nics[0].tap}:" in host.exec("ip", "-o", "link", "show", "master", "br-vsw").stdout
    assert host.exec("stat", "-c", "%a %U", str(driver.place / "vm")).stdout.split() == ["750", qemu_user()]


async def test_a_uefi_machine_starts_and_its_nvram_goes_with_it(driver: RealDriver, host: Any) -> None:
    spec = driver.spec("efi", firmware=Firmware.UEFI, memory_bytes=128 << 20)
    await driver.domains.define(spec)
    await driver.domains.start(spec.id, generation=1)
    found = await driver.found(spec.id)
    assert found is not None
    assert (found.firmware, found.power) == (Firmware.UEFI, Power.RUNNING)
    stored = host.exec("sh", "-c", "ls /var/lib/libvirt/qemu/nvram").stdout
    assert spec.domain_name in stored
    await driver.domains.power_off(spec.id, generation=1)
    await driver.domains.undefine(spec.id, generation=1)
    assert spec.domain_name not in host.exec("sh", "-c", "ls /var/lib/libvirt/qemu/nvram").stdout
