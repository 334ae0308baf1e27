"""A command that waits for its operation: what it says meanwhile, and how it ends."""

import io
import json
import signal
from collections.abc import Callable
from typing import Any

import pytest
from floors.cli.spoken import spoken

from girginosvm.cli.client import Client
from girginosvm.cli.trouble import StillRunning
from girginosvm.cli.wait import Teller, until_done


def test_a_command_waits_for_its_operation(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("POST", "/v1/vms/web01/start", (202, {"vm": "0190", "operation": "op1", "node": "01a2"}))
    running = {"id": "op1", "kind": "vm.start", "subject_name": "web01", "node": "n1", "state": "running"}
    running["step"] = "starting"
    agent.on("GET", "/v1/operations/op1", (200, running), (200, {**running, "state": "done", "step": "ready"}))
    said = say("vm start web01 -f json")
    shown = {"name": "web01", "vm": "0190", "operation": "op1", "node": "n1", "state": "done"}
    assert json.loads(said.out) == shown
    assert said.talk.splitlines() == ["vm.start web01 starting", "vm.start web01 ready"]
    assert len(agent.asked[0].headers["Idempotency-Key"]) == 36


def test_no_wait_does_not(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("POST", "/v1/vms/web01/start", (202, {"vm": "0190", "operation": "op1", "node": "01a2"}))
    running = {"id": "op1", "subject_name": "web01", "node": "n1", "state": "running"}
    agent.on("GET", "/v1/operations/op1", (200, running))
    said = say("vm start web01 --no-wait -f json")
    shown = {"name": "web01", "vm": "0190", "operation": "op1", "node": "n1", "state": "running"}
    assert json.loads(said.out) == shown
    assert [asked.method for asked in agent.asked] == ["POST", "GET"]


def test_what_was_accepted_is_shown_even_when_nobody_can_name_it(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("POST", "/v1/vms/web01/start", (202, {"vm": "0190", "operation": "op1"}))
    agent.on("GET", "/v1/operations/op1", (403, {"code": "permission-missing", "detail": "no"}))
    said = say("vm start web01 --no-wait -f json")
    assert (said.code, json.loads(said.out)) == (0, {"vm": "0190", "operation": "op1"})


def test_a_timeout_is_exit_11_and_names_the_operation(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("POST", "/v1/vms/web01/start", (202, {"vm": "0190", "operation": "op1"}))
    agent.on("GET", "/v1/operations/op1", (200, {"id": "op1", "state": "running"}))
    said = say("vm start web01 --timeout 0")
    assert said.code == 11
    assert "operation show op1" in said.talk


def test_a_failed_operation_carries_the_hosts_words(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("POST", "/v1/vms/web01/start", (202, {"vm": "0190", "operation": "op1"}))
    problem = {"code": "domain-start-failed", "detail": "cannot open /dev/kvm"}
    agent.on("GET", "/v1/operations/op1", (200, {"id": "op1", "state": "failed", "problem": problem}))
    said = say("vm start web01")
    assert said.code == 9
    assert "cannot open /dev/kvm (domain-start-failed)" in said.talk
    assert said.out == ""


def test_who_waits_for_a_guest_that_does_not_stop_learns_once_how_it_is_forced(agent: Any) -> None:
    running = {"id": "op1", "kind": "vm.stop", "subject_name": "web01", "state": "running", "step": "it is asked"}
    agent.on("GET", "/v1/operations/op1", *[(200, running)] * 5, (200, {**running, "state": "done"}))
    talk, times = io.StringIO(), iter(range(0, 600, 6))
    until_done(Client(agent.socket_path), "op1", Teller(talk, False), now=lambda: next(times), pause=lambda _: None)
    assert talk.getvalue().splitlines() == [
        "vm.stop web01 it is asked", "the guest has not done it yet; girginosvm vm stop web01 --force cuts its power",
    ]  # fmt: skip


def test_waiting_survives_an_agent_that_restarts(agent: Any) -> None:
    away = (503, {"family": "Busy", "code": "starting", "detail": "wait"})
    agent.on("GET", "/v1/operations/op1", away, away, (200, {"state": "done"}))
    done = until_done(Client(agent.socket_path), "op1", Teller(io.StringIO(), False), pause=lambda _: None)
    assert done["state"] == "done"


def test_waiting_ends_at_its_timeout_by_the_clock(agent: Any) -> None:
    agent.on("GET", "/v1/operations/op1", (200, {"state": "running"}))
    clock = [0.0]

    def pause(seconds: float) -> None:
        clock[0] += seconds

    with pytest.raises(StillRunning):
        until_done(
            Client(agent.socket_path), "op1", Teller(io.StringIO(), False),
            timeout_s=5.0, now=lambda: clock[0], pause=pause,
        )  # fmt: skip
    assert clock[0] == 5.0


def test_nobody_waits_for_a_node_that_is_not_there(agent: Any) -> None:
    agent.on("GET", "/v1/operations/op1", (200, {"state": "running", "step": "building", "node": "h1"}))
    agent.on(
        "GET", "/v1/nodes/h1", (200, {"state": "ready"}), (200, {"state": "silent", "seen_at": "2026-11-26T10:56:04Z"})
    )
    clock = [0.0]

    def pause(seconds: float) -> None:
        clock[0] += seconds

    with pytest.raises(StillRunning) as ended:
        until_done(
            Client(agent.socket_path), "op1", Teller(io.StringIO(), False), now=lambda: clock[0], pause=pause
        )  # fmt: skip
    assert 10 <= clock[0] < 16
    assert (
        ended.value.why
        == "node h1 is not reached (it last reported at 2026-11-26T10:56:04Z), and ends this when it is back"
    )


def test_ctrl_c_while_waiting_is_130_and_says_that_it_goes_on(agent: Any) -> None:
    agent.on("POST", "/v1/vms/web01/start", (202, {"vm": "0190", "operation": "op1"}))
    agent.on("GET", "/v1/operations/op1", (200, {"id": "op1", "state": "running", "step": "starting"}))
    with spoken(agent, "vm", "start", "web01") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"starting\n"
        process.send_signal(signal.SIGINT)
        assert b"operation show op1" in process.stderr.read()
        assert process.wait(10) == 130
