"""Each process killed at every step of every deed: nothing half-made, nothing lost, the next try works, and no running
machine is touched.

The steps are listed from the code: two points around every method of every port, and every ``reach`` that is written
elsewhere. One that no deed is killed at fails the test.
"""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from girginosvm.hypervisor import ports
from girginosvm.hypervisor.points import points_of
from tests.floors.raft import deaths
from tests.scenarios import audit
from tests.scenarios.deeds import DEEDS, FIRST_START, REAL_VOLUME, Deed, running, wake
from tests.scenarios.node import REPO, Node, qcow2
from tests.scenarios.test_join import JOINING
from tests.scenarios.test_lost import LOSING
from tests.scenarios.test_places import COPYING
from tests.scenarios.test_recover import RECOVERING

# Segments and batches so small that a test's few entries fill many.
SMALL = {"GIRGINOSVM_JOURNAL_SEGMENT_BYTES": "16384", "GIRGINOSVM_JOURNAL_COMPACT_ENTRIES": "20"}


def written_points() -> set[str]:
    """Every kill point that the code names: ``reach("...")``, and what ``durable.replace`` makes durable."""
    found = set()
    for file in (REPO / "girginosvm").rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or file.name in ("points.py", "durable.py"):
                continue
            if ast.unparse(call.func) in ("reach", "points.reach"):
                found |= spelled(call.args[0])
            elif ast.unparse(call.func) == "durable.replace":
                (point,) = (ast.literal_eval(word.value) for word in call.keywords if word.arg == "point")
                found |= {f"{point}:before", f"{point}:after"}
    return found


def spelled(name: ast.expr) -> set[str]:
    """A name that is put together counts with each of its values."""
    if isinstance(name, ast.Constant):
        return {str(name.value)}
    assert isinstance(name, ast.JoinedStr)
    values = {"path.name": ("ca.key", "ca.crt", "server.pem", "authority.pem"), "part": ("pki", "db", "raft")}
    (inner,) = [ast.unparse(part.value) for part in name.values if isinstance(part, ast.FormattedValue)]
    return {ast.unparse(name)[2:-1].replace("{" + inner + "}", value) for value in values[inner]}


def port_points() -> set[str]:
    kinds = get_type_hints(ports.Host)
    return {point for name, port in kinds.items() for point in points_of(port, name)}


def test_every_point_of_the_code_is_killed_in_some_deed() -> None:
    here = [point for deed in (*DEEDS, FIRST_START) for point in deed.path()]
    killed = {point.partition("/")[2] for point in (*here, *REAL_VOLUME, *JOINING, *COPYING, *RECOVERING, *LOSING)}
    assert len(written_points()) >= 30
    assert written_points() | port_points() == killed | set(deaths.ALL)


class Ground:
    """One node for many deaths; a new one after a test that failed, so that a fault is told once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._node: Node | None = None
        self._lives = 0
        self.sound = False
        self.bystander = ""

    def node(self) -> Node:
        if self._node is None or not self.sound:
            self.close()
            self._lives += 1
            root = self._root / str(self._lives)
            root.mkdir()
            self._node = Node(root, GIRGINOSVM_POINTS_FUSE=str(root / "fuse"), **SMALL).ready()
            self._node.upload("tiny", qcow2(root / "tiny.qcow2"))
            self.bystander = running(self._node)
        self.sound = False
        return self._node

    def close(self) -> None:
        if self._node is not None:
            self._node.remove()


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    one = Ground(tmp_path_factory.mktemp("crash"))
    yield one
    one.close()


def settled(node: Node) -> None:
    """Both sides agree, and nothing is left."""
    wrong: list[str] = []

    def agree() -> bool:
        wrong[:] = audit.faults(node.root)
        return not wrong

    try:
        node.wait(agree, "both sides to agree")
    except AssertionError as fault:
        raise AssertionError(f"{wrong}; {fault}") from fault


def burnt(node: Node, deaths: int, point: str) -> None:
    """A process more than ``deaths`` died, and both sides agree again."""
    node.wait(lambda: len(node.deaths) > deaths, f"{point} to be reached")
    settled(node)


def untouched(node: Node, machine: str) -> list[Any]:
    """All that ever happened to a machine."""
    return [one for one in node.host()["happened"]["events"] if one[1] == machine]


@pytest.mark.host
@pytest.mark.parametrize(("deed", "point"), [(deed, point) for deed in DEEDS for point in deed.path()],
                         ids=lambda part: part.name if isinstance(part, Deed) else part)  # fmt: skip
def test_a_deed_survives_a_kill(deed: Deed, point: str, ground: Ground) -> None:
    node = ground.node()
    made = deed.before(node)
    settled(node)
    before, deaths = untouched(node, ground.bystander), len(node.deaths)
    fuse = node.root / "fuse"
    key = f"{deed.name}-{point}".replace(" ", "-")
    fuse.with_suffix(".new").write_text(point)
    fuse.with_suffix(".new").rename(fuse)
    answer = deed.act(node, key, made)
    assert "code" not in answer, answer
    burnt(node, deaths + (deed.act is wake), point)
    if deed.act is not wake:
        assert deed.act(node, key, made) == answer
    deed.after(node, answer)
    settled(node)
    assert untouched(node, ground.bystander) == before
    ground.sound = True


@pytest.mark.host
@pytest.mark.parametrize("point", FIRST_START.path())
def test_a_first_start_survives_a_kill(point: str, tmp_path: Path) -> None:
    fuse = tmp_path / "fuse"
    fuse.write_text(point)
    node = Node(tmp_path, GIRGINOSVM_POINTS_FUSE=str(fuse))
    try:
        node.ready()
        settled(node)
        burnt(node, 0, point)
        once = (tmp_path / audit.HOME / "pki/first-password").read_text().strip()
        session = node.ask("POST", "/v1/auth/login", {"email": "admin@local", "password": once})
        assert session["must_change_password"]
    finally:
        node.remove()


BUILD = """
import asyncio, sys
from girginosvm.core.host import VolumeSpec
from girginosvm.core.points import name_process
from girginosvm.hypervisor.storage.directory import DirectoryVolumes

async def build():
    volumes = DirectoryVolumes()
    await volumes.sweep(sys.argv[1])
    await volumes.ensure(VolumeSpec(path=sys.argv[1] + "/a.qcow2", format="qcow2", size_bytes=1 << 26))

name_process("agent")
asyncio.run(build())
"""


@pytest.mark.host
@pytest.mark.parametrize("point", REAL_VOLUME)
def test_a_real_volume_is_whole_or_not_there_after_a_kill(point: str, tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    pool.mkdir()
    for kill, code in ((point, -signal.SIGKILL), ("", 0)):
        environment = {**os.environ, "GIRGINOSVM_POINTS_KILL": kill}
        done = subprocess.run([sys.executable, "-c", BUILD, str(pool)], env=environment, cwd=REPO, check=False)
        assert done.returncode == code
        if (pool / "a.qcow2").exists():
            subprocess.run(["qemu-img", "check", "-q", pool / "a.qcow2"], check=True)
    assert [file.name for file in pool.iterdir()] == ["a.qcow2"]
