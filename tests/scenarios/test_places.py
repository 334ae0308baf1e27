"""Two nodes on fake hosts, as processes: a machine goes to the other one, its image follows it, and whoever is asked
shows what it says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.node import Node, qcow2
from tests.scenarios.test_join import Start, joined, start

__all__ = ["start"]

# A copy of an image, killed on its way; whatever is on the disk then, the next life ends it.
COPYING = ("agent/images.take:before", "agent/images.take:after")


def pair(start: Start) -> tuple[Node, Node]:
    """n1 with an image, n2, one cluster."""
    first, second = start("n1").ready(), start("n2").ready()
    joined(second, first, "n2")
    first.upload("tiny", qcow2(first.root / "tiny.qcow2"))
    for node in (first, second):
        node.until("/v1/nodes", lambda found: [one["state"] for one in found["items"]] == ["ready", "ready"])
    first.until("/v1/pools", lambda found: len(found["items"][0]["nodes"]) == 2)
    return first, second


def created(asked: Node, name: str, **fields: Any) -> Any:
    return asked.ask("POST", "/v1/vms", {"name": name, "image": "tiny", "memory_mb": 64, **fields}, key=name)


def test_a_machine_on_the_other_node_gets_its_image_and_is_heard_through_both(start: Start) -> None:
    first, second = pair(start)
    vm = created(first, "web", node="n2")["vm"]
    seen = first.until(f"/v1/vms/{vm}", lambda found: found["state"] == "running")
    assert (seen["node"], seen["placement"]["reasons"][0]["node"]) == ("n2", "n2")
    image = first.ask("GET", "/v1/images/tiny")
    assert [(one["node"], one["state"]) for one in image["copies"]] == [("n1", "ready"), ("n2", "ready")]
    for node in (first, second):
        assert (node.root / f"var/lib/girginosvm/images/{image['id']}.qcow2").stat().st_size == image["size_bytes"]
    log = second.root / f"var/lib/girginosvm/serial/{vm}.log"
    log.parent.mkdir(exist_ok=True)
    log.write_bytes(b"login: \n")
    for node in (first, second):
        assert node.read(f"/v1/vms/{vm}/serial") == (200, b"login: \n")
    assert not (first.root / f"var/lib/girginosvm/serial/{vm}.log").exists()
    second.pause()
    status, said = first.read(f"/v1/vms/{vm}/serial")
    assert (status, b"node-unreachable" in said) == (503, True)
    second.go_on()
    assert first.ask("DELETE", f"/v1/vms/{vm}", {"purge": True, "force": True})["vm"] == vm
    first.until("/v1/vms", lambda found: found["items"] == [])
    assert first.ask("DELETE", "/v1/images/tiny", {})["image"] == image["id"]
    for node in (first, second):
        file = node.root / f"var/lib/girginosvm/images/{image['id']}.qcow2"
        node.wait(lambda file=file: not file.exists(), "the file to go")


@pytest.mark.parametrize("point", COPYING)
def test_a_copy_killed_on_its_way_is_ended_by_the_next_life(start: Start, point: str) -> None:
    first, second = pair(start)
    (second.root / "fuse").write_text(point)
    vm = created(first, "web", node="n2")["vm"]
    second.wait(lambda: second.deaths, f"{point} to be reached")
    first.until(f"/v1/vms/{vm}", lambda found: found["state"] == "running")
    images = [path.name for path in (second.root / "var/lib/girginosvm/images").iterdir()]
    assert images == [f"{first.ask('GET', '/v1/images/tiny')['id']}.qcow2"]
