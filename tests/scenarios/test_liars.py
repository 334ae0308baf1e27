"""One member lies: its certificate and key are in somebody else's hands. It does not vote, so it moves nobody."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from girginosvm.raft.messages import Forward, Introduce, Known
from tests.scenarios.liar import Liar, command
from tests.scenarios.test_join import Start, joined, membership, start
from tests.scenarios.test_voters import cluster, role, settled, wrote

__all__ = ["start"]
LIFE = 4711
STEP = {"room": "auth", "number": 99, "checksum": "00"}


class Stage:
    """n1, n2 and n3 vote; n4 follows, is stopped, and its keys are the liar's."""

    def __init__(self, start: Start) -> None:
        self.nodes = cluster(start, 3)
        liar = start("n4").ready()
        joined(liar, self.nodes["n1"], "n4")
        settled(liar, 3)
        assert role(self.nodes["n1"], "n4") == "observer"
        liar.stop()
        self.root = liar.root
        self.members = {one["name"]: one for one in membership(self.nodes["n1"])["members"]}

    def lead(self) -> tuple[str, int]:
        """Who leads in which term."""
        found = self.nodes["n1"].until("/v1/membership", lambda found: found["leader"])
        return found["leader"], found["term"]

    def line(self, to: str) -> Liar:
        return Liar(self.root, int(self.members[to]["address"].rpartition(":")[2]))


@pytest.fixture
def stage(start: Start) -> Stage:
    return Stage(start)


def poisons(node: str) -> dict[str, bytes]:
    """What would end the applying of every node, for good."""
    good: dict[str, Any] = msgspec.msgpack.decode(command("DrainMember", {"node": node}))
    return {
        "an unknown command": command("NoSuchThing", {}),
        "an unknown version": command("DrainMember", {"node": node}, version=9),
        "an unknown field": command("DrainMember", {"node": node, "note": 1}),
        "an unknown part of the request": msgspec.msgpack.encode({**good, "note": 1}),
        "an unknown migration": command("MigrateSchema", {"steps": [STEP]}),
    }


def test_what_nobody_could_apply_does_not_enter_the_log(stage: Stage) -> None:
    """One such command ended every node's applying, and no restart and no recovery brought it back."""
    for number, (what, said) in enumerate(poisons(stage.members["n1"]["id"]).items()):
        leader, term = stage.lead()
        with stage.line(leader) as line:
            line.say(term, Forward(term, LIFE, LIFE << 32 | number + 1, (said,)))
            line.ends()
        wrote(stage.nodes["n2"], f"after-{number}")
        for node in stage.nodes.values():
            assert not node.ask("GET", "/v1/health")["halted"], what


def test_one_that_introduces_itself_is_out_all_the_same_once_it_is_removed(stage: Stage) -> None:
    """Its lines stayed, and it read the new CA and the new key, which are there because of it."""
    itself = Known(stage.members["n4"]["id"], "127.0.0.1:1")
    others = tuple(Known(f"nobody-{number}", "127.0.0.1:1") for number in range(900))
    lines = [stage.line(name) for name in stage.nodes]
    _, term = stage.lead()
    for line in lines:
        assert line.hear() is not None
        line.say(term, Introduce(2**53, (itself, *others)))
    wrote(stage.nodes["n1"], "meanwhile")
    stage.nodes["n1"].ask("DELETE", f"/v1/membership/members/{itself.id}", {})
    for line in lines:
        line.ends()


def test_a_node_that_is_let_in_with_an_address_that_is_none_ends_nobody(stage: Stage) -> None:
    """Whoever had a token to join with could stop the whole cluster for good."""
    known = hashlib.sha256(b"token").hexdigest()
    leader, term = stage.lead()
    with stage.line(leader) as line:
        assert line.hear() is not None
        newcomer = {"member": "01a00000-0000-7000-8000-00000000beef", "name": "nobody", "api": "127.0.0.1:1"}
        said = (
            command("RecordJoinToken", {"token_hash": known}),
            command("AdmitMember", {"token_hash": known, "address": "999.1.1.1:80", **newcomer}),
        )
        line.say(term, Forward(term, LIFE, LIFE << 32 | 1, said))
        stage.nodes["n1"].until("/v1/membership/tokens", lambda found: len(found["items"]) > 3)
    wrote(stage.nodes["n2"], "after")
    assert "nobody" not in [one["name"] for one in membership(stage.nodes["n2"])["members"]]
    for node in stage.nodes.values():
        assert not node.ask("GET", "/v1/health")["halted"]
