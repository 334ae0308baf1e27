"""What the tests of the last resort do and look at: most voters are gone for good, and a survivor is told so."""

from __future__ import annotations

from typing import Any

from tests.scenarios.deeds import running
from tests.scenarios.node import Node, UnixLink, qcow2
from tests.scenarios.test_join import Start, joined, membership
from tests.scenarios.test_voters import cluster as voting
from tests.scenarios.test_voters import settled

PROOF = "I saw it burn this morning; ticket 4711"


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
    """Once its raft process is there to ask: it may just have died."""
    answers = [recover(node, *gone, proof=PROOF)]

    def taken() -> bool:
        if answers[-1][1].get("code") == "raft-away":
            answers.append(recover(node, *gone, proof=PROOF))
        return answers[-1][1].get("code") != "raft-away"

    node.wait(taken, "the raft process to be asked")
    status, said = answers[-1]
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
