"""Each disk of a node full in turn, on the real processes: a clear problem, nothing half-made, reads go on, health says
what is wrong, and the same request works once there is room."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import mirror
from tests.ports import free_port
from tests.scenarios import audit
from tests.scenarios.node import REPO, Node, qcow2

pytestmark = pytest.mark.host
WEB = {"name": "web", "image": "tiny", "memory_mb": 256}


class Room:
    """A node with one small disk, in a mount namespace of its own: it is gone with the process that holds it, and that
    one ends with this one, however it ends."""

    def __init__(self, root: Path, part: str, size_kib: int, **environment: str) -> None:
        place = root / audit.HOME / part
        place.mkdir(parents=True)
        words = f"mount -t tmpfs -o size={size_kib}k none {shlex.quote(str(place))} && echo mounted && exec cat"
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"mounted\n"
        self._filler = Path(f"/proc/{self._holder.pid}/root{place}/filler")
        self._place = place
        self._inside = ("nsenter", "-t", str(self._holder.pid), "-m", "--")
        self.node = Node(root, prefix=self._inside, **environment)

    def fill(self, *, but_pages: int = 0) -> None:
        """To the last byte, or but for a few pages of 4 KiB."""
        with open(self._filler, "wb", buffering=0) as out, contextlib.suppress(OSError):
            while out.write(bytes(4096)):
                pass
        os.truncate(self._filler, self._filler.stat().st_size - 4096 * but_pages)
        assert os.statvfs(self._filler).f_bavail == but_pages

    def sized(self, size_kib: int) -> None:
        """The disk has another size from now on; for a place where a start clears up whatever fills it."""
        mount = ("mount", "-o", f"remount,size={size_kib}k", str(self._place))
        subprocess.run([*self._inside, *mount], check=True)

    def empty(self) -> None:
        self._filler.unlink()

    def settled(self) -> None:
        """Both sides agree and nothing is left; what health says is nothing."""
        wrong: list[Any] = []

        def agree() -> bool:
            look = [*self._inside, sys.executable, "-m", "tests.scenarios.audit", str(self.node.root)]
            found = subprocess.run(look, check=True, capture_output=True, env={"PYTHONPATH": str(REPO)}).stdout
            wrong[:] = [*json.loads(found), *self.node.ask("GET", "/v1/health")["problems"]]
            return not wrong

        try:
            self.node.wait(agree, "both sides to agree")
        except AssertionError as fault:
            raise AssertionError(f"{wrong}; {fault}") from fault

    def says(self, words: str) -> None:
        """Health has a sentence with these words, and lists are still answered."""
        self.node.until("/v1/health", lambda found: any(words in one for one in found["problems"]))
        assert self.node.once("GET", "/v1/vms")[0] == 200

    def close(self) -> None:
        self.node.remove()
        self._holder.communicate()


@pytest.fixture
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Room]:
    part, size_kib, environment = request.param
    one = Room(tmp_path, part, size_kib, **environment)
    try:
        one.node.ready()
        one.node.upload("tiny", qcow2(tmp_path / "tiny.qcow2"))
        yield one
    finally:
        one.close()


def disk(part: str, size_kib: int, **environment: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("room", [(part, size_kib, environment)], indirect=True, ids=[part])


@disk("seeds", 2048)
def test_no_room_for_the_seed(room: Room) -> None:
    room.fill()
    made = room.node.ask("POST", "/v1/vms", WEB, key="web")
    ended = room.node.until(f"/v1/operations/{made['operation']}", lambda found: found["state"] != "running")
    assert (ended["state"], ended["problem"]["code"]) == ("failed", "disk-full")
    room.says("seeds is full")
    assert not room.node.host().get("domains")
    room.empty()
    room.node.until(f"/v1/vms/{made['vm']}", lambda found: found["state"] == "running")
    assert room.node.ask("POST", "/v1/vms", WEB, key="web") == made
    room.settled()


@disk("images", 8192)
def test_no_room_for_an_image(room: Room) -> None:
    folder = room.node.root / "mirror"
    mirror.write(folder, {"large": qcow2(room.node.root / "large.qcow2", 3, full=True)})
    pull = {"name": "large", "source": str(folder), "insecure": True}
    room.fill()
    status, refused = room.node.once("POST", "/v1/images/upload/more", (folder / "large.qcow2").read_bytes())
    assert (status, refused["code"]) == (502, "disk-full")
    made = room.node.ask("POST", "/v1/images/pull", pull)
    ended = room.node.until(f"/v1/operations/{made['operation']}", lambda found: found["state"] != "running")
    assert (ended["state"], ended["problem"]["code"]) == ("failed", "disk-full")
    room.says("images is full")
    room.empty()
    made = room.node.ask("POST", "/v1/images/pull", pull)
    room.node.until(f"/v1/images/{made['image']}", lambda found: found["state"] == "ready")
    room.settled()


def until_refused(node: Node, code: str) -> bool:
    """Ask for tokens until the disk has no room for one more. True: that one may be in the log. It is not, when the
    node's own words had filled the disk before."""
    for number in range(3000):
        status, answer = node.once("POST", "/v1/tokens", {"name": f"t{number}", "role": "viewer"})
        if status != 201:
            assert (status in (503, 504), answer["code"]) == (True, code), answer
            return bool(answer["family"] == "Unknown")
    raise AssertionError("the disk is never full")


@disk("raft", 2048, GIRGINOSVM_JOURNAL_SEGMENT_BYTES="16384")
def test_no_room_for_the_journal(room: Room) -> None:
    room.fill()
    until_refused(room.node, "journal-full")
    status, refused = room.node.once("POST", "/v1/vms", WEB, key="web")
    assert (status, refused["code"]) == (503, "journal-full")
    assert "nothing was changed" in refused["detail"]
    room.says("journal's disk does not take more")
    assert room.node.ask("GET", "/v1/vms")["items"] == []
    room.empty()
    made = room.node.ask("POST", "/v1/vms", WEB, key="web")
    room.node.until(f"/v1/vms/{made['vm']}", lambda found: found["state"] == "running")
    room.settled()


@disk("db", 4096)
def test_no_room_for_the_database(room: Room) -> None:
    room.fill()
    promised = until_refused(room.node, "halted")
    status, refused = room.node.once("POST", "/v1/vms", WEB, key="web")
    assert (status, refused["code"]) == (503, "halted")
    assert "full" in room.node.ask("GET", "/v1/health")["halted"]
    room.says("nothing is applied any more")
    before = len(room.node.ask("GET", "/v1/tokens?limit=1000")["items"])
    room.node.may_end = "raft ended with 70"  # it cannot apply what it has promised, and says so at each start
    room.node.kill("raft")
    room.node.wait(lambda: room.node.ends, "a start without room to end")
    room.says("raft process of this node does not answer")
    room.empty()
    made = room.node.ask("POST", "/v1/vms", WEB, key="web")
    room.node.until(f"/v1/vms/{made['vm']}", lambda found: found["state"] == "running")
    assert len(room.node.ask("GET", "/v1/tokens?limit=1000")["items"]) == before + promised
    room.settled()


def joins(room: Room, center: Node) -> tuple[int, Any]:
    token = center.ask("POST", "/v1/membership/tokens", {})["token"]
    asks = {"center": f"https://127.0.0.1:{center.port}", "token": token, "confirm": True}
    return room.node.once("POST", "/v1/membership/join", asks)


@pytest.fixture
def center(tmp_path: Path) -> Iterator[Node]:
    """Another cluster of one."""
    (tmp_path / "center").mkdir()
    names = {"GIRGINOSVM_NODE_NAME": "center", "GIRGINOSVM_RAFT_PORT": str(free_port())}
    with Node(tmp_path / "center", GIRGINOSVM_ADDRESS="127.0.0.1", **names) as node:
        yield node.ready()


PLACED = {"GIRGINOSVM_ADDRESS": "127.0.0.1", "GIRGINOSVM_NODE_NAME": "n2", "GIRGINOSVM_RAFT_PORT": "0"}


@disk("", 256 * 1024, **PLACED)
def test_no_room_to_join_is_said_before_the_cluster_is_asked(room: Room, center: Node) -> None:
    room.fill()
    status, said = joins(room, center)
    assert (status, said["code"]) == (502, "disk-full")
    assert [one["name"] for one in center.ask("GET", "/v1/membership")["members"]] == ["center"]


@disk("pki", 1024, **PLACED)
def test_a_node_whose_keys_are_a_file_system_of_their_own_is_not_let_in(room: Room, center: Node) -> None:
    """Its folder could not be moved away: it was let in, and never came."""
    status, said = joins(room, center)
    assert (status, said["code"]) == (502, "parts-apart")
    assert "pki is a file system of its own" in said["detail"]
    assert [one["name"] for one in center.ask("GET", "/v1/membership")["members"]] == ["center"]


@disk("", 256 * 1024, **{**PLACED, "GIRGINOSVM_RAFT_PORT": str(free_port())})
@pytest.mark.parametrize("pages", [0, 2])
def test_no_room_to_go_on_alone_is_said_before_anything_is_changed(room: Room, center: Node, pages: int) -> None:
    """With a few KiB left it was said to be done, and the raft process ended at each start until there was room."""
    assert joins(room, center)[0] == 202
    node = room.node
    node.until("/v1/membership", lambda found: found["voters"] == 2 and found["leader"])
    center.stop()
    node.until("/v1/membership", lambda found: not found["quorum"])
    room.fill(but_pages=pages)
    wish = {"without": ["center"], "proof": "I saw it burn this morning"}
    status, said = node.once("POST", "/v1/cluster/recover", wish)
    assert (status, said["code"]) == (502, "disk-full")
    assert "nothing was changed" in said["detail"]
    assert len(node.ask("GET", "/v1/membership")["members"]) == 2
    room.empty()
    assert node.once("POST", "/v1/cluster/recover", wish)[0] == 202
    node.until("/v1/membership", lambda found: len(found["members"]) == 1 and found["leader"])
