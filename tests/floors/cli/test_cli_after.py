"""A change of members is waited for until it is done, and says in a sentence what holds then."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from girginosvm.cli.after import settled, step
from girginosvm.cli.client import Client
from girginosvm.cli.wait import Teller

PLACE = "/v1/membership"
DRAINED = {"node": "h3", "machines": ["a", "b"]}


def seen(role: str = "voter", **more: Any) -> dict[str, Any]:
    rows = [
        {"id": "m1", "name": "h1", "drained": False, "role": "leader", "here": False},
        {"id": "m", "name": "h3", "drained": True, "role": role, "here": True},
    ]
    return {"cluster": "c1", "node": "h1", "leader": "h1", "quorum": True, "members": rows, **more}


def test_a_drained_host_may_be_switched_off_once_it_has_no_vote(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("POST", "/v1/membership/drain", (200, DRAINED))
    agent.on("GET", PLACE, (200, seen("leader")), (200, seen("voter")), (200, seen("observer")))
    said = say("membership drain --node h3")
    assert said.code == 0
    assert said.talk.splitlines() == [
        "h3 still has a vote: do not switch it off yet",
        "h3 neither leads nor votes any more: its host may be switched off, and these machines stay on it and stop "
        "with it: a, b",
    ]


def test_one_that_votes_on_is_not_said_to_be_ready(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("POST", "/v1/membership/drain", (200, DRAINED))
    agent.on("GET", PLACE, (200, seen("voter")))
    said = say("membership drain --node h3 --timeout 0 -f json")
    assert (said.code, json.loads(said.out)) == (11, DRAINED)
    assert "do not switch it off yet; it goes on: girginosvm membership status" in said.talk


def test_what_is_so_already_is_not_said_to_be_otherwise_first(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("POST", "/v1/membership/drain", (200, {"node": "h3", "machines": []}))
    agent.on("GET", PLACE, (200, seen("observer")))
    said = say("membership drain --node h3")
    assert (said.code, said.talk) == (0, "h3 neither leads nor votes any more: its host may be switched off\n")


def test_no_wait_asks_nothing_more(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("POST", "/v1/membership/drain", (200, DRAINED))
    assert say("membership drain --node h3 --no-wait").code == 0
    assert [asked.method for asked in agent.asked] == ["POST"]


def test_whoever_joins_waits_while_the_agent_begins_anew(agent: Any) -> None:
    away = (503, {"family": "Busy", "code": "raft-away", "detail": "wait"})
    new = seen(node="h3")
    # What it was until now may have the same id: a cluster that was recovered without it.
    old = {**new, "members": [{**new["members"][1], "id": "before"}]}
    agent.on("GET", PLACE, (200, old), away, (200, {**new, "quorum": False}), (200, new))
    answer = {"member": "m", "cluster": "c1", "nodes": 2}
    talk = io.StringIO()
    last = settled(Client(agent.socket_path), "membership join", answer, Teller(talk, False), pause=lambda _: None)
    assert last == (True, "h3 is a member of the cluster; h1 leads it")
    assert talk.getvalue() == "girginosvm begins anew on this node as a member; its machines run on\n"


def test_whoever_may_not_look_any_more_does_not_wait(agent: Any) -> None:
    agent.on("GET", PLACE, (401, {"family": "Unauthenticated", "code": "token-invalid", "detail": "no"}))
    answer = {"member": "m", "cluster": "c1", "nodes": 2}
    assert settled(Client(agent.socket_path), "membership join", answer, Teller(io.StringIO(), False)) is None


def test_a_rehearsal_is_not_waited_for(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("POST", "/v1/membership/join", (200, {"member": "m", "cluster": "c1", "nodes": 2}))
    assert say("membership join --center https://192.0.2.10:1997 --token ops-0123456789 --rehearse").code == 0
    assert len(agent.asked) == 1


def test_a_recovery_that_only_shows_begins_nothing() -> None:
    assert step("cluster recover", {"done": False, "gone": ["h2"]}, seen()) is None


@pytest.mark.parametrize(
    ("verb", "answer", "not_yet", "done", "says"),
    [
        ("membership leave", {"cluster": "c1", "archive": "/a"}, seen(), seen(cluster="c2"), "a cluster of one"),
        ("cluster recover", {"done": True, "gone": ["h2", "h3"]}, seen(quorum=False), seen(), "of h2, h3 goes with"),
        ("witness add", {"member": "m"}, seen(members=[]), seen(), "is a member of the cluster"),
    ],
)  # fmt: skip
def test_it_is_done_when_the_node_stands_there(
    verb: str, answer: dict[str, Any], not_yet: dict[str, Any], done: dict[str, Any], says: str
) -> None:
    for early in ({}, not_yet):
        now = step(verb, answer, early)
        assert now is not None
        assert not now.done
    last = step(verb, answer, done)
    assert last is not None
    assert last.done
    assert says in last.says
