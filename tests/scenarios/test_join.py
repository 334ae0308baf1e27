"""Nodes on fake hosts, as processes, become one cluster: with what they bring, against what stands in the way, and
killed at every step of joining."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.ports import free_port
from tests.scenarios.deeds import create, running
from tests.scenarios.node import Node, qcow2

# Every step of the joining node: what it writes, and what its next life does with that.
JOINING = (
    "agent/join.ready:before", "agent/join.ready:after",
    *(f"raft/join.{what}-{part}:before" for part in ("pki", "db", "raft") for what in ("archive", "place")),
    "raft/join.done:before",
)  # fmt: skip

Start = Callable[..., Node]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Begins nodes; all of them end with the test."""
    nodes: list[Node] = []

    ports: dict[str, str] = {}

    def begun(name: str, *, again: bool = False, module: str = "girginosvm", **environment: str) -> Node:
        """``again``: it was stopped, and has all that it had."""
        root = tmp_path / name
        root.mkdir(exist_ok=again)
        (root / "fuse").touch()
        (root / "fuse").unlink()
        nodes.append(
            Node(
                root, module=module, GIRGINOSVM_ADDRESS="127.0.0.1",
                GIRGINOSVM_RAFT_PORT=ports.setdefault(name, str(free_port())),
                GIRGINOSVM_NODE_NAME=name, GIRGINOSVM_POINTS_FUSE=str(root / "fuse"), **environment,
            )
        )  # fmt: skip
        return nodes[-1]

    yield begun
    for node in nodes:  # two may have been one after the other at the same place
        node.stop()
    for node in nodes:
        node.remove()


def membership(node: Node) -> Any:
    return node.ask("GET", "/v1/membership")


def token(node: Node) -> str:
    return str(node.ask("POST", "/v1/membership/tokens", {})["token"])


def with_other(secret: str, *, last: bool) -> str:
    """The token with another last byte (of the fingerprint), or another first one (of the secret)."""
    raw = bytearray(base64.urlsafe_b64decode(secret.removeprefix("ops-")))
    raw[-1 if last else 0] ^= 1
    return "ops-" + base64.urlsafe_b64encode(raw).decode()


def asked(node: Node, center: Node, secret: str, **more: Any) -> tuple[int, Any]:
    body = {"center": f"https://127.0.0.1:{center.port}", "token": secret, **more}
    return node.once("POST", "/v1/membership/join", body)


def is_member(center: Node, name: str) -> bool:
    found = membership(center)["members"]
    return any(one["name"] == name and one["state"] == "member" and one["reached"] for one in found)


def joined(node: Node, center: Node, name: str, **more: Any) -> Any:
    status, answer = asked(node, center, token(center), **more)
    assert status == 202, answer
    center.wait(lambda: is_member(center, name), f"{name} to join")
    node.until("/v1/membership", lambda found: found["cluster"] == answer["cluster"])
    return answer


def test_a_center_whose_clock_has_jumped_ahead_lets_in_whom_it_gave_a_token(start: Start) -> None:
    center, node = start("n1", module="tests.scenarios.agent_ahead").ready(), start("n2").ready()
    status, answer = asked(node, center, token(center))
    assert status == 202, answer
    center.wait(lambda: is_member(center, "n2"), "n2 to join")
    seen = node.until("/v1/membership", lambda found: found["cluster"] == answer["cluster"])
    assert "n2" in {one["name"] for one in seen["members"] if one["here"]}


def test_three_nodes_become_one_cluster_and_each_takes_writes_and_shows_all(start: Start) -> None:
    days = {
        "n1": "700",
        "n2": "20",
        "n3": "400",
    }  # what its file says counts where a cluster is founded, and only there
    nodes = {name: start(name, GIRGINOSVM_EVENT_DAYS=days[name]) for name in ("n1", "n2", "n3")}
    for node in nodes.values():
        node.ready()
    first = nodes["n1"]
    for name in ("n2", "n3"):
        joined(nodes[name], first, name)
    for name, node in nodes.items():
        seen = node.until("/v1/membership", lambda found: len(found["members"]) == 3)
        assert [one["name"] for one in seen["members"]] == ["n1", "n2", "n3"]
        assert [one["name"] for one in seen["members"] if one["here"]] == [name]
        node.until("/v1/nodes", lambda found: len(found["items"]) == 3)
    assert [node.ask("GET", "/v1/retention")["event_days"] for node in nodes.values()] == [700] * 3
    nodes["n2"].ask("POST", "/v1/retention", {"event_days": 30})
    for node in nodes.values():
        assert node.until("/v1/retention", lambda found: found["event_days"] == 30)["operation_days"] == 90
    # A write on one is read on another, at the index that the first one said.
    made = nodes["n3"].ask("POST", "/v1/tokens", {"name": "billing", "role": "viewer"})
    for node in nodes.values():
        node.until("/v1/tokens", lambda found: made["id"] in {one["id"] for one in found["items"]})


def test_a_node_brings_its_running_machine_along_untouched(start: Start) -> None:
    first, second = start("n1").ready(), start("n2").ready()
    second.upload("tiny", qcow2(second.root / "tiny.qcow2"))
    vm = running(second)
    before = second.ask("GET", f"/v1/vms/{vm}")
    happened = [one for one in second.host()["happened"]["events"] if one[1] == vm]

    status, said = asked(second, first, token(first), rehearse=True)
    assert (status, said["brings"], said["conflicts"]) == (200, "1 machine, 1 image", [])
    status, said = asked(second, first, token(first))
    assert (status, said["code"]) == (409, "join-brings")
    joined(second, first, "n2", confirm=True)

    after = first.until(f"/v1/vms/{vm}", lambda found: found.get("state") == "running")
    assert {key: before[key] for key in ("name", "generation", "memory_mb")} == {
        key: after[key] for key in ("name", "generation", "memory_mb")
    }
    assert [one for one in second.host()["happened"]["events"] if one[1] == vm] == happened
    # It is the cluster's now: stopped through the other node.
    first.ask("POST", f"/v1/vms/{vm}/stop", {"force": True})
    first.until(f"/v1/vms/{vm}", lambda found: found["state"] == "stopped")


def test_what_stands_against_a_node_is_said_before_anything_changes(start: Start) -> None:
    first, second = start("n1").ready(), start("n2").ready()
    for node in (first, second):
        node.upload("tiny", qcow2(node.root / "tiny.qcow2"))
        create(node, made="web", start=False)
    status, said = asked(second, first, token(first), confirm=True)
    assert (status, said["code"]) == (409, "join-conflicts")
    assert "project default of the cluster has a machine named web already" in said["detail"]
    assert "machine web has 192.168.196.2 of network default, which the cluster's web has" in said["detail"]
    assert not (second.root / "var/lib/girginosvm/join").exists()
    assert [one["name"] for one in membership(first)["members"]] == ["n1"]


def test_a_token_lets_one_node_in_and_names_the_cluster(start: Start) -> None:
    first, second, third = (start(name).ready() for name in ("n1", "n2", "n3"))
    secret = token(first)
    status, said = asked(second, third, secret)  # a node of another cluster in its place
    assert (status, said["code"]) == (401, "cluster-other")
    status, said = asked(second, first, with_other(secret, last=True))
    assert (status, said["code"]) == (401, "cluster-other")
    status, said = asked(second, first, "ops-short-as-it-is")
    assert (status, said["code"]) == (422, "join-token-unreadable")
    status, said = asked(second, first, with_other(secret, last=False))
    assert (status, said["code"]) == (401, "join-token")
    status, said = asked(second, first, secret)
    assert status == 202, said
    first.wait(lambda: is_member(first, "n2"), "n2 to join")
    status, said = asked(third, first, secret)
    assert (status, said["code"]) == (401, "join-token")


def test_a_removed_node_is_out_and_its_id_stays_out(start: Start) -> None:
    first, second = start("n1").ready(), start("n2").ready()
    joined(second, first, "n2")
    (row,) = [one for one in membership(first)["members"] if one["name"] == "n2"]
    answer = first.ask("DELETE", f"/v1/membership/members/{row['id']}", {})
    assert answer == {"member": row["id"], "name": "n2", "lost": []}
    assert [one["name"] for one in membership(first)["members"]] == ["n1"]
    first.until("/v1/membership", lambda found: found["voters"] == 1)
    status, said = first.once("POST", "/v1/tokens", {"name": "still-writing", "role": "viewer"})
    assert status == 201, said


def authority(node: Node) -> str:
    """The certificate of the CA that signs for the cluster, which tokens name."""
    return str(node.ask("GET", "/v1/membership/authority")["certificate"]).partition("-----END")[0]


def test_a_node_leaves_and_begins_anew_and_may_come_back_under_another_id(start: Start) -> None:
    first, second = start("n1").ready(), start("n2").ready()
    cluster = membership(first)["cluster"]
    assert second.ask("POST", "/v1/membership/leave", {"confirm": True})["code"] == "alone"
    joined(second, first, "n2")
    (before,) = [one["id"] for one in membership(first)["members"] if one["name"] == "n2"]
    assert second.ask("POST", "/v1/membership/leave", {})["code"] == "confirm-missing"
    left = authority(first)
    status, said = second.once("POST", "/v1/membership/leave", {"confirm": True})
    assert (status, said["cluster"]) == (202, cluster)
    second.until("/v1/membership", lambda found: found["cluster"] != cluster and len(found["members"]) == 1)
    first.until("/v1/membership", lambda found: [one["name"] for one in found["members"]] == ["n1"])
    second.ready()
    first.wait(lambda: authority(first) != left, "the CA that the one that left has never seen")
    joined(second, first, "n2")
    (after,) = [one["id"] for one in membership(first)["members"] if one["name"] == "n2"]
    assert after != before


def test_a_witness_is_a_member_without_a_host(start: Start) -> None:
    first, second = start("n1").ready(), start("w1", GIRGINOSVM_WITNESS="true")
    first.upload("tiny", qcow2(first.root / "tiny.qcow2"))
    second.until("/v1/membership", lambda found: found["members"])
    body = {"center": f"https://127.0.0.1:{first.port}", "token": token(first)}
    assert first.ask("POST", "/v1/witness", body)["code"] == "no-witness"
    status, said = second.once("POST", "/v1/witness", body)
    assert status == 202, said
    first.wait(lambda: is_member(first, "w1"), "w1 to join")
    assert [one["name"] for one in membership(first)["members"] if one["witness"]] == ["w1"]
    assert [one["name"] for one in first.ask("GET", "/v1/nodes")["items"]] == ["n1"]  # nothing is placed on it
    second.until("/v1/images", lambda found: [one["name"] for one in found["items"]] == ["tiny"])
    refused = second.ask("POST", "/v1/images/upload/other", b"no image")
    assert refused["code"] == "witness-only"


def test_a_node_with_machines_does_not_leave(start: Start) -> None:
    first, second = start("n1").ready(), start("n2").ready()
    second.upload("tiny", qcow2(second.root / "tiny.qcow2"))
    running(second)
    joined(second, first, "n2", confirm=True)
    said = second.ask("POST", "/v1/membership/leave", {"confirm": True})
    assert said["code"] == "node-has-machines"
    assert "1 machine is on this node" in said["detail"]


def test_a_node_that_was_removed_while_it_was_away_learns_it_and_can_begin_anew(start: Start) -> None:
    first, second, third = (start(name).ready() for name in ("n1", "n2", "n3"))
    for node, name in ((second, "n2"), (third, "n3")):
        joined(node, first, name)
    first.until("/v1/membership", lambda found: found["voters"] == 3)
    (gone,) = [one["id"] for one in membership(first)["members"] if one["name"] == "n2"]
    second.pause()
    first.ask("DELETE", f"/v1/membership/members/{gone}", {})
    first.until("/v1/membership", lambda found: len(found["members"]) == 2 and found["voters"] == 2)
    second.go_on()
    seen = second.until("/v1/membership", lambda found: any("was removed" in one for one in found["problems"]))
    assert "n2" in [one["name"] for one in seen["members"]]  # it is still there, whatever it heard of its removal
    second.ask("POST", "/v1/membership/leave", {"confirm": True})
    second.until("/v1/membership", lambda found: len(found["members"]) == 1 and not found["problems"])


def test_a_node_without_the_others_shows_what_it_knows_and_says_that_nothing_can_change(start: Start) -> None:
    first, second = start("n1").ready(), start("n2").ready()
    joined(second, first, "n2")
    second.until("/v1/nodes", lambda found: len(found["items"]) == 2)
    second.until("/v1/membership", lambda found: found["voters"] == 2)
    first.stop()
    second.kill("agent")  # also from its very start
    seen = second.until("/v1/membership", lambda found: not found["leader"])
    assert seen["quorum"] is False
    needs = "nothing can be changed: 2 of 2 voters are needed; reached from here: 1; not reached: n1"
    assert needs in seen["problems"]
    assert len(second.ask("GET", "/v1/nodes")["items"]) == 2
    status, said = second.once("GET", "/v1/nodes?fresh=1")
    assert (status, said["code"]) == (503, "no-fresh-read")
    status, said = second.once("POST", "/v1/pools", {"name": "late", "path": "/srv/late"})
    assert (status, said["code"], said["family"]) == (503, "no-leader", "NoQuorum")


def test_after_a_removal_nobody_trusts_or_shows_what_the_removed_node_knows(start: Start) -> None:
    nodes = [start(name).ready() for name in ("n1", "n2", "n3")]
    first, second, third = nodes
    for node, name in ((second, "n2"), (third, "n3")):
        joined(node, first, name)
    pki = [node.root / "var/lib/girginosvm/pki" for node in nodes]
    old = (pki[0] / "ca.crt").read_bytes()
    (gone,) = [one["id"] for one in membership(first)["members"] if one["name"] == "n3"]
    second.ask("DELETE", f"/v1/membership/members/{gone}", {})  # on a node that neither leads nor goes

    def over() -> bool:
        now = [(folder / "ca.crt").read_bytes() for folder in pki[:2]]
        return now[0] == now[1] != old and all(one.count(b"BEGIN CERT") == 1 for one in now)

    first.wait(over, "the new CA to be the only one")
    for folder in pki[:2]:
        authority = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
        shown = x509.load_pem_x509_certificate((folder / "server.pem").read_bytes())
        shown.verify_directly_issued_by(authority)
        assert len((folder / "cluster.key").read_text().split()) == 2
    assert len((pki[2] / "cluster.key").read_text().split()) == 1
    # With its certificate and the CA that it knows, the removed node is nobody at a member's port.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(pki[2] / "server.pem")
    port = int(next(one["address"] for one in membership(first)["members"] if one["here"]).rpartition(":")[2])
    first.wait(lambda: refuses(port, context), "the Raft port to refuse the old CA")
    # Life goes on: the two agree, and a new node comes in by the new CA.
    second.ask("POST", "/v1/tokens", {"name": "after", "role": "viewer"})
    first.until("/v1/tokens", lambda found: "after" in {one["name"] for one in found["items"]})
    fourth = start("n4").ready()
    joined(fourth, second, "n4")


def refuses(port: int, context: ssl.SSLContext) -> bool:
    """What is behind the port ends the connection before it says anything."""
    with socket.create_connection(("127.0.0.1", port), 5) as plain:
        plain.settimeout(5)
        try:
            with context.wrap_socket(plain) as end:
                return end.recv(1) == b""
        except ssl.SSLError:
            return True
        except OSError:
            return False


@pytest.mark.parametrize("point", JOINING)
def test_a_joining_killed_at_any_step_leaves_the_node_alone_or_joined(start: Start, point: str) -> None:
    first, second = start("n1").ready(), start("n2").ready()
    mine = membership(second)["cluster"]
    (second.root / "fuse").write_text(point)
    with contextlib.suppress(OSError, json.JSONDecodeError):
        asked(second, first, token(first))
    second.wait(lambda: second.deaths, f"{point} to be reached")
    assert not (second.root / "fuse").exists()
    after = second.until("/v1/membership", lambda found: "cluster" in found)
    if point == "agent/join.ready:before":
        assert after["cluster"] == mine
        joined(second, first, "n2")
    first.wait(lambda: is_member(first, "n2"), "n2 to be a member")
    second.until("/v1/membership", lambda found: found["cluster"] == membership(first)["cluster"])
    home = second.root / "var/lib/girginosvm"
    assert not (home / "join").exists()
    assert [sorted(path.name for path in old.iterdir()) for old in (home / "archive").iterdir()] == [
        ["db", "pki", "raft"]
    ]


@pytest.mark.parametrize("point", ["", *JOINING])
def test_a_node_that_was_removed_before_it_came_says_so_and_becomes_what_it_was(start: Start, point: str) -> None:
    """Also when it is killed on its way back, at any step."""
    # It does not get further than being let in, however often it starts.
    first, second = start("n1").ready(), start("n2", GIRGINOSVM_POINTS_KILL="raft/join.archive-pki:before").ready()
    second.upload("tiny", qcow2(second.root / "tiny.qcow2"))
    vm = running(second)
    name, mine = second.ask("GET", f"/v1/vms/{vm}")["name"], membership(second)["cluster"]
    happened = [one for one in second.host()["happened"]["events"] if one[1] == vm]
    status, said = asked(second, first, token(first), confirm=True)
    assert status == 202, said
    second.wait(lambda: second.deaths, "n2 to begin as a member")
    second.stop()
    first.ask("DELETE", "/v1/membership/members/n2", {})
    second = start("n2", again=True)
    told: list[Any] = []

    def waits() -> bool:
        with contextlib.suppress(OSError):
            told.append(second.once("GET", "/v1/membership")[1])
        return bool(told) and told[-1].get("code") == "state-awaited"

    second.wait(waits, "n2 to say that it waits")
    assert "membership leave --confirm" in told[-1]["hint"]
    if point:
        (second.root / "fuse").write_text(point)

    def back() -> Any:
        """Asked again while it is what it was not: refused for some seconds, since the state may come yet."""
        with contextlib.suppress(OSError, json.JSONDecodeError):
            if second.once("GET", "/v1/membership")[1].get("cluster") == mine:
                return not (second.root / "fuse").exists()
            second.once("POST", "/v1/membership/leave", {"confirm": True})
        return False

    second.wait(back, "n2 to be what it was")
    assert second.deaths == (["raft" if point.startswith("raft") else "agent"] if point else [])
    second.until("/v1/membership", lambda found: found["cluster"] == mine and found["quorum"])
    assert second.until(f"/v1/vms/{vm}", lambda found: found["state"] == "running")["name"] == name
    assert [one for one in second.host()["happened"]["events"] if one[1] == vm] == happened
    joined(second, first, "n2", confirm=True)
    assert first.until(f"/v1/vms/{vm}", lambda found: found.get("state") == "running")["name"] == name
