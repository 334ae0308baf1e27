"""The last resort: most voters are gone for good, and a survivor goes on alone. Real processes on fake hosts."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.scenarios.deeds import running
from tests.scenarios.node import REPO, Node, UnixLink, qcow2
from tests.scenarios.test_join import Start, asked, is_member, joined, membership, refuses, start, token
from tests.scenarios.test_voters import cluster as voting
from tests.scenarios.test_voters import settled, watching

__all__ = ["start"]
PROOF = "I saw it burn this morning; ticket 4711"
# Every step of the survivor: what it writes down, and what its next life does with that.
RECOVERING = tuple(
    f"raft/recover.{step}:{side}" for step in ("written", "journal", "recorded") for side in ("before", "after")
)


def id_of(node: Node, name: str) -> str:
    return next(str(one["id"]) for one in membership(node)["members"] if one["name"] == name)


def cluster(start: Start, count: int) -> list[Node]:
    """Nodes that all vote."""
    return list(voting(start, count).values())


def recover(node: Node, *gone: str, **more: Any) -> tuple[int, Any]:
    return node.once("POST", "/v1/cluster/recover", {"without": list(gone), **more})


def shown(node: Node) -> Any:
    return node.ask("POST", "/v1/cluster/recover", {})


def recovered(node: Node, *gone: str) -> Any:
    status, said = recover(node, *gone, proof=PROOF)
    assert status == 202, said
    node.until("/v1/membership", lambda found: found["leader"] and len(found["members"]) == 1)
    return said


def write(node: Node, name: str) -> None:
    made = node.ask("POST", "/v1/tokens", {"name": name, "role": "viewer"})
    assert "id" in made, made


def written(node: Node) -> set[str]:
    return {str(one["name"]) for one in node.ask("GET", "/v1/tokens?limit=1000")["items"]}


def history(node: Node) -> list[Any]:
    found: list[Any] = node.ask("GET", "/v1/events?filter=kind=cluster.recovered")["items"]
    return found


def without_the_others(survivor: Node, *others: Node) -> None:
    for other in others:
        other.stop()
    survivor.until("/v1/membership", lambda found: not found["quorum"])


def test_of_two_nodes_the_survivor_keeps_every_acknowledged_write_and_its_machine_runs_on(start: Start) -> None:
    first, second = start("n1").ready(), start("n2").ready()
    second.upload("tiny", qcow2(second.root / "tiny.qcow2"))
    vm = running(second)
    joined(second, first, "n2", confirm=True)
    settled(second, 2)
    first.until(f"/v1/vms/{vm}", lambda found: found.get("state") == "running")
    names = {f"before-{n}" for n in range(20)}
    for name in sorted(names):
        write(first, name)
    before = second.ask("GET", f"/v1/vms/{vm}")
    happened = [one for one in second.host()["happened"]["events"] if one[1] == vm]
    without_the_others(second, first)

    # Nothing can be written, and what can be done is said.
    status, said = second.once("POST", "/v1/pools", {"name": "late", "path": "/srv/late"})
    assert (status, said["code"], said["family"]) == (503, "no-leader", "NoQuorum")
    assert "girginosvm cluster recover" in said["hint"]
    assert any("girginosvm cluster recover" in one for one in membership(second)["problems"])
    sheet = shown(second)
    assert (sheet["possible"], sheet["gone"], sheet["rejoin"], sheet["machines_there"]) == (True, ["n1"], [], [])
    assert sheet["voters"] == ["n1 (not reached)", "n2 (this node)"]
    assert sheet["may_be_lost"] == [
        "nothing that was acknowledged, if these 2 voted to the end: each write was on 2 of them"
    ]
    assert sheet["command"] == 'girginosvm cluster recover --without n1 --proof "HOW YOU KNOW IT"'
    assert not history(second)

    recovered(second, "n1")
    assert written(second) >= names
    write(second, "after")
    after = second.ask("GET", f"/v1/vms/{vm}")
    assert {key: before[key] for key in ("name", "generation", "state", "node")} == {
        key: after[key] for key in ("name", "generation", "state", "node")
    }
    assert [one for one in second.host()["happened"]["events"] if one[1] == vm] == happened
    second.ask("POST", f"/v1/vms/{vm}/stop", {"force": True})
    second.until(f"/v1/vms/{vm}", lambda found: found["state"] == "stopped")


def test_the_history_says_first_who_was_given_up_by_whom_and_why(start: Start) -> None:
    first, second = cluster(start, 2)
    cluster_id, at = membership(second)["cluster"], membership(second)["applied_index"]
    stream = second.ask("GET", "/v1/events?limit=1")
    assert stream["items"]
    without_the_others(second, first)
    last = membership(second)["last_index"]
    recovered(second, "n1")
    (event,) = history(second)
    assert event["text"].startswith(f"goes on without n1 from entry {last} of term ")
    assert event["text"].endswith(f"The proof: {PROOF}")
    assert (event["actor"], event["why"]) == ("root", PROOF)
    assert event["index"] == last + 2 > at  # the first one says to the log who is left
    assert membership(second)["cluster"] == cluster_id
    assert second.ask("GET", "/v1/events/verify")["next"] == ""


def test_a_follower_of_the_events_reads_everything_anew(start: Start) -> None:
    first, second = cluster(start, 2)
    mark = mark_of(second)
    without_the_others(second, first)
    recovered(second, "n1")
    write(second, "after")
    assert mark_of(second).partition(".")[0] != mark.partition(".")[0]
    assert opening(second, mark)[1] == "event: reset"


def mark_of(node: Node) -> str:
    return opening(node, "")[0].removeprefix("id: ")


def opening(node: Node, since: str) -> list[str]:
    """The first frame of the live events."""
    link = UnixLink(node.root / "run/girginosvm/agent.sock")
    try:
        link.request("GET", "/v1/events/stream", headers={"Last-Event-ID": since} if since else {})
        answer = link.getresponse()
        return [answer.readline().decode().strip() for _ in range(2)]
    finally:
        link.close()


def with_a_machine(start: Start, *names: str) -> tuple[str, list[Node]]:
    """All vote, and the first has brought a running machine along."""
    first = start(names[0]).ready()
    first.upload("tiny", qcow2(first.root / "tiny.qcow2"))
    vm = running(first)
    nodes = [first, *(start(name).ready() for name in names[1:])]
    for node, name in zip(nodes[1:], names[1:], strict=True):
        joined(node, first, name)
    for node in nodes:
        settled(node, len(names))
    return vm, nodes


def told(node: Node) -> Any:
    return node.until("/v1/membership", lambda found: any("recovered without" in one for one in found["problems"]))


def test_one_that_was_given_up_comes_back_disturbs_nobody_learns_it_and_can_begin_anew(start: Start) -> None:
    vm, (first, second) = with_a_machine(start, "n1", "n2")
    without_the_others(second, first)
    assert [one.partition(" ")[2] for one in recovered(second, "n1")["machines_there"]] == ["(n1)"]
    term = membership(second)["term"]
    first = start("n1", again=True)
    assert [one["name"] for one in told(first)["members"]] == ["n1", "n2"]  # as it was when it knew
    status, said = first.once("POST", "/v1/pools", {"name": "late", "path": "/srv/late"})
    assert status == 503, said
    write(second, "meanwhile")
    assert membership(second)["term"] == term
    assert [one["name"] for one in membership(second)["members"]] == ["n2"]
    assert second.ask("GET", f"/v1/vms/{vm}")["node"] == "n1"  # its machines stay described
    # It does not go on by itself, either.
    assert recover(first, "n2", proof=PROOF)[1]["code"] == "member-gone"

    first.ask("POST", "/v1/membership/leave", {"confirm": True})
    first.until("/v1/membership", lambda found: len(found["members"]) == 1 and not found["problems"])
    first.ready()
    status, said = asked(first, second, token(second))
    assert (status, said["code"]) == (409, "join-conflicts")
    assert "girginosvm membership remove n1 --lost" in said["detail"]
    assert second.ask("DELETE", "/v1/membership/members/n1", {})["code"] == "node-has-machines"
    assert len(second.ask("DELETE", "/v1/membership/members/n1", {"lost": True})["lost"]) == 1
    assert second.ask("DELETE", "/v1/membership/members/n1", {"lost": True})["code"] == "member-missing"
    joined(first, second, "n1")
    settled(first, 2)
    first.until("/v1/tokens", lambda found: "meanwhile" in {one["name"] for one in found["items"]})


def test_one_that_was_given_up_comes_back_in_with_its_running_machine(start: Start) -> None:
    vm, (first, second) = with_a_machine(start, "n1", "n2")
    without_the_others(second, first)
    recovered(second, "n1")
    first = start("n1", again=True)
    told(first)
    happened = [one for one in first.host()["happened"]["events"] if one[1] == vm]
    before = id_of(first, "n1")
    joined(first, second, "n1", confirm=True)
    assert id_of(second, "n1") != before
    seen = second.until(f"/v1/vms/{vm}", lambda found: found.get("state") == "running")
    assert seen["node"] == "n1"
    assert [one for one in first.host()["happened"]["events"] if one[1] == vm] == happened
    assert [one["name"] for one in second.ask("GET", "/v1/images")["items"]] == ["tiny"]
    assert sorted(one["name"] for one in second.ask("GET", "/v1/nodes")["items"]) == ["n1", "n2"]


def test_of_three_nodes_one_goes_on_and_says_that_something_may_be_lost(start: Start) -> None:
    first, second, third = cluster(start, 3)
    for n in range(5):
        write(first, f"before-{n}")
    third.until("/v1/tokens", lambda found: "before-4" in {one["name"] for one in found["items"]})
    first.stop()
    assert recover(third, "n1", proof=PROOF)[1]["code"] == "recover-needless"
    without_the_others(third, second)
    assert recover(third, "n1", proof=PROOF)[1]["code"] == "recover-unaccounted"
    sheet = shown(third)
    assert sheet["gone"] == ["n1", "n2"]
    assert sheet["may_be_lost"][0].startswith("what was acknowledged without this node")
    recovered(third, "n1", "n2")
    assert written(third) >= {f"before-{n}" for n in range(5)}
    write(third, "after")


def test_a_wrong_proof_makes_two_clusters_that_do_not_mix_and_the_old_one_says_so(start: Start) -> None:
    first, second, third = cluster(start, 3)
    without_the_others(third, first, second)
    recovered(third, "n1", "n2")
    first, second = start("n1", again=True), start("n2", again=True)
    for node in (first, second):
        seen = node.until("/v1/membership", lambda found: any("two clusters" in one for one in found["problems"]))
        assert any(one.startswith("n3 was recovered without this node") for one in seen["problems"])
    write(first, "theirs")
    write(third, "ours")
    assert "ours" not in written(second)
    assert "theirs" not in written(third)
    assert [one["name"] for one in membership(third)["members"]] == ["n3"]
    # The old one is let go of, node by node: what they wrote without n3 is gone with it.
    for node, name in ((first, "n1"), (second, "n2")):
        joined(node, third, name)
        node.until("/v1/tokens", lambda found: "ours" in {one["name"] for one in found["items"]})
    for node in (first, second, third):
        settled(node, 3)
    third.stop()
    write(first, "without-it")
    assert "theirs" not in written(first)


def test_a_survivor_that_is_there_is_told_to_come_back(start: Start) -> None:
    """Three vote and the fourth follows; two voters go, so a voter and an observer are left."""
    first, second, third = cluster(start, 3)
    fourth = start("n4").ready()
    joined(fourth, first, "n4")
    settled(fourth, 3)
    without_the_others(third, first, second)
    third.wait(lambda: shown(third)["rejoin"] == ["n4"], "n4 to be reached")
    said = recovered(third, "n1", "n2")
    assert said["command"] == "girginosvm membership token create"
    told(fourth)
    joined(fourth, third, "n4")
    assert sorted(one["name"] for one in membership(third)["members"]) == ["n3", "n4"]
    settled(fourth, 2)


def test_of_two_survivors_that_are_told_at_once_at_most_one_goes_on(start: Start) -> None:
    """Their logs are equal, and each hears the other: both went on, as two clusters with one id in one term."""
    nodes = {one: start(one).ready() for one in ("n1", "n2", "n3", "n4")}
    for name in ("n2", "n3", "n4"):
        joined(nodes[name], nodes["n1"], name)
    settled(nodes["n4"], 3)
    watches = next(one["name"] for one in membership(nodes["n1"])["members"] if one["role"] == "observer")
    lives, *gone = (name for name in nodes if name != watches)
    survivors = [nodes[lives], nodes[watches]]
    for name in gone:
        nodes[name].stop()
    for node in survivors:
        node.until("/v1/membership", lambda found: not found["quorum"])
    for _ in range(20):  # until both have looked at the same time
        with ThreadPoolExecutor() as pool:
            said = list(pool.map(lambda node: recover(node, *gone, proof=PROOF), survivors))
        took = [status for status, _ in said].count(202)
        assert took < 2, said
        if took:
            return
        assert {answer["code"] for _, answer in said} <= {"recover-elsewhere"}, said


def test_an_observer_gives_up_nobody_whose_raft_process_is_there_though_it_has_no_line_to_it(start: Start) -> None:
    nodes = voting(start, 3)
    watching(nodes)
    _, second, third = nodes.values()
    third._stopping = True  # what ends is not started again
    third._processes["agent"].kill()
    without_the_others(second, nodes["n1"])
    assert recover(second, "n1", "n3", proof=PROOF)[1]["code"] == "recover-answers"
    third.stop()
    assert recovered(second, "n1", "n3")["gone"] == ["n1", "n3"]


def test_what_the_one_that_was_given_up_knows_opens_nothing_any_more(start: Start) -> None:
    first, second = cluster(start, 2)
    pki = [node.root / "var/lib/girginosvm/pki" for node in (first, second)]
    old = (pki[1] / "ca.crt").read_bytes()
    assert old == (pki[0] / "ca.crt").read_bytes()
    without_the_others(second, first)
    recovered(second, "n1")

    def over() -> bool:
        now = (pki[1] / "ca.crt").read_bytes()
        return now != old and now.count(b"BEGIN CERT") == 1

    second.wait(over, "the new CA to be the only one")
    assert len((pki[1] / "cluster.key").read_text().split()) == 2
    assert len((pki[0] / "cluster.key").read_text().split()) == 1
    third = start("n3").ready()
    joined(third, second, "n3")  # now there is a Raft port again
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(pki[0] / "server.pem")
    address = next(one["address"] for one in membership(second)["members"] if one["here"])
    assert refuses(int(address.rpartition(":")[2]), context)


def test_a_node_that_joins_the_recovered_cluster_takes_its_snapshot(start: Start) -> None:
    """The log does not reach back to the recovery any more."""
    small = {"GIRGINOSVM_JOURNAL_COMPACT_ENTRIES": "20", "GIRGINOSVM_JOURNAL_SEGMENT_BYTES": "16384"}
    first, second = start("n1", **small).ready(), start("n2", **small).ready()
    joined(second, first, "n2")
    settled(second, 2)
    for n in range(30):
        write(first, f"before-{n}")
    without_the_others(second, first)
    recovered(second, "n1")
    for n in range(60):
        write(second, f"after-{n}")
    third = start("n3", **small).ready()
    joined(third, second, "n3")
    names = {f"before-{n}" for n in range(30)} | {f"after-{n}" for n in range(60)}
    third.wait(lambda: written(third) >= names, "every acknowledged write")
    assert "raft.snapshot-installed" in (third.root / "log").read_text()
    assert mark_of(third).partition(".")[0] == mark_of(second).partition(".")[0]


def test_what_nobody_has_acknowledged_and_is_on_the_disk_stays_and_becomes_valid(start: Start) -> None:
    """The leader has an entry on its own disk only: whoever asked was never answered, and it is kept."""
    first, second = cluster(start, 2)
    leader, other = (first, second) if membership(first)["leader"] == "n1" else (second, first)
    name = membership(other)["node"]
    before = membership(leader)["last_index"]
    other.pause()
    with contextlib.suppress(OSError):
        leader.once("POST", "/v1/tokens", {"name": "unacknowledged", "role": "viewer"})
    assert membership(leader)["last_index"] > before
    assert "unacknowledged" not in written(leader)
    # It is there, even if it says nothing.
    status, said = recover(leader, name, proof=PROOF)
    assert (status, said["code"]) == (409, "recover-needless")
    assert "a host that stands still keeps its line" in said["detail"]
    other._stopping = True  # and as it stands: gone on, it would take the entry in before it ends
    for process in other._processes.values():
        process.kill()
    leader.wait(lambda: shown(leader)["possible"], "the end of the line")  # that it is silent was known before
    assert any("become valid" in one for one in shown(leader)["may_be_lost"])
    recovered(leader, name)
    assert "unacknowledged" in written(leader)


@pytest.mark.parametrize("point", RECOVERING)
def test_killed_at_any_step_it_is_the_old_cluster_or_the_recovered_one(start: Start, point: str) -> None:
    first, second = cluster(start, 2)
    write(first, "before")
    without_the_others(second, first)
    (second.root / "fuse").write_text(point)
    with contextlib.suppress(OSError, json.JSONDecodeError):
        recover(second, "n1", proof=PROOF)
    second.wait(lambda: second.deaths, f"{point} to be reached")
    assert not (second.root / "fuse").exists()
    if point == "raft/recover.written:before":
        second.until("/v1/membership", lambda found: len(found["members"]) == 2 and not found["quorum"])
        assert not history(second)
        recovered(second, "n1")
    second.until("/v1/membership", lambda found: len(found["members"]) == 1 and found["leader"])
    write(second, "after")
    assert written(second) >= {"before", "after"}
    assert len(history(second)) == 1
    assert not list((second.root / "var/lib/girginosvm/raft").glob("recover*"))


def test_without_proof_by_tcp_or_with_wrong_words_nothing_happens(start: Start) -> None:
    first, second = cluster(start, 2)
    home = second.root / "var/lib/girginosvm/raft"
    without_the_others(second, first)
    for body, code in (
        ({"without": ["n1"]}, "proof-missing"),
        ({"without": ["n1"], "proof": "sure"}, "proof-missing"),
        ({"without": ["n1"], "i_am_sure": "yes"}, "proof-missing"),
        ({"without": ["n1"], "i_am_sure": "yes", "proof": PROOF}, "proof-missing"),
        ({"proof": PROOF}, "without-missing"),
        ({"without": ["n2"], "proof": PROOF}, "recover-itself"),
        ({"without": ["n9"], "proof": PROOF}, "member-missing"),
    ):
        assert second.ask("POST", "/v1/cluster/recover", body)["code"] == code
        assert not (home / "recover").exists()
    assert len(membership(second)["members"]) == 2
    assert recover(second, "n1", i_am_sure="I know that n1 will never run again with this identity")[0] == 202


def test_the_command_line_shows_asks_for_proof_and_recovers(start: Start) -> None:
    first, second = cluster(start, 2)
    without_the_others(second, first)

    def line(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "girginosvm", *words, "--root", str(second.root)]
        return subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False, timeout=60)

    said = line("cluster", "recover")
    assert said.returncode == 0, said.stderr
    assert "n1 (not reached)" in said.stdout
    assert "--without n1 --proof" in said.stdout
    said = line("cluster", "recover", "--without", "n1")
    assert (said.returncode, "(proof-missing)" in said.stderr) == (10, True)
    assert "--without n1 --proof" in said.stderr
    said = line("cluster", "recover", "--without", "n1", "--proof", PROOF, "--dry-run")
    assert said.returncode == 0
    assert not history(second)
    said = line("cluster", "recover", "--without", "n1", "--proof", PROOF)
    assert said.returncode == 0, said.stderr
    second.until("/v1/membership", lambda found: found["leader"])
    assert len(history(second)) == 1


def test_it_is_for_root_on_the_node_itself_and_for_nobody_who_signs_in(start: Start) -> None:
    first, second = cluster(start, 2)
    admin = second.ask("POST", "/v1/tokens", {"name": "all", "role": "admin"})["token"]
    without_the_others(second, first)
    command = [
        sys.executable, "-m", "girginosvm", "cluster", "recover", "--without", "n1", "--proof", PROOF,
        "--url", f"https://127.0.0.1:{second.port}", "--root", str(second.root),
    ]  # fmt: skip
    environment = os.environ | {"GIRGINOSVM_API_TOKEN": admin}
    said = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert (said.returncode, "(local-only)" in said.stderr) == (3, True), said.stderr
    assert len(membership(second)["members"]) == 2
    assert is_member(second, "n2")
