"""`quorum` and `doctor` of real processes on fake hosts: with a majority, without one, and with parts that are away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from girginosvm.core.host import FoundDomain, Power
from girginosvm.hypervisor.fake.host import FakeHost
from tests.scenarios.node import REPO, Node, UnixLink, qcow2
from tests.scenarios.test_join import Start, start
from tests.scenarios.test_voters import cluster

__all__ = ["start"]


def said(node: Node, *words: str) -> tuple[int, Any, str]:
    """The command line on this node: exit code, its JSON, and its talk."""
    done = subprocess.run(
        [sys.executable, "-m", "girginosvm", *words, "--root", str(node.root), "-f", "json"], cwd=REPO, check=False,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout or "null"), done.stderr


def age_ms(node: Node, path: str = "/v1/nodes") -> int:
    """Of a read that is answered."""
    link = UnixLink(node.root / "run/girginosvm/agent.sock")
    try:
        link.request("GET", path)
        answer = link.getresponse()
        assert answer.status == 200, answer.read()
        assert answer.read()
        return int(answer.headers["X-Leader-Age-Ms"])
    finally:
        link.close()


def check(diagnosis: Any, name: str) -> dict[str, str]:
    """The worst check of this name."""
    return next(one for one in diagnosis["checks"] if one["name"] == name)


def test_two_of_three_that_stand_still_are_missed_by_the_third_which_goes_on_answering_reads(start: Start) -> None:
    nodes = cluster(start, 3)
    for node in nodes.values():
        code, seen, _ = said(node, "quorum")
        assert (code, seen["quorum"], seen["voters"], seen["voters_reached"], seen["may_fail"]) == (0, True, 3, 3, 1)
        assert age_ms(node) < 2_000
    leader = nodes[seen["leader"]]
    code, seen, _ = said(leader, "quorum")
    assert sorted(one["role"] for one in seen["members"]) == ["leader", "voter", "voter"]
    assert all(one["lag"] is not None and one["heard_ms"] < 2_000 and one["panel"] for one in seen["members"])

    nodes["n1"].pause()
    nodes["n2"].pause()
    try:
        third = nodes["n3"]
        third.wait(lambda: said(third, "quorum")[0] == 7, "n3 to miss the others")
        third.wait(lambda: "not reached: n1, n2" in said(third, "quorum")[1]["says"], "both to be missed")
        code, seen, talk = said(third, "quorum")
        assert (code, talk, seen["leader"], seen["voters_reached"]) == (7, "", "", 1)
        assert seen["says"] == (
            "nothing can be changed: 2 of 3 voters are needed; reached from here: 1; not reached: n1, n2"
        )
        commands = [one["command"] for one in seen["by_hand"]]
        assert "systemctl start girginosvm-raft girginosvm" in commands
        assert "girginosvm cluster recover" in commands
        assert third.ask("GET", "/v1/membership")["quorum"] is False  # what the panel's bar goes by
        # Reads go on, and say how old they may be.
        before = age_ms(third)
        third.wait(lambda: age_ms(third) > before + 1_000, "the age to grow")
        assert age_ms(third) >= 2_000
        code, found, _ = said(third, "doctor")
        assert (code, found["verdict"], check(found, "raft")["says"]) == (2, "fail", seen["says"])
        assert check(found, "raft")["next"] == "girginosvm quorum"
    finally:
        nodes["n1"].go_on()
        nodes["n2"].go_on()
    third.wait(lambda: said(third, "quorum")[0] == 0, "changes to be possible again")
    third.wait(lambda: age_ms(third) < 1_000, "a leader to be heard again")


def test_a_raft_process_that_is_away_is_said_by_an_agent_that_answers(start: Start) -> None:
    node = start("n1").ready()
    os.kill(node.pid("raft"), signal.SIGSTOP)
    try:
        code, seen, _ = said(node, "quorum")
        assert (code, seen["quorum"]) == (7, False)
        assert seen["says"].startswith("the raft process did not answer within 5 s: nothing can be changed through it")
        assert "systemctl restart girginosvm-raft" in [one["command"] for one in seen["by_hand"]]
        code, found, _ = said(node, "doctor")
        assert (code, check(found, "raft")["state"]) == (2, "fail")
        assert "journal" not in {one["name"] for one in found["checks"]}  # nobody was there to say it
        assert age_ms(node) > 3_000
    finally:
        os.kill(node.pid("raft"), signal.SIGCONT)
    node.wait(lambda: said(node, "quorum")[0] == 0, "the raft process to answer again")


def test_a_node_whose_processes_are_down_is_said_with_the_next_command(start: Start) -> None:
    node = start("n1").ready()
    node.stop()
    code, seen, talk = said(node, "quorum")
    assert (code, seen) == (7, None)
    assert "no agent answers at" in talk
    assert "systemctl status girginosvm girginosvm-raft" in talk


def test_the_doctor_finds_what_somebody_broke_on_a_running_node(start: Start) -> None:
    node = start("n1").ready()
    node.upload("tiny", qcow2(node.root / "tiny.qcow2"))

    def well() -> bool:
        """All but the acceleration, which a fake host has not: once its first rounds are over."""
        code, found, _ = said(node, "doctor")
        return (code, [one["name"] for one in found["checks"] if one["state"] != "ok"]) == (1, ["libvirt"])

    node.wait(well, "a node that is well")
    _, found, _ = said(node, "doctor")
    assert {one["name"] for one in found["checks"]} >= {
        "raft", "journal", "database", "history", "disk", "certificate", "cluster key", "pool", "images", "ports",
        "operations", "nodes", "releases", "tokens", "work", "settings",
    }  # fmt: skip
    with ThreadPoolExecutor(12) as people:
        answers = list(people.map(lambda _: node.once("GET", "/v1/doctor"), range(12)))
    assert {status for status, _ in answers} == {200}
    assert len({diagnosis["at"] for _, diagnosis in answers}) < 12  # it is looked once for all who ask meanwhile
    (image,) = (node.root / "var/lib/girginosvm/images").glob("*.qcow2")
    image.unlink()
    toml = node.root / "etc/girginosvm/girginosvm.toml"
    toml.parent.mkdir(parents=True, exist_ok=True)
    toml.write_text("reserve_memory_mb = 700\n")
    (node.root / "var/lib/girginosvm/pki/ca.crt").rename(node.root / "ca.away")
    code, found, _ = said(node, "doctor")
    assert code == 2
    bad = {one["name"]: (one["state"], one["says"]) for one in reversed(found["checks"]) if one["state"] != "ok"}
    assert bad["images"] == ("fail", "1 image has no file on this node any more: tiny")
    assert bad["certificate"][0] == "fail"
    assert bad["settings"] == ("warn", "changed since the agent began: reserve_memory_mb")
    (node.root / "ca.away").rename(node.root / "var/lib/girginosvm/pki/ca.crt")


def test_a_domain_that_came_back_is_found_by_the_doctor_and_adopted_as_it_says(start: Start) -> None:
    node = start("n1").ready()
    assert check(said(node, "doctor")[1], "machines")["state"] == "ok"
    vm = "11111111-2222-4333-8444-555555555555"
    back = FoundDomain(id=vm, name="web-11111111", ours=True, generation=7, power=Power.STOPPED)
    with FakeHost(node.root / "var/lib/girginosvm/fake-host.json").state.edit("domains") as domains:
        domains[vm] = msgspec.to_builtins({"defined": back, "live": back, "power": "running", "reason": "booted"})
    _, found, _ = said(node, "doctor")
    assert (found["verdict"], check(found, "machines")["state"]) == ("fail", "fail")
    assert (
        f"domain web-11111111 ({vm}) runs on this host, and the cluster does not have it"
        in (check(found, "machines")["says"])
    )
    advised = f"girginosvm vm adopt {vm}"
    assert check(found, "machines")["next"].startswith(advised)
    node.wait(lambda: said(node, "vm", "list", "--foreign")[1], "the list to show it")
    code, adopted, talk = said(node, *advised.split()[1:], "--name", "web")
    assert (code, adopted["state"]) == (0, "done"), talk
    assert check(said(node, "doctor")[1], "machines")["state"] == "ok"
    assert node.host()["domains"][vm]["power"] == "running"


def test_what_goes_with_a_node_is_shown_before_anything_goes(start: Start) -> None:
    nodes = cluster(start, 3)
    n1, n2 = nodes["n1"], nodes["n2"]
    code, seen, talk = said(n1, "membership", "remove", "n2", "--dry-run")
    assert (code, seen["name"], seen["refused"]) == (0, "n2", "")
    assert seen["vote"] == "it votes: 2 of 3 voters are left, 2 of them reached; changes stay possible"
    assert seen["keys"].startswith("the cluster goes over to a new CA")
    assert "nothing was changed" in talk
    code, seen, _ = said(n2, "membership", "leave", "--dry-run")
    assert (code, seen["name"], seen["refused"]) == (0, "n2", "")
    for words in (("membership", "remove", "n2"), ("membership", "leave")):
        code, _, talk = said(n2, *words)
        assert code == 10
        assert "confirm-missing" in talk
    assert len(n1.ask("GET", "/v1/membership")["members"]) == 3
    code, seen, _ = said(start("n9").ready(), "membership", "leave", "--dry-run")
    assert (code, seen["refused"]) == (0, "this node is a cluster of one: there is nothing to leave (alone)")
