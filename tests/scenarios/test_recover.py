"""The last resort: most voters are gone for good, and a survivor goes on alone with all that it held. Real processes on
fake hosts."""

from __future__ import annotations

import contextlib
import json

import pytest

from tests.ports import free_port
from tests.scenarios.deeds import running
from tests.scenarios.last_resort import (
    PROOF,
    cluster,
    history,
    mark_of,
    opening,
    recover,
    recovered,
    shown,
    without_the_others,
    write,
    written,
)
from tests.scenarios.node import Node, qcow2
from tests.scenarios.test_join import Start, joined, membership, start
from tests.scenarios.test_voters import settled

__all__ = ["start"]
# Every step of the survivor: what it writes down, and what its next life does with that.
RECOVERING = tuple(
    f"raft/recover.{step}:{side}" for step in ("written", "journal", "recorded") for side in ("before", "after")
)


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
    opens = {"node": "n1", "bind": f"127.0.0.1:{free_port()}", "public_url": "https://center.example.net"}
    first.ask("POST", "/v1/center/promote", opens)
    second.until("/v1/centers", lambda found: [one["name"] for one in found["items"]] == ["n1"])
    before = second.ask("GET", f"/v1/vms/{vm}")
    happened = [one for one in second.host()["happened"]["events"] if one[1] == vm]
    without_the_others(second, first)
    _can_write_nothing_and_says_what_can_be_done(second, opens)
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


def _can_write_nothing_and_says_what_can_be_done(node: Node, opens: dict[str, str]) -> None:
    status, said = node.once("POST", "/v1/pools", {"name": "late", "path": "/srv/late"})
    assert (status, said["code"], said["family"]) == (503, "no-leader", "NoQuorum")
    assert "girginosvm cluster recover" in said["hint"]
    assert any("girginosvm cluster recover" in one for one in membership(node)["problems"])
    sheet = shown(node)
    assert (sheet["possible"], sheet["gone"], sheet["rejoin"], sheet["machines_there"]) == (True, ["n1"], [], [])
    assert sheet["voters"] == ["n1 (not reached)", "n2 (this node)"]
    assert sheet["may_be_lost"] == [
        "nothing that was acknowledged, if these 2 voted to the end: each write was on 2 of them"
    ]
    assert sheet["command"] == 'girginosvm cluster recover --without n1 --proof "HOW YOU KNOW IT"'
    assert sheet["centers"] == [
        f"n1 is a center, at {opens['public_url']}, once it has come back; this node can be one now: girginosvm center "
        f"promote --bind {opens['bind']} --public-url {opens['public_url']}"
    ]
    assert not history(node)


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
