"""Each process killed at every step of a create: nothing half-made, nothing lost, the next try works.

The steps are listed from the code: two points around every method of every port, and those written in the raft
process. One that is neither hit nor named as not on this path fails the test.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from girginosvm.hypervisor import ports
from girginosvm.hypervisor.points import points_of

REPO = Path(__file__).parents[2]
PORTS = {"domains": ports.Domains, "volumes": ports.Volumes, "images": ports.Images, "seeds": ports.Seeds,
         "bridges": ports.Bridges, "filter": ports.PacketFilter, "facts": ports.Facts}  # fmt: skip
# Methods that a create never calls, each with what does.
ELSEWHERE = {
    "domains.shutdown": "vm stop", "domains.power_off": "vm stop --force", "domains.reboot": "vm reboot",
    "domains.undefine": "vm destroy", "domains.adopt": "vm adopt", "volumes.remove": "vm destroy --purge",
    "volumes.sweep": "the first look at a pool", "volumes.facts": "the storage round", "seeds.remove": "vm destroy",
    "bridges.ensure": "adding a network", "bridges.remove": "removing a network", "images.inspect": "image upload",
    "images.ensure": "image pull", "images.remove": "image rm", "facts.observe": "the first round of a process",
}  # fmt: skip


def raft_points() -> list[str]:
    found: list[str] = []
    for file in sorted((REPO / "girginosvm/raft").glob("*.py")):
        found += re.findall(r'reach\("([^"]+)"\)', file.read_text(encoding="utf-8"))
    return [f"raft/{name}" for name in found]


AGENT_POINTS = [f"agent/{point}" for name, port in PORTS.items() for point in points_of(port, name)]
ON_PATH = [p for p in AGENT_POINTS if p.removeprefix("agent/").partition(":")[0] not in ELSEWHERE] + raft_points()


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(20)
        self.sock.connect(self._path)


def upload(root: Path, image: Path) -> None:
    """``image`` as the image ``tiny``."""
    link = _Unix(root / "run/girginosvm/agent.sock")
    link.request("POST", "/v1/images/upload/tiny", image.read_bytes(), {"Content-Type": "application/octet-stream"})
    assert link.getresponse().status == 201


class Node:
    """A node on a fake host, under its supervisor."""

    def __init__(self, root: Path, **environment: str) -> None:
        self.root = root
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        command = [
            sys.executable,
            "-m",
            "girginosvm",
            "agent",
            "--dev",
            "--fake-host",
            "--root",
            str(root),
            "--port",
            port,
        ]
        with open(root / "log", "ab") as log:
            self._process = subprocess.Popen(command, cwd=REPO, env={**os.environ, **environment}, stderr=log)

    def ask(self, method: str, path: str, body: Any = None, key: str = "") -> Any:
        """The answer; asked again with the same key while nobody answers, for up to 40 s."""
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        end = time.monotonic() + 40
        while True:
            try:
                link = _Unix(self.root / "run/girginosvm/agent.sock")
                link.request(method, path, json.dumps(body) if body is not None else None, headers)
                answer = link.getresponse()
                data = json.loads(answer.read() or b"null")
                if answer.status < 500:
                    return data
                trouble: object = data
            except (OSError, http.client.HTTPException) as fault:
                trouble = fault
            assert time.monotonic() < end, f"{method} {path}: {trouble}; {(self.root / 'log').read_text()[-2000:]}"
            time.sleep(0.1)

    def until(self, path: str, holds: Any) -> Any:
        end = time.monotonic() + 40
        while not holds(found := self.ask("GET", path)):
            assert time.monotonic() < end, f"{path}: {found}; {(self.root / 'log').read_text()[-2000:]}"
            time.sleep(0.05)
        return found

    def host(self) -> dict[str, Any]:
        return dict(json.loads((self.root / "var/lib/girginosvm/fake-host.json").read_text()))

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A stopped node with an image: what every crash starts from."""
    root = tmp_path_factory.mktemp("furnished")
    image = root / "image.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "64M"], check=True)
    node = Node(root)
    try:
        node.until("/v1/pools", lambda found: found["items"] and found["items"][0]["capacity_bytes"])
        upload(root, image)
    finally:
        node.stop()
    shutil.rmtree(root / "run")
    yield root
    shutil.rmtree(root)


def test_every_method_of_every_port_is_named_or_on_the_path() -> None:
    methods = {point.removeprefix("agent/").partition(":")[0] for point in AGENT_POINTS}
    assert set(ELSEWHERE) <= methods
    assert len(raft_points()) >= 6
    assert len(ON_PATH) > 20


@pytest.mark.host
@pytest.mark.parametrize("point", ON_PATH)
def test_a_create_survives_a_kill(point: str, furnished: Path, tmp_path: Path) -> None:
    root, fuse = tmp_path / "node", tmp_path / "fuse"
    shutil.copytree(furnished, root)
    (root / "log").unlink()
    node = Node(root, GIRGINOSVM_POINTS_KILL=point, GIRGINOSVM_POINTS_FUSE=str(fuse))
    try:
        node.until("/v1/nodes", lambda found: found["items"])
        fuse.touch()
        body = {"name": "web01", "image": "tiny", "memory_mb": 256}
        answer = node.ask("POST", "/v1/vms", body, key="once")
        assert "vm" in answer, answer
        node.until(f"/v1/vms/{answer['vm']}", lambda found: found["state"] == "running")
        assert not fuse.exists(), f"{point} was never reached"
        assert node.ask("POST", "/v1/vms", body, key="once") == answer
        assert [len(node.ask("GET", path)["items"]) for path in ("/v1/vms", "/v1/leases")] == [1, 1]
        host = node.host()
        assert [len(host[part]) for part in ("domains", "volumes")] == [1, 1]
        assert len(host["guards"]["in_force"]) == 1
        gone = node.ask("DELETE", f"/v1/vms/{answer['vm']}", {"purge": True, "force": True}, key="gone")
        assert "operation" in gone, gone
        node.until("/v1/vms", lambda found: not found["items"])
        host = node.host()
        assert [len(host[part]) for part in ("domains", "volumes")] == [0, 0]
        assert not list((root / "var/lib/girginosvm/seeds").iterdir())
        assert not node.ask("GET", "/v1/leases")["items"]
    finally:
        node.stop()
