"""A cluster is upgraded node by node, as real processes: this release, and a next one that only the tests have."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from girginosvm import __version__
from girginosvm.state import db as dbs
from girginosvm.state.fingerprint import Fingerprint, fingerprint
from tests.ports import free_port
from tests.scenarios.next_release import RELEASE
from tests.scenarios.node import Node
from tests.scenarios.test_join import joined, membership

THIS = "tests.scenarios.this_release"
NEXT = "tests.scenarios.next_release"


class Fleet:
    """Nodes by name; one that was stopped can be started again, as either release."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.compact_entries = 20_000
        self._ports: dict[str, int] = {}
        self.nodes: dict[str, Node] = {}

    def start(self, name: str, module: str = THIS) -> Node:
        root = self._home / name
        root.mkdir(exist_ok=True)
        port = self._ports.setdefault(name, free_port())
        node = Node(
            root, module=module, GIRGINOSVM_ADDRESS="127.0.0.1", GIRGINOSVM_RAFT_PORT=str(port),
            GIRGINOSVM_NODE_NAME=name, GIRGINOSVM_JOURNAL_COMPACT_ENTRIES=str(self.compact_entries),
        )  # fmt: skip
        self.nodes[name] = node
        return node

    def upgrade(self, name: str) -> None:
        """The files are new, and the raft process is started again: its agent finds another release behind the socket,
        ends (release-differs), and is started again, too."""
        node = self.nodes[name]
        node.module, node.may_end = NEXT, "agent ended with 5"
        node.kill("raft")
        node.wait(lambda: node.ends, "the agent to see that the raft process is another release")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    one = Fleet(tmp_path)
    yield one
    for node in one.nodes.values():
        node.remove()


class Writer:
    """Somebody who changes things all the time, now here, now there; what was acknowledged has to stay."""

    def __init__(self, ask: Callable[[int], Node]) -> None:
        self._ask = ask
        self._stop = threading.Event()
        self.done: list[str] = []
        self.faults: list[Any] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            name = f"token-{number}"
            try:
                said = self._ask(number).ask("POST", "/v1/tokens", {"name": name, "role": "viewer"})
            except AssertionError as fault:
                self.faults.append(fault)
                return
            if "token" not in said and said["code"] != "token-exists":  # its first try was done
                self.faults.append(said)
                return
            self.done.append(name)
            time.sleep(0.02)

    def goes_on(self, node: Node) -> None:
        """Writes are acknowledged from now on, too."""
        before = len(self.done)
        node.wait(lambda: self.faults or len(self.done) > before + 3, "writes to go on")
        assert self.faults == []

    def end(self) -> None:
        self._stop.set()
        self._thread.join()
        assert self.faults == []


def tokens(node: Node) -> set[str]:
    found, cursor = set(), ""
    while True:
        page = node.ask("GET", f"/v1/tokens?limit=1000&cursor={cursor}")
        found |= {one["name"] for one in page["items"]}
        cursor = page["next"]
        if not cursor:
            return found


def runs(node: Node) -> dict[str, tuple[str, int]]:
    return {one["name"]: (one["release"], one["level"]) for one in membership(node)["members"]}


def notes(node: Node) -> list[Any]:
    reader = dbs.open_reader(node.root / "var/lib/girginosvm/db/state.db")
    try:
        return dbs.rows(reader, "SELECT note FROM node_note ORDER BY node")
    finally:
        reader.close()


def state(node: Node) -> Fingerprint:
    reader = dbs.open_reader(node.root / "var/lib/girginosvm/db/state.db")
    try:
        return fingerprint(reader)
    finally:
        reader.close()


def equal(nodes: list[Node]) -> bool:
    """All at one entry, with the same rows."""
    seen = [state(node) for node in nodes]
    if len({one.index for one in seen}) > 1:
        return False
    assert len({one.digest for one in seen}) == 1, seen
    return True


def domain(node: Node, **words: Any) -> tuple[int, Any]:
    return node.once("POST", "/v1/nodes/n1/domain", words)


@pytest.mark.parametrize(
    ("compact_entries", "halted"),
    [(20_000, "the cluster is at feature level 2, this release supports 1: upgrade this node"),
     (50, "the leader's snapshot is of a newer release: the database is at feature level 2")],
    ids=["by-log", "by-snapshot"],
)  # fmt: skip
def test_a_cluster_is_upgraded_node_by_node_and_an_old_one_that_comes_back_waits_for_its_own(
    fleet: Fleet, compact_entries: int, halted: str
) -> None:
    fleet.compact_entries = compact_entries
    _all_of_this_release(fleet)
    writer = Writer(lambda number: fleet.nodes[("n1", "n2")[number % 2]])
    writer.goes_on(fleet.nodes["n1"])
    fleet.nodes["n3"].stop()
    _the_first_says_nothing_that_the_others_would_not_understand(fleet)
    writer.goes_on(fleet.nodes["n1"])
    _who_is_away_is_waited_for_as_long_as_it_votes(fleet)
    writer.goes_on(fleet.nodes["n1"])
    _who_comes_back_as_it_went_shows_what_it_knew(fleet, halted, writer)
    writer.goes_on(fleet.nodes["n2"])
    fleet.upgrade("n3")
    first, _, third = nodes = list(fleet.nodes.values())
    third.until("/v1/membership", lambda found: found["level"] == 2)
    third.wait(lambda: runs(first)["n3"] == (RELEASE, 2), "n3 to say that it is new")
    writer.end()
    first.wait(lambda: equal(nodes), "all three to be equal")
    assert set(writer.done) <= tokens(third)
    assert all("waits" not in membership(node)["level_reason"] for node in nodes)


def _all_of_this_release(fleet: Fleet) -> None:
    first, second, third = (fleet.start(name).ready() for name in ("n1", "n2", "n3"))
    joined(second, first, "n2")
    joined(third, first, "n3")
    for node in (first, second, third):
        node.until("/v1/membership", lambda found: found["voters"] == 3 and found["leader"])
        node.wait(lambda node=node: set(runs(node).values()) == {(__version__, 1)}, "every node's release")
    assert membership(first)["level"] == 1


def _the_first_says_nothing_that_the_others_would_not_understand(fleet: Fleet) -> None:
    """One of the two that are there is new, and says so."""
    first, second, _ = fleet.nodes.values()
    fleet.upgrade("n2")
    second.wait(lambda: runs(second)["n2"] == (RELEASE, 2), "n2 to say that it is new")
    seen = first.until("/v1/membership", lambda found: "waits for" in found["level_reason"])
    assert seen["level"] == 1
    assert f"n1 (release {__version__} supports 1)" in seen["level_reason"]
    status, said = domain(second, domain="rack1", note="moved")
    assert (status, said["code"]) == (409, "level-low")
    assert "note needs feature level 2, and this cluster is at 1" in said["detail"]
    assert second.once("POST", "/v1/notes", {})[1]["code"] == "level-low"
    (found,) = [one for one in first.ask("GET", "/v1/doctor")["checks"] if one["name"] == "releases"]
    assert (found["state"], "waits for" in found["says"]) == ("warn", True), found
    assert domain(second, domain="rack1")[0] == 200
    first.until("/v1/nodes/n1", lambda found: found["domain"] == "rack1")


def _who_is_away_is_waited_for_as_long_as_it_votes(fleet: Fleet) -> None:
    """n3 is away for long; once it does not vote it holds nobody back, and the cluster goes on by itself."""
    first, second, _ = fleet.nodes.values()
    fleet.upgrade("n1")
    first.wait(lambda: runs(first)["n1"] == (RELEASE, 2), "n1 to say that it is new")
    seen = first.until("/v1/membership", lambda found: "but it votes: upgrade it, or drain it" in found["level_reason"])
    assert seen["level"] == 1
    first.ask("POST", "/v1/membership/drain", {"node": "n3"})
    for node in (first, second):
        after = node.until("/v1/membership", lambda found: found["level"] == 2)
    (raised,) = first.ask("GET", "/v1/events?filter=kind=cluster.level-raised")["items"]
    assert "every node that counts supports feature level 2" in raised["text"]
    assert "passed over: n3" in raised["text"]
    assert "applying nothing until upgraded: n3" in after["level_reason"]
    status, said = domain(second, domain="rack2", note="moved")
    assert (status, said["note"]) == (200, "moved")
    first.wait(lambda: notes(first) == [{"note": "moved"}], "the note on the other node")
    assert first.ask("POST", "/v1/notes", {}) == {"notes": 1}


def _who_comes_back_as_it_went_shows_what_it_knew(fleet: Fleet, halted: str, writer: Writer) -> None:
    """It says why, and changes nothing, also from its start; the others do not notice."""
    third = fleet.start("n3")
    health = third.until("/v1/health", lambda found: found["halted"])
    assert halted in health["halted"]
    assert "upgrade this node" in health["halted"]
    assert not any("nobody to agree with" in one for one in health["problems"])
    shown = membership(third)
    assert any("applies nothing any more, and shows what it knew" in one for one in shown["problems"])
    assert [one["name"] for one in third.ask("GET", "/v1/nodes")["items"]] == ["n1", "n2", "n3"]
    status, said = third.once("POST", "/v1/tokens", {"name": "late", "role": "viewer"})
    assert (status, said["code"]) == (503, "halted")
    stood = state(third)
    writer.goes_on(fleet.nodes["n1"])
    third.kill("raft")
    third.until("/v1/health", lambda found: "feature level 2" in found["halted"])
    assert state(third) == stood
