"""Three real hosts, each with a libvirtd and a running machine of its own, become one cluster; no machine notices."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cluster import LabCluster
from tests.lab.product import Refused
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


@pytest.fixture(scope="module")
def voting(cluster: LabCluster, joined: dict[str, Any]) -> LabCluster:
    """All three vote: whichever leads can be lost."""
    cluster.voters(3)
    return cluster


def wrote(cluster: LabCluster, name: str, prefix: str) -> set[str]:
    """Ids of tokens whose creation node ``name`` acknowledged."""
    node = cluster.nodes[name]
    return {str(node("token", "create", f"{prefix}-{n}", "--role", "viewer")["id"]) for n in range(3)}


def has(cluster: LabCluster, name: str, ids: set[str]) -> None:
    """Node ``name`` shows all of these tokens before long."""
    until(lambda: ids <= {row["id"] for row in cluster.nodes[name]("token", "list")}, 30, f"every write on {name}")


def state_of(cluster: LabCluster, asked: str, name: str) -> str:
    return str(next(row["state"] for row in cluster.nodes[asked]("node", "list") if row["name"] == name))


def test_the_leader_is_killed_and_neither_writes_nor_machines_stop(
    voting: LabCluster, machines: dict[str, str], emulators: dict[str, list[int]]
) -> None:
    leader = voting.leader()
    asked, other = voting.others(leader)
    acknowledged = wrote(voting, asked, "before-the-kill")
    voting.nodes[leader].kill_all()
    voting.leader(asked, other, besides=leader)
    acknowledged |= wrote(voting, other, "after-the-kill")
    untouched(voting, emulators, machines)
    # A machine is made meanwhile, and not on the host that nobody hears.
    until(lambda: state_of(voting, asked, leader) == "silent", 30, f"{leader} to be called silent")
    voting.nodes[asked]("vm", "create", "--name", "meanwhile", "--image", "tiny", "--network", "lab", "--memory", "128")
    assert voting.nodes[asked].wait_state("meanwhile", "running")["node"] != leader
    voting.nodes[asked]("vm", "destroy", "meanwhile", "--purge", "--force")
    voting.nodes[leader].start()
    voting.nodes[leader].wait()
    for name in voting.nodes:
        has(voting, name, acknowledged)
    untouched(voting, emulators, machines)


def test_a_leader_behind_a_cut_cable_changes_nothing_and_comes_back_to_what_the_others_wrote(
    voting: LabCluster, machines: dict[str, str], emulators: dict[str, list[int]]
) -> None:
    leader = voting.leader()
    asked, other = voting.others(leader)
    voting.switch.pull(leader)
    try:
        voting.leader(asked, other, besides=leader)
        acknowledged = wrote(voting, asked, "beyond-the-cable")
        until(lambda: not voting.membership(leader)["quorum"], 30, f"{leader} to know that it is alone")
        with pytest.raises(Refused) as refused:
            wrote(voting, leader, "alone")
        assert refused.value.code == 7  # NoQuorum: surely not done
        assert len(voting.nodes[leader]("vm", "list")) == 3  # it shows what it knows
        untouched(voting, emulators, machines)
    finally:
        voting.switch.mend()
    has(voting, leader, acknowledged)
    assert not [row for row in voting.nodes[asked]("token", "list") if row["name"].startswith("alone")]
    untouched(voting, emulators, machines)
