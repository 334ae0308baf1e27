"""The most telling kills of a create and of a destroy on real libvirt, QEMU, netlink and nftables: nothing half-made,
and the machine beside it keeps running. tests/scenarios/test_crash.py kills at all other points, on the fake host."""

import json
from pathlib import Path

import pytest

from girginosvm.hypervisor.net.filter import parsed
from tests.lab.host import LabHost
from tests.lab.product import NETWORK, Product, Refused
from tests.lab.spaces import until
from tests.scenarios.node import Door

pytestmark = pytest.mark.lab
HOME = "var/lib/girginosvm"


@pytest.fixture(scope="module")
def product(host: LabHost, tiny: Path) -> Product:
    """A node with one running machine, which nobody touches from here on."""
    one = Product(host)
    one.prepare({"tiny": tiny})
    one.start(GIRGINOSVM_POINTS_FUSE=str(host.root / "fuse"))
    one("image", "pull", "tiny")
    one("net", "pool", "add", *NETWORK)
    one("vm", "create", "--name", "beside", "--image", "tiny", "--network", "lab", "--memory", "128")
    one.wait_state("beside", "running")
    return one


def left(host: LabHost, product: Product) -> dict[str, object]:
    """What there is of machines, place by place; nothing of the guards or leases while they cannot be told."""
    taps, closed = (
        json.loads(host.exec("nft", "-j", "list", "table", family, "girginosvm").stdout)
        for family in ("bridge", "inet")
    )
    try:
        leases = len(product("ipam", "leases"))
    except Refused:  # the agent is on its way back
        leases = None
    return {
        "domains": sorted(host.exec("virsh", "list", "--uuid").stdout.split()),
        "defined": sorted(host.exec("virsh", "list", "--all", "--uuid").stdout.split()),
        "disks": sorted(file.name[:36] for file in (host.root / HOME / "storage").iterdir()),
        "seeds": sorted(file.name[:36] for file in (host.root / HOME / "seeds").iterdir()),
        "guards": len(guards) if (guards := parsed(taps, closed)) is not None else None,
        "leases": leases,
    }


def full(ids: list[str]) -> dict[str, object]:
    """What there has to be for these running machines."""
    ids = sorted(ids)
    return {"domains": ids, "defined": ids, "disks": ids, "seeds": ids, "guards": len(ids), "leases": len(ids)}


@pytest.mark.parametrize(
    ("making", "destroying"),
    [
        ("volume.link:before", "domains.power_off:after"),
        ("volume.link:after", "domains.undefine:after"),
        ("seeds.ensure:after", "volumes.remove:before"),
        ("filter.apply:after", "seeds.remove:after"),
        ("domains.define:after", "volumes.remove:after"),
        ("domains.start:after", "filter.apply:before"),
        ("program.run:after", "domains.undefine:before"),
    ],
)
def test_a_real_machine_is_made_and_taken_apart_through_a_kill(
    making: str, destroying: str, product: Product, host: LabHost
) -> None:
    door, fuse = Door(host.root), host.root / "fuse"
    beside, emulators = str((product.vm("beside") or {})["id"]), host.emulators()
    fuse.write_text(f"agent/{making}")
    body = {"name": "web", "image": "tiny", "network": "lab", "memory_mb": 128}
    answer = door.ask("POST", "/v1/vms", body, key=making)
    assert "vm" in answer, answer
    vm = str(answer["vm"])
    until(lambda: not fuse.exists(), 60, f"{making} to be reached")
    until(lambda: left(host, product) == full([beside, vm]), 60, "the machine, whole")
    assert door.ask("POST", "/v1/vms", body, key=making)["vm"] == vm
    fuse.write_text(f"agent/{destroying}")
    door.ask("DELETE", f"/v1/vms/{vm}", {"purge": True, "force": True}, key=destroying)
    until(lambda: not fuse.exists(), 60, f"{destroying} to be reached")
    until(lambda: left(host, product) == full([beside]), 60, "nothing of the machine to be left")
    assert host.emulators() == emulators
    assert list(host.root.rglob(f"*{vm}*")) == []
