"""Three real hosts, each with a libvirtd and a running machine of its own, become one cluster; no machine notices."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cluster import LabCluster
from tests.lab.spaces import until

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def cluster(tiny: Path) -> Iterator[LabCluster]:
    """Three hosts that are alone, each with the tiny image and a network."""
    with LabCluster() as hosts:
        hosts.begin(tiny)
        yield hosts


@pytest.fixture(scope="module")
def machines(cluster: LabCluster) -> dict[str, str]:
    """A running machine on each host: node -> address. It answered from across the bridge."""
    return cluster.machines("on-")


@pytest.fixture(scope="module")
def emulators(cluster: LabCluster, machines: dict[str, str]) -> dict[str, list[int]]:
    """Their QEMU processes, before there was a cluster. They are to be the same ones at every look."""
    found = cluster.emulators()
    assert [len(pids) for pids in found.values()] == [1, 1, 1]
    return found


@pytest.fixture(scope="module")
def joined(cluster: LabCluster, emulators: dict[str, list[int]]) -> dict[str, Any]:
    """What h2 and h3 were told when they joined h1."""
    return {name: cluster.join(name) for name in ("h2", "h3")}


def untouched(cluster: LabCluster, emulators: dict[str, list[int]], machines: dict[str, str]) -> None:
    """Every machine runs in the process that it was started in, and answers."""
    assert cluster.emulators() == emulators
    for address in machines.values():
        assert cluster.hosts["h1"].pings(address)


def test_nodes_join_with_running_machines_and_no_machine_notices(
    cluster: LabCluster, machines: dict[str, str], emulators: dict[str, list[int]], joined: dict[str, Any]
) -> None:
    assert {name: said["brings"] for name, said in joined.items()} == {
        "h2": "1 machine, 1 image",
        "h3": "1 machine, 1 image",
    }
    for name, node in cluster.nodes.items():
        until(lambda node=node: len(node("node", "list")) == 3, 30, f"three nodes on {name}")
        for vm in machines:
            row = node.wait_state(f"on-{vm}", "running")
            assert (row["node"], row["addresses"]) == (vm, [machines[vm]])
    untouched(cluster, emulators, machines)
