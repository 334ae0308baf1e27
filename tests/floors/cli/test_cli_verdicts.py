"""Verbs whose answer is a verdict end with it, so that a script need not read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from girginosvm.cli.trouble import trouble_of

MEMBER = {
    "name": "n1", "role": "leader", "reached": True, "address": "192.0.2.1:1995", "panel": True,
    "api": "192.0.2.1:1996", "lag": 0, "heard_ms": 0, "witness": False, "drained": False, "here": True, "id": "0190",
}  # fmt: skip
QUORUM = {"quorum": True, "says": "n1 leads", "leader": "n1", "members": [MEMBER], "by_hand": []}


def test_a_quorum_ends_with_0_and_shows_a_line_for_each_member(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("GET", "/v1/quorum", (200, QUORUM))
    said = say("quorum")
    assert (said.code, said.talk) == (0, "")
    heads = "NAME ROLE REACHED ADDRESS PANEL API LAG HEARD MS WITNESS DRAINED HERE ID"
    assert heads in [" ".join(line.split()) for line in said.out.splitlines()]


def test_whom_the_node_does_not_look_at_is_said_so_and_null_for_programs(agent: Any, say: Callable[..., Any]) -> None:
    other = {**MEMBER, "name": "n9", "role": "observer", "reached": None, "here": False}
    agent.on("GET", "/v1/quorum", (200, {**QUORUM, "members": [MEMBER, other]}))
    said = say("quorum")
    (row,) = (line for line in said.out.splitlines() if line.startswith("n9"))
    assert " ".join(row.split()).startswith("n9 observer not looked at 192.0.2.1:1995")
    assert '"reached": null' in say("quorum -f json").out


@pytest.mark.parametrize("form", ["table", "json", "yaml", "csv"])
def test_without_a_quorum_it_ends_with_7_in_every_format(agent: Any, say: Callable[..., Any], form: str) -> None:
    hand = {"command": "virsh list --all", "what": "the machines of this node"}
    agent.on("GET", "/v1/quorum", (200, {**QUORUM, "quorum": False, "by_hand": [hand]}))
    said = say(f"quorum -f {form}")
    assert (said.code, said.talk) == (7, "")
    assert "virsh list --all" in said.out


def test_when_no_agent_answers_the_quorum_ends_with_7_and_the_next_commands(
    say: Callable[..., Any], tmp_path: Path
) -> None:
    said = say(f"quorum --socket {tmp_path}/none.sock")
    assert (said.code, said.out) == (7, "")
    assert "no agent answers at" in said.talk
    assert "next: systemctl status girginosvm girginosvm-raft; machines run on meanwhile: virsh" in said.talk


@pytest.mark.parametrize(("worst", "code"), [("ok", 0), ("warn", 1), ("fail", 2), ("another", 2)])
def test_the_doctor_ends_with_the_worst_of_its_checks(
    agent: Any, say: Callable[..., Any], worst: str, code: int
) -> None:
    check = {"name": "raft", "state": worst, "says": "n1 leads", "next": "girginosvm quorum"}
    agent.on("GET", "/v1/doctor", (200, {"verdict": worst, "node": "n1", "checks": [check]}))
    said = say("doctor")
    assert (said.code, said.talk) == (code, "")
    lines = said.out.splitlines()
    assert lines[-2:] == [f"{worst}  raft  n1 leads", f"{' ' * len(worst)}        next: girginosvm quorum"]
    assert say("doctor -f json").code == code


def test_who_gets_no_fresh_read_is_told_to_look_at_the_quorum() -> None:
    said = trouble_of(503, {"code": "no-fresh-read", "family": "Busy", "detail": "not in time"})
    assert said.hint.startswith("girginosvm quorum")
    assert trouble_of(503, {"code": "starting", "family": "Busy"}).hint == "send it again in a moment"
