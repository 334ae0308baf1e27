"""A foreign domain becomes a machine as it is: its devices are shown and kept, and never deleted by us."""

from typing import Any

import msgspec
import pytest
from features.engine import NODE, Engine

from girginosvm.core.errors import Conflict, Invalid, Missing, Unsafe
from girginosvm.core.host import DiskSpec, FoundDomain, FoundNic, Power
from girginosvm.core.settings import Settings
from girginosvm.features.site import Site
from girginosvm.features.storage.queries import ListDisks
from girginosvm.features.vm.commands import AdoptVm, CreateVm, DestroyVm
from girginosvm.features.vm.queries import ListVms, ShowVm
from girginosvm.features.vm.reports import ReportForeign, ReportVm
from girginosvm.features.vm.wanted import machines

VM = "11111111-2222-4333-8444-555555555555"
DISK = DiskSpec("/srv/old/mail.qcow2", "qcow2", "vda")
ISO = DiskSpec("/srv/iso/debian.iso", "raw", "sda", read_only=True)
NIC = FoundNic("52:54:00:aa:bb:cc", "virbr7", "vnet3")
MAIL = FoundDomain(
    id=VM, name="mail", ours=False, power=Power.RUNNING, vcpu=2, memory_bytes=1 << 30, disks=(DISK, ISO), nics=(NIC,)
)


def found(engine: Engine, **fields: Any) -> None:
    engine.run(ReportForeign(node=NODE, domains=(msgspec.structs.replace(MAIL, **fields),)))


def test_its_disks_and_interfaces_are_shown_as_they_were_found(engine: Engine) -> None:
    engine.furnish()
    found(engine)
    assert [(row.name, row.ours) for row in ListVms(foreign=True).fetch(engine.reader).items] == [("mail", False)]
    engine.run(AdoptVm(vm=VM))
    shown = ShowVm(vm=VM).fetch(engine.reader)
    assert [(disk.path, disk.pool) for disk in shown.disks] == [(DISK.path, "")]
    assert [(nic.mac, nic.bridge, nic.tap, nic.network) for nic in shown.nics] == [(NIC.mac, "virbr7", "vnet3", "")]
    assert [(row.name, row.ours) for row in ListVms(foreign=True).fetch(engine.reader).items] == [("mail", True)]


def test_nothing_of_it_is_built_guarded_or_deleted(engine: Engine) -> None:
    engine.furnish()
    found(engine)
    engine.run(AdoptVm(vm=VM))
    site = Site(node=NODE, settings=Settings(), host=None, read=None, say=None, unseal=str, clock=None, log=None,
                progress={})  # fmt: skip
    (wanted,) = machines(engine.reader, site)
    assert (wanted.disks, wanted.nics) == ((), ())
    with pytest.raises(Unsafe, match=DISK.path):
        engine.run(DestroyVm(vm=VM, purge=True, force=True))


def test_destroyed_without_purge_its_disks_are_kept_and_listed(engine: Engine) -> None:
    engine.furnish()
    found(engine)
    engine.run(AdoptVm(vm=VM))
    engine.run(DestroyVm(vm=VM, force=True))
    engine.run(ReportVm(vm=VM, node=NODE, state="gone", reached=2))
    assert [(disk.path, disk.vm) for disk in ListDisks().fetch(engine.reader).items] == [(DISK.path, "mail")]
    assert ListVms().fetch(engine.reader).items == []


def test_a_mac_or_a_disk_of_another_machine_is_refused_and_nothing_stays(engine: Engine) -> None:
    image = engine.furnish()
    pool, network = (engine.rows(f"SELECT id FROM {table}")[0]["id"] for table in ("pool", "network"))
    engine.run(CreateVm(name="web01", image=image, network=network, pool=pool))
    mac, path = engine.rows("SELECT mac FROM vm_nic")[0]["mac"], engine.rows("SELECT path FROM vm_disk")[0]["path"]
    found(engine, nics=(FoundNic(mac, "virbr7", "vnet3"),))
    with pytest.raises(Conflict, match="web01"):
        engine.run(AdoptVm(vm=VM))
    found(engine, disks=(DiskSpec(path, "qcow2", "vda"),))
    with pytest.raises(Conflict, match="another machine"):
        engine.run(AdoptVm(vm=VM))
    assert len(ListVms().fetch(engine.reader).items) == 1
    assert engine.rows("SELECT * FROM vm_disk WHERE vm = ?", VM) == []


def test_a_name_that_cannot_be_ours_asks_for_another(engine: Engine) -> None:
    engine.furnish()
    found(engine, name="Mail Server")
    with pytest.raises(Invalid, match="--name"):
        engine.run(AdoptVm(vm=VM))
    engine.run(AdoptVm(vm=VM, name="mail"))
    with pytest.raises(Missing):
        engine.run(AdoptVm(vm=VM, name="again"))
