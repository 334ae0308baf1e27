"""What stands against a node that would come in: each thing that has to be unique in a cluster."""

from __future__ import annotations

import pytest
from features.engine import NODE, Engine
from features.membership.test_given_up import SHOP, shop
from msgspec.structs import replace

from girginosvm.core.errors import Conflict
from girginosvm.features.membership import api
from girginosvm.features.membership.model import Brought, BroughtVm
from girginosvm.features.vm.model import BroughtDisk

OTHER = "66666666-2222-4333-8444-555555555555"
DISK = BroughtDisk("", "/var/lib/libvirt/images/web.qcow2", "qcow2", 0, "", "", full_copy=True)


def against(engine: Engine, vm: BroughtVm) -> tuple[str, ...]:
    return api.conflicts(
        engine.reader, "n2", "192.0.2.12:1995", Brought(vms=(vm,)), release="0.1.0", level=1
    )  # fmt: skip


@pytest.fixture
def adopted(engine: Engine) -> Engine:
    """The cluster has an adopted machine whose disk lies in no pool."""
    engine.furnish()
    engine.run(replace(shop(NODE), adopted=True, disks=(DISK,)), node=NODE)
    return engine


def test_a_disk_outside_the_pools_is_said_before_the_node_is_let_in(adopted: Engine) -> None:
    found = against(adopted, BroughtVm(OTHER, "web", "default", disks=(DISK.path, "/srv/other.qcow2")))
    assert found == (f"machine web has the disk {DISK.path}, and so has the cluster's machine shop",)


def test_a_machine_whose_disk_another_one_has_is_not_brought(adopted: Engine) -> None:
    other = replace(shop(NODE), id=OTHER, name="web", adopted=True, disks=(DISK,), nics=())
    with pytest.raises(Conflict) as refused:
        adopted.run(other, node=NODE)
    assert refused.value.code == "disk-taken"
    assert [row["id"] for row in adopted.rows("SELECT id FROM vm")] == [SHOP]
