"""Who votes, chosen by the leader of real processes on fake hosts: what that is worth when nodes die, are drained, or
have an agent that says nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any

import pytest

from tests.scenarios.deeds import running
from tests.scenarios.node import Node, qcow2
from tests.scenarios.test_join import Start, joined, membership, start, token

__all__ = ["start"]


def cluster(start: Start, count: int) -> dict[str, Node]:
    """n1, n2, ... as one cluster, all of whom vote."""
    nodes = {name: start(name).ready() for name in (f"n{number}" for number in range(1, count + 1))}
    for name, node in nodes.items():
        if name != "n1":
            joined(node, nodes["n1"], name)
    for node in nodes.values():
        settled(node, count)
    return nodes


def settled(node: Node, voters: int) -> Any:
    """Once so many vote and somebody leads."""
    return node.until("/v1/membership", lambda found: found["voters"] == voters and found["leader"] and found["quorum"])


def wrote(node: Node, name: str) -> str:
    """A write that was acknowledged."""
    return str(node.ask("POST", "/v1/tokens", {"name": name, "role": "viewer"}, key=name)["id"])


def written(node: Node) -> set[str]:
    return {one["id"] for one in node.ask("GET", "/v1/tokens")["items"]}


def role(node: Node, name: str) -> str:
    return str(next(one["role"] for one in membership(node)["members"] if one["name"] == name))


def test_three_nodes_vote_and_the_cluster_goes_on_without_its_leader(start: Start) -> None:
    nodes = cluster(start, 3)
    acknowledged = {wrote(nodes["n2"], f"before-{number}") for number in range(20)}
    leader = membership(nodes["n1"])["leader"]
    nodes.pop(leader).stop()
    asked, other = nodes.values()
    after = asked.until("/v1/membership", lambda found: found["leader"] not in ("", leader))
    assert (after["voters"], after["voters_reached"]) == (3, 2)
    acknowledged |= {wrote(asked, f"after-{number}") for number in range(5)}
    for node in (asked, other):
        node.wait(lambda node=node: acknowledged <= written(node), "every acknowledged write")


def test_a_drained_node_hands_over_lead_and_vote_and_gets_its_vote_back(start: Start) -> None:
    nodes = cluster(start, 3)
    leader = membership(nodes["n1"])["leader"]
    others = [node for name, node in nodes.items() if name != leader]
    assert nodes[leader].ask("POST", "/v1/membership/drain", {"node": leader})["machines"] == []
    seen = settled(others[0], 2)
    assert seen["leader"] != leader
    assert role(others[0], leader) == "observer"
    nodes[leader].stop()  # it may go: nothing waits for it
    wrote(others[1], "while-away")
    nodes[leader] = start(leader, again=True)
    others[0].ask("POST", "/v1/membership/undrain", {"node": leader})
    settled(others[0], 3)


def test_the_lead_goes_where_an_operator_wants_it_and_back_there_after_a_loss(start: Start) -> None:
    """No write fails on the way: the lead is handed over, not lost."""
    nodes = cluster(start, 3)
    leader = membership(nodes["n1"])["leader"]
    wanted, asked = (name for name in nodes if name != leader)
    assert nodes[asked].ask("POST", "/v1/membership/lead", {"node": wanted, "order": "first"})["node"] == wanted
    for number in range(20):
        wrote(nodes[asked], f"meanwhile-{number}")
    nodes[asked].until("/v1/membership", lambda found: found["leader"] == wanted)
    nodes[wanted].stop()
    nodes[asked].until("/v1/membership", lambda found: found["leader"] not in ("", wanted))
    nodes[wanted] = start(wanted, again=True)
    nodes[asked].until("/v1/membership", lambda found: found["leader"] == wanted)
    nodes[asked].ask("POST", "/v1/membership/lead", {"node": wanted, "order": "last"})
    nodes[asked].until("/v1/membership", lambda found: found["leader"] not in ("", wanted))


def reach(node: Node) -> dict[str, bool | None]:
    return {one["name"]: one["reached"] for one in membership(node)["members"]}


def watching(nodes: dict[str, Node]) -> None:
    """n1 votes alone, n2 and n3 are drained: two observers."""
    for name in ("n2", "n3"):
        nodes["n1"].ask("POST", "/v1/membership/drain", {"node": name})
    for node in nodes.values():
        settled(node, 1)


def test_an_observer_does_not_look_at_another_one_until_it_votes_again(start: Start) -> None:
    nodes = cluster(start, 3)
    watching(nodes)
    for name, other in (("n2", "n3"), ("n3", "n2")):
        wanted = {"n1": True, name: True, other: None}
        nodes[name].wait(lambda name=name, wanted=wanted: reach(nodes[name]) == wanted, f"{name} to reach {wanted}")
        found = {one["name"]: one["reached"] for one in nodes[name].ask("GET", "/v1/quorum")["members"]}
        assert found == wanted
        checks = nodes[name].ask("GET", "/v1/doctor")["checks"]
        assert not [one for one in checks if one["name"] == "raft" and other in one["says"]]
        wrote(nodes[name], f"from-{name}")  # over the voter
    assert reach(nodes["n1"]) == dict.fromkeys(nodes, True)
    for name in ("n2", "n3"):
        nodes["n1"].ask("POST", "/v1/membership/undrain", {"node": name})
    for name, node in nodes.items():
        settled(node, 3)
        node.wait(lambda node=node: reach(node) == dict.fromkeys(nodes, True), f"{name} to reach everybody")


def test_one_that_was_away_comes_back_to_a_leader_that_joined_meanwhile(start: Start) -> None:
    nodes = cluster(start, 3)
    leader = membership(nodes["n1"])["leader"]
    away = next(name for name in nodes if name != leader)
    nodes.pop(away).stop()
    for name in ("n4", "n5"):
        nodes[name] = start(name).ready()
        joined(nodes[name], nodes[leader], name)
    nodes["n4"].wait(lambda: role(nodes["n4"], "n4") == "voter", "n4 to vote")
    nodes[leader].ask("POST", "/v1/membership/lead", {"node": "n4", "order": "first"})
    nodes["n4"].until("/v1/membership", lambda found: found["leader"] == "n4")
    acknowledged = wrote(nodes["n4"], "meanwhile")
    nodes[away] = start(away, again=True)
    nodes[away].wait(lambda: acknowledged in written(nodes[away]), "what was written meanwhile")
    assert membership(nodes[away])["leader"]  # n4 led when it came; on a slow machine another may by now


def test_a_node_that_dies_takes_no_machine_seconds_later_and_is_ready_when_it_is_back(start: Start) -> None:
    nodes = cluster(start, 3)
    leader = membership(nodes["n1"])["leader"]
    gone, asked = (name for name in nodes if name != leader)
    nodes[asked].upload("tiny", qcow2(nodes[asked].root / "tiny.qcow2"))
    nodes[gone].stop()

    def state() -> str:
        return str(next(one["state"] for one in nodes[asked].ask("GET", "/v1/nodes")["items"] if one["name"] == gone))

    nodes[asked].wait(lambda: state() == "silent", f"{gone} to be called silent")
    spec = {"image": "tiny", "memory_mb": 64, "start": False}
    said = nodes[asked].ask("POST", "/v1/vms", {"name": "there", "node": gone, **spec})
    assert said["code"] == "node-unheard"
    for number in range(4):
        assert nodes[asked].ask("POST", "/v1/vms", {"name": f"web{number}", **spec}, key=f"web{number}")["node"] != gone
    nodes[gone] = start(gone, again=True)
    nodes[asked].wait(lambda: state() == "ready", f"{gone} to be ready")


def test_a_founder_that_lost_its_database_has_it_again_from_its_log(start: Start) -> None:
    nodes = cluster(start, 3)
    before = {wrote(nodes["n2"], f"before-{number}") for number in range(5)}
    nodes["n1"].stop()
    for file in (nodes["n1"].root / "var/lib/girginosvm/db").iterdir():
        file.unlink()
    nodes["n1"] = start("n1", again=True)
    seen: list[tuple[int, Any]] = []

    def answers() -> bool:
        with contextlib.suppress(OSError):
            seen.append(nodes["n1"].once("GET", "/v1/tokens"))
        return bool(seen) and seen[-1][0] == 200

    nodes["n1"].wait(answers, "n1 to answer")
    assert {status for status, _ in seen} <= {200, 503}
    assert before <= {one["id"] for one in seen[-1][1]["items"]}


def test_two_nodes_both_vote_and_one_alone_changes_nothing(start: Start) -> None:
    nodes = cluster(start, 2)
    acknowledged = wrote(nodes["n1"], "before")
    nodes["n1"].stop()
    seen = nodes["n2"].until("/v1/membership", lambda found: not found["quorum"])
    needs = "nothing can be changed: 2 of 2 voters are needed; reached from here: 1; not reached: n1"
    assert needs in seen["problems"]
    assert acknowledged in written(nodes["n2"])
    status, said = nodes["n2"].once("POST", "/v1/tokens", {"name": "late", "role": "viewer"})
    assert (status, said["family"]) == (503, "NoQuorum")


def test_with_a_witness_one_of_two_nodes_goes_on(start: Start) -> None:
    nodes = cluster(start, 2)
    witness = start("w1", GIRGINOSVM_WITNESS="true")
    witness.until("/v1/membership", lambda found: found["members"])
    center = f"https://127.0.0.1:{nodes['n1'].port}"
    status, said = witness.once("POST", "/v1/witness", {"center": center, "token": token(nodes["n1"])})
    assert status == 202, said
    settled(nodes["n1"], 3)
    nodes["n1"].stop()
    nodes["n2"].until("/v1/membership", lambda found: found["leader"] not in ("", "n1"))
    wrote(nodes["n2"], "after")


def test_a_leader_whose_agent_is_silent_lets_another_lead(start: Start) -> None:
    nodes = cluster(start, 3)
    leader = membership(nodes["n1"])["leader"]
    os.kill(nodes[leader].pid("agent"), signal.SIGSTOP)
    other = next(node for name, node in nodes.items() if name != leader)
    other.until("/v1/membership", lambda found: found["leader"] not in ("", leader))
    acknowledged = wrote(other, "after")
    os.kill(nodes[leader].pid("agent"), signal.SIGCONT)
    shown = nodes[leader].until("/v1/tokens", lambda found: acknowledged in {one["id"] for one in found["items"]})
    assert [one["name"] for one in shown["items"]].count("after") == 1


def test_a_fourth_node_follows_and_takes_the_place_of_a_voter_that_leaves(start: Start) -> None:
    nodes = cluster(start, 3)
    nodes["n4"] = start("n4").ready()
    joined(nodes["n4"], nodes["n2"], "n4")
    assert settled(nodes["n4"], 3)
    assert role(nodes["n1"], "n4") == "observer"
    status, said = nodes["n2"].once("POST", "/v1/membership/leave", {"confirm": True})
    assert status == 202, said
    for node in (nodes["n1"], nodes["n3"], nodes["n4"]):
        node.wait(lambda node=node: role(node, "n4") in ("voter", "leader"), "n4 to vote")
        assert settled(node, 3)


def test_machines_are_given_up_only_with_a_node_that_nobody_reaches(start: Start) -> None:
    """They would run on, and their addresses would be given to others."""
    first, second = start("n1").ready(), start("n2").ready()
    second.upload("tiny", qcow2(second.root / "tiny.qcow2"))
    vm = running(second)
    joined(second, first, "n2", confirm=True)
    first.ask("POST", "/v1/membership/drain", {"node": "n2"})
    settled(first, 1)
    name = first.until(f"/v1/vms/{vm}", lambda found: found.get("state") == "running")["name"]
    said = first.ask("DELETE", "/v1/membership/members/n2", {"lost": True})
    assert (said["code"], said["family"]) == ("node-answers", "Unsafe")
    assert first.ask("DELETE", "/v1/membership/members/n2", {})["code"] == "node-has-machines"
    second.pause()
    first.until("/v1/nodes/n2", lambda found: found["state"] == "silent")
    assert first.ask("DELETE", "/v1/membership/members/n2", {"lost": True})["lost"] == [name]


def test_a_node_that_leads_when_it_is_removed_hands_over_and_is_out(start: Start) -> None:
    nodes = cluster(start, 3)
    leader = membership(nodes["n1"])["leader"]
    gone = nodes.pop(leader)
    asked, other = nodes.values()
    asked.ask("DELETE", f"/v1/membership/members/{leader}", {})
    for node in (asked, other):
        seen = settled(node, 2)
        assert seen["leader"] in nodes
    gone.until("/v1/membership", lambda found: not found["quorum"] and found["voters_reached"] < 2)
    status, said = gone.once("POST", "/v1/tokens", {"name": "late", "role": "viewer"})
    assert (status, said["code"]) == (503, "no-leader")
    assert "late" not in {one["name"] for one in asked.ask("GET", "/v1/tokens")["items"]}


def test_a_node_that_has_read_of_its_own_removal_answers_from_its_start_and_can_leave(start: Start) -> None:
    """As after a leaving that was cut off between the removal and the new beginning."""
    nodes = cluster(start, 3)
    gone = next(name for name in nodes if name != membership(nodes["n1"])["leader"])
    node = nodes.pop(gone)
    node.ask("DELETE", f"/v1/membership/members/{gone}", {})
    node.kill("agent")
    other = next(iter(nodes.values()))
    settled(other, 2)
    cluster_id = membership(other)["cluster"]
    node.ask("POST", "/v1/membership/leave", {"confirm": True})
    node.until("/v1/membership", lambda found: len(found["members"]) == 1 and found["cluster"] != cluster_id)
    node.ready()
    joined(node, other, gone)
    back = settled(node, 3)
    assert (back["cluster"], back["leader"] != "") == (cluster_id, True)
    assert sorted(one["name"] for one in back["members"]) == sorted((gone, *nodes))


@pytest.mark.parametrize("how", ["drain", "remove"])
def test_a_vote_that_the_cluster_cannot_do_without_is_kept_until_it_can(start: Start, how: str) -> None:
    """One of three is away: without the vote of another nobody could decide anything, not even to give it back."""
    nodes = cluster(start, 3)
    leader = membership(nodes["n1"])["leader"]
    asked = nodes.pop(leader)
    away, going = sorted(nodes)
    nodes[away].stop()
    asked.until("/v1/membership", lambda found: found["voters_reached"] == 2)
    if how == "drain":
        asked.ask("POST", "/v1/membership/drain", {"node": going})
    else:
        asked.ask("DELETE", f"/v1/membership/members/{going}", {})
    for number in range(20):  # rounds of two seconds, and what wakes them
        wrote(asked, f"still-{number}")
        time.sleep(0.25)
    assert membership(asked)["voters"] == 3
    asked.ask("DELETE", f"/v1/membership/members/{away}", {})  # gone for good: now the other one may go, too
    settled(asked, 1)
    wrote(asked, "alone")
