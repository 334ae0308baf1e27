"""A member's database is gone while its journal was compacted: it fetches the state from the others by itself. Without
its journal it takes no part any more. Real processes on fake hosts."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.scenarios.deeds import running
from tests.scenarios.node import REPO, Node, qcow2
from tests.scenarios.test_disk_full import Room
from tests.scenarios.test_join import Start, joined, membership, start
from tests.scenarios.test_voters import settled

__all__ = ["start"]
ROOM_KIB = 4096
SMALL = {"GIRGINOSVM_JOURNAL_COMPACT_ENTRIES": "20", "GIRGINOSVM_JOURNAL_SEGMENT_BYTES": "16384"}
# What only a start with a damaged database does, and some of what fetching the state does (tests/floors/raft has all).
LOSING = ("raft/database.aside:before", "raft/database.aside:after")
FETCHING = (
    "raft/snapshot.seal:named", "raft/machine.install:before", "raft/machine.install:pages",
    "raft/machine.install:after", "raft/snapshot.remove:after",
)  # fmt: skip


def home(node: Node) -> Path:
    return node.root / "var/lib/girginosvm"


def write(node: Node, name: str) -> None:
    made = node.ask("POST", "/v1/tokens", {"name": name, "role": "viewer"}, key=name)
    assert "id" in made, made


def written(node: Node) -> set[str]:
    return {str(one["name"]) for one in node.ask("GET", "/v1/tokens?limit=1000")["items"]}


def said(node: Node, words: str) -> bool:
    log = node.root / "log"
    return log.exists() and words in log.read_text(errors="replace")


def journal_begins(node: Node) -> int:
    return min(int(one.name.partition("-")[0]) for one in (home(node) / "raft/journal").iterdir())


def compacted(*nodes: Node) -> set[str]:
    """Writes until no journal has its beginning any more: their names."""
    names: set[str] = set()
    while any(journal_begins(node) == 1 for node in nodes):
        assert len(names) < 400
        names.add(f"before-{len(names)}")
        write(nodes[0], f"before-{len(names) - 1}")
    return names


def whole(node: Node, names: set[str], *, voters: int = 3) -> None:
    """It shows everything that was acknowledged, and takes part."""
    settled(node, voters)
    node.until("/v1/tokens?limit=1000", lambda found: names <= {one["name"] for one in found["items"]})
    write(node, f"after-{time.monotonic_ns()}")
    node.until("/v1/health", lambda found: not found["problems"])
    assert not list((home(node) / "raft/snapshots").glob("in*"))


def emptied(node: Node) -> None:
    shutil.rmtree(home(node) / "db")


def without_its_file(node: Node) -> None:
    """What lies beside it is left, and belongs to nothing."""
    (home(node) / "db/state.db").unlink()


def damaged(node: Node) -> None:
    path = home(node) / "db/state.db"
    path.write_bytes(b"no database at all\n" * 1000)


@pytest.fixture
def three(start: Start) -> tuple[str, list[Node]]:
    """Three that vote, with logs that are cut short; a machine runs on the last."""
    nodes = [start(f"n{number}", **SMALL).ready() for number in (1, 2, 3)]
    nodes[2].upload("tiny", qcow2(nodes[2].root / "tiny.qcow2"))
    vm = running(nodes[2])
    for number, node in enumerate(nodes[1:], 2):
        joined(node, nodes[0], f"n{number}", confirm=True)
    for node in nodes:
        settled(node, 3)
    return vm, nodes


def test_a_follower_whose_database_is_gone_fetches_the_state_and_its_machine_runs_on(
    start: Start, three: tuple[str, list[Node]]
) -> None:
    vm, (first, second, third) = three
    names = compacted(first, second, third)
    member = next(one["id"] for one in membership(first)["members"] if one["name"] == "n3")
    happened = [one for one in third.host()["happened"]["events"] if one[1] == vm]
    for harm in (emptied, without_its_file, damaged):
        third.stop()
        (third.root / "log").unlink()
        harm(third)
        names.add(f"meanwhile-{len(names)}")
        write(first, f"meanwhile-{len(names) - 1}")
        third = start("n3", again=True, **SMALL)
        while not said(third, '"event":"raft.snapshot-installed"'):  # the others hear nothing of it
            names.add(f"on-{len(names)}")
            write(first, f"on-{len(names) - 1}")
        whole(third, names)
        assert said(third, '"event":"raft.database-lost"')
        assert next(one["id"] for one in membership(third)["members"] if one["here"]) == member
        assert third.ask("GET", f"/v1/vms/{vm}")["state"] == "running"
        assert [one for one in third.host()["happened"]["events"] if one[1] == vm] == happened
        assert (home(third) / "db/state.db.damaged").exists() is (harm is damaged)
    second.stop()
    write(third, "a-majority-with-it")


def test_the_leader_loses_its_database_under_a_living_agent(three: tuple[str, list[Node]]) -> None:
    _, nodes = three
    names = compacted(*nodes)
    leads = settled(nodes[0], 3)["leader"]
    leader = nodes[int(leads[1:]) - 1]
    without_its_file(leader)
    leader.kill("raft")
    leader.wait(lambda: said(leader, '"event":"raft.database-lost"'), "the loss to be seen")
    for node in nodes:
        whole(node, names)
    assert said(leader, '"event":"agent.database-changed"')


def test_an_old_copy_is_made_up_for_and_until_then_it_is_said(
    start: Start, three: tuple[str, list[Node]], tmp_path: Path
) -> None:
    _, (first, second, third) = three
    third.stop()
    shutil.copytree(home(third) / "db", tmp_path / "old")
    third = start("n3", again=True, **SMALL)
    names = compacted(first, second, third)
    at = journal_begins(third)
    while journal_begins(third) == at:  # further than the copy
        names.add(f"more-{len(names)}")
        write(first, f"more-{len(names) - 1}")
    third.stop()
    first.stop()
    second.stop()
    shutil.rmtree(home(third) / "db")
    (third.root / "log").unlink()
    third = start("n3", again=True, **SMALL)
    third.wait(lambda: said(third, '"event":"agent.waits-for-state"'), "the agent to wait")
    doctor = [sys.executable, "-m", "girginosvm", "doctor", "--root", str(third.root)]
    found = subprocess.run(doctor, cwd=REPO, capture_output=True, text=True, check=False, timeout=60)
    assert (found.returncode, "and the journal begins at" in found.stdout) == (2, True), found.stdout
    third.stop()
    shutil.rmtree(home(third) / "db")
    shutil.copytree(tmp_path / "old", home(third) / "db")
    third = start("n3", again=True, **SMALL)
    health = third.until("/v1/health", lambda found: any("the journal begins at" in one for one in found["problems"]))
    assert any("no other member is reached" in one for one in health["problems"])
    status, refused = third.once("POST", "/v1/tokens", {"name": "late", "role": "viewer"})
    assert (status, refused["code"]) == (503, "database-behind")
    shown = third.ask("GET", "/v1/quorum")
    assert not shown["quorum"]
    assert "the journal begins at" in shown["says"]
    (check,) = [one for one in third.ask("GET", "/v1/doctor")["checks"] if one["name"] == "raft"]
    assert check["state"] == "fail"
    assert "girginosvm explain database-behind" in check["next"]
    recover = third.once("POST", "/v1/cluster/recover", {"without": ["n1", "n2"], "proof": "I saw both of them burn"})
    assert recover[1]["code"] == "recover-halted"
    first, second = (start(name, again=True, **SMALL) for name in ("n1", "n2"))
    whole(third, names)


def test_killed_at_any_step_it_finishes(three: tuple[str, list[Node]]) -> None:
    _, nodes = three
    names = compacted(*nodes)
    for point in (*LOSING, *FETCHING):
        node = nodes[2] if settled(nodes[0], 3)["leader"] != "n3" else nodes[1]
        (damaged if point in LOSING else without_its_file)(node)
        deaths = node.deaths.count("raft")
        (node.root / "fuse").write_text(point)
        node.kill("raft")
        until_dead(node, deaths + 2)
        assert not (node.root / "fuse").exists(), point
        whole(node, names)


def until_dead(node: Node, times: int) -> None:
    node.wait(lambda: node.deaths.count("raft") >= times, "the step to be reached")


def test_a_member_without_its_journal_takes_no_part_and_comes_back_as_another(
    start: Start, three: tuple[str, list[Node]]
) -> None:
    """Whether its database is there or not: it has forgotten whom it voted for and what it acknowledged."""
    _, (first, second, third) = three
    names = compacted(first, second, third)
    member = next(one["id"] for one in membership(first)["members"] if one["name"] == "n2")
    second.stop()
    shutil.rmtree(home(second) / "raft/journal")
    for database in ("there", "gone"):
        if database == "gone":
            emptied(second)
        second = start("n2", again=True, **SMALL)
        second.may_end = "raft ended with 9"
        second.wait(lambda: second.ends, "the refusal")  # noqa: B023 - at once
        assert said(second, '"code":"journal-lost"')
        assert not list((home(second) / "raft/journal").glob("*.seg"))
        first.until("/v1/membership", lambda found: found["leader"] and found["voters_reached"] == 2)
        second.stop()
    write(first, "without-it")

    # As its page says: the old identity goes, and it comes as another node.
    for part in ("db", "raft", "pki"):
        if (home(second) / part).exists():
            shutil.move(home(second) / part, home(second) / f"{part}.old")
    gone = first.ask("DELETE", "/v1/membership/members/n2", {})
    assert "lost" in gone, gone
    second = start("n2", again=True, **SMALL).ready()
    joined(second, first, "n2")
    whole(second, names | {"without-it"})
    assert next(one["id"] for one in membership(second)["members"] if one["here"]) != member


def test_alone_there_is_only_a_backup_and_it_is_said(start: Start, tmp_path: Path) -> None:
    node = start("n1", **SMALL).ready()
    names = compacted(node)
    node.stop()
    shutil.copytree(home(node) / "db", tmp_path / "backup")
    for harm, code in ((without_its_file, "database-behind"), (damaged, "database-damaged")):
        harm(node)
        node = start("n1", again=True, **SMALL)
        node.may_end = "raft ended with 9"
        node.wait(lambda: node.ends, "the refusal")  # noqa: B023 - at once
        node.stop()
        assert said(node, f'"code":"{code}"')
        assert not (home(node) / "db/state.db.damaged").exists()
    shutil.copyfile(tmp_path / "backup/state.db", home(node) / "db/state.db")
    node = start("n1", again=True, **SMALL)
    assert names <= written(node)
    write(node, "after")


def test_a_damaged_database_of_one_alone_is_made_anew_from_a_journal_that_has_all_of_it(start: Start) -> None:
    node = start("n1").ready()
    write(node, "before")
    node.stop()
    damaged(node)
    node = start("n1", again=True)
    node.ready()
    assert "before" in written(node)
    assert (home(node) / "db/state.db.damaged").exists()


@pytest.fixture
def room(start: Start, tmp_path: Path) -> Iterator[Room]:
    """n1, whose snapshots have a small disk."""
    one = Room(
        tmp_path / "n1", "raft/snapshots", ROOM_KIB, GIRGINOSVM_ADDRESS="127.0.0.1",
        GIRGINOSVM_RAFT_PORT=str(free_port()), GIRGINOSVM_NODE_NAME="n1", **SMALL,
    )  # fmt: skip
    yield one
    one.close()


@pytest.mark.host
def test_a_full_disk_on_the_way_is_said_it_votes_meanwhile_and_goes_on_when_there_is_room(
    start: Start, room: Room
) -> None:
    first = room.node.ready()
    second, third = (start(name, **SMALL).ready() for name in ("n2", "n3"))
    for name, node in (("n2", second), ("n3", third)):
        joined(node, first, name)
        settled(node, len(membership(first)["members"]))
    for node in (first, second, third):
        settled(node, 3)
    names = compacted(first, second, third)
    first.kill("raft")  # its next life clears up what the last one made for others
    first.until("/v1/membership", lambda found: found["leader"] not in ("", "n1") and found["voters_reached"] == 3)
    room.sized(64)
    without_its_file(first)
    first.kill("raft")
    first.wait(lambda: said(first, '"event":"raft.snapshot-not-taken"'), "no room for it")
    third.stop()
    second.until("/v1/membership", lambda found: found["leader"] and found["voters_reached"] == 2)
    write(second, "with-its-vote")
    room.sized(ROOM_KIB)
    whole(first, names | {"with-its-vote"})
    assert names | {"with-its-vote"} <= written(first)


@pytest.mark.parametrize("name", ["ca.crt", "server.pem"])
def test_a_member_without_its_certificates_says_so_and_blames_no_port(start: Start, name: str) -> None:
    first, second = start("n1").ready(), start("n2").ready()
    joined(second, first, "n2")
    settled(second, 2)
    second.stop()
    kept = (home(second) / "pki" / name).read_bytes()
    (home(second) / "pki" / name).unlink()
    second = start("n2", again=True)
    second.may_end = "raft ended with 9"
    second.wait(lambda: second.ends, "the refusal")
    assert said(second, '"code":"pki-damaged"')
    assert said(second, f"{name} is not there")
    second.stop()
    (home(second) / "pki" / name).write_bytes(kept)
    settled(start("n2", again=True), 2)
