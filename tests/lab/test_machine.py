"""A machine's life with the real product, real libvirt, real QEMU: seen from across the bridge, as its users see it."""

import os
import signal
from pathlib import Path

import pytest

from tests.lab.host import LabHost
from tests.lab.product import NETWORK, Product, Refused
from tests.lab.spaces import until

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def product(host: LabHost, tiny: Path) -> Product:
    """girginosvm on the host, with the tiny image pulled from a signed mirror and a bridge network."""
    one = Product(host)
    one.prepare({"tiny": tiny})
    one.start()
    one("image", "pull", "tiny")
    one("net", "pool", "add", *NETWORK)
    return one


@pytest.fixture(scope="module")
def web(product: Product) -> str:
    """A running machine's address; it answers ping."""
    product("vm", "create", "--name", "web", "--image", "tiny", "--network", "lab", "--memory", "256")
    address = str(product.wait_state("web", "running")["addresses"][0])
    until(lambda: product.host.pings(address), 180, f"a ping from {address}")
    return address


def test_an_image_from_a_signed_mirror_is_shown_as_signed(product: Product) -> None:
    assert [(row["name"], row["signed"], row["state"]) for row in product("image", "list")] == [("tiny", True, "ready")]


def test_a_created_machine_boots_and_answers_from_another_namespace(product: Product, web: str) -> None:
    assert product.host.fetch(web) == "tiny web"
    assert [Path(f"/proc/{pid}").stat().st_uid != 0 for pid in product.host.emulators()] == [True]


def test_a_machine_lives_through_kill_9_of_agent_and_raft(product: Product, web: str) -> None:
    before = product.host.emulators()
    for process in ("agent", "raft"):
        old = product.pids("-m", "girginosvm", process, "--child-of")
        product.kill(process)
        until(lambda old=old, process=process: set(product.pids("-m", "girginosvm", process)) - set(old), 30, process)
        product.wait()
        product.wait_state("web", "running")
    assert product.host.emulators() == before
    assert product.host.pings(web)


def test_libvirtd_killed_and_started_again_leaves_the_machine_running(product: Product, web: str) -> None:
    before = product.host.emulators()
    product.host.kill_libvirtd()
    assert product.host.pings(web)
    product.host.start_libvirtd()
    product.wait_state("web", "running")
    assert product.host.emulators() == before


def test_a_machine_killed_behind_our_back_is_history_and_runs_again(product: Product, web: str) -> None:
    (before,) = product.host.emulators()
    os.kill(before, signal.SIGKILL)
    until(lambda: set(product.host.emulators()) - {before}, 60, "a new QEMU")
    ends = (["vm.crashed", "vm.running"], ["vm.stopped", "vm.running"])  # libvirt does not always know why it ended
    until(lambda: history(product)[-2:] in ends, 60, "both in the history")
    until(lambda: product.host.pings(web), 180, f"a ping from {web}")
    (after,) = product.host.emulators()
    assert after != before


def history(product: Product) -> list[str]:
    """What happened to machines, oldest first."""
    return [row["kind"] for row in product("event", "list", "--limit", "1000") if row["noun"] == "vm"]


def test_a_graceful_stop_and_a_start_keep_disk_and_address(product: Product, web: str) -> None:
    product("vm", "stop", "web")
    product.wait_state("web", "stopped")
    assert not product.host.pings(web)
    product("vm", "start", "web")
    row = product.wait_state("web", "running")
    assert row["addresses"] == [web]
    until(lambda: product.host.pings(web), 180, f"a ping from {web}")
    until(lambda: product.host.fetch(web, "/boots").count("boot web") >= 2, 30, "the write of the first boot")


def test_a_machine_of_an_unknown_image_leaves_nothing_half_made(product: Product) -> None:
    with pytest.raises(Refused):
        product("vm", "create", "--name", "none", "--image", "no-such-image", "--network", "lab")
    assert product.vm("none") is None


def test_destroy_with_purge_leaves_nothing(product: Product, web: str) -> None:
    machine = product.vm("web")
    assert machine is not None
    product("vm", "destroy", "web", "--purge", "--force")
    until(lambda: product.vm("web") is None, 60, "the machine to go")
    until(lambda: not product.host.emulators(), 30, "QEMU to go")
    assert product("ipam", "leases") == []
    left = list(product.host.root.rglob(f"*{machine['id']}*"))
    assert left == []
    assert machine["id"] not in product.host.exec("virsh", "list", "--all", "--uuid").stdout
