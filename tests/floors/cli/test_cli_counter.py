"""Whole command lines against an agent."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from floors.cli.conftest import Terminal
from floors.cli.spoken import spoken

from girginosvm.cli import complete, render
from girginosvm.cli.catalogue import VERBS
from girginosvm.cli.client import Client
from girginosvm.cli.trouble import Trouble

DESTROYING = [verb for verb in VERBS if verb.get("destroys")]
VM = {"id": "0190", "name": "web01", "state": "running", "node": "n1", "vcpu": 4, "memory_mb": 8192, "disk_gb": 80}
LIST = "/v1/vms?limit=500"


def test_a_list_is_a_table_on_stdout(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("GET", LIST, (200, {"items": [VM], "next": "", "applied_index": 7}))
    said = say("vm list")
    assert (said.code, said.talk) == (0, "")
    assert said.out.splitlines()[0].split() == ["NAME", "STATE", "NODE", "VCPU", "MEMORY", "DISK", "ID"]
    assert "8 GiB" in said.out.splitlines()[1]


def test_a_list_follows_its_pages(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("GET", LIST, (200, {"items": [VM], "next": "c1"}))
    agent.on("GET", f"{LIST}&cursor=c1", (200, {"items": [{**VM, "name": "web02"}], "next": ""}))
    assert [row["name"] for row in json.loads(say("vm list -f json").out)] == ["web01", "web02"]


def test_a_token_to_join_with_is_the_requests_and_not_the_callers(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("POST", "/v1/membership/join", (202, {"cluster": "c", "nodes": 1, "brings": "", "conflicts": []}))
    said = say("membership join --center https://192.0.2.10:1997 --token ops-0123456789 --no-wait")
    assert (said.code, said.talk) == (0, "")
    (asked,) = agent.asked
    assert asked.json == {"center": "https://192.0.2.10:1997", "token": "ops-0123456789"}
    assert "Authorization" not in asked.headers


def test_one_page_tells_how_to_go_on(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("GET", "/v1/vms?limit=1", (200, {"items": [VM], "next": "c1"}))
    said = say("vm list --limit 1")
    assert "--cursor c1" in said.talk
    assert "--cursor" not in said.out
    together = spoken(agent, "vm", "list", "--limit", "1", together=True).communicate(timeout=60)[0].decode()
    assert together.splitlines()[-1].startswith("there is more: --cursor c1")


@pytest.mark.parametrize(
    ("status", "family", "code"),
    [(422, "Invalid", 2), (401, "Unauthenticated", 3), (404, "Missing", 4), (409, "InUse", 5), (403, "NotLicensed", 6),
     (503, "NoQuorum", 7), (502, "HostFault", 9), (409, "Unsafe", 10), (500, "Bug", 70)],
)  # fmt: skip
def test_the_exit_code_is_the_familys(agent: Any, say: Callable[..., Any], status: int, family: str, code: int) -> None:
    body = {
        "type": "/problems/some-code",
        "family": family,
        "detail": "so it is",
        "faults": [{"pointer": "/a", "detail": "b"}],
    }
    agent.on("GET", "/v1/vms/web01", (status, body))
    said = say("vm show web01")
    assert (said.code, said.out) == (code, "")
    assert said.talk.splitlines()[:2] == ["girginosvm: so it is (some-code)", "  /a: b"]


def test_a_broken_connection_is_sent_again_with_the_same_key(agent: Any) -> None:
    agent.on("POST", "/v1/vms", None, (201, {"vm": "0190"}))
    pauses: list[float] = []
    client = Client(agent.socket_path, pause=pauses.append)
    assert client.send("POST", "/v1/vms", {"name": "a"}, "k1").value == {"vm": "0190"}
    assert [asked.headers["Idempotency-Key"] for asked in agent.asked] == ["k1", "k1"]
    assert pauses == [0.5]


def test_an_outcome_that_stays_unknown_is_exit_8_with_the_key(agent: Any) -> None:
    agent.on("POST", "/v1/vms", (504, {"family": "Unknown", "code": "outcome-unknown", "detail": "no answer"}))
    with pytest.raises(Trouble) as caught:
        Client(agent.socket_path, pause=lambda _: None).send("POST", "/v1/vms", {}, "k1")
    assert caught.value.exit_code == 8
    assert len(agent.asked) == 4


def test_what_is_known_again_by_no_key_is_sent_once_and_offers_none(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("POST", "/v1/membership/leave", (504, {"family": "Unknown", "code": "no-answer", "detail": "no answer"}))
    said = say("membership leave --confirm")
    assert (said.code, len(agent.asked)) == (8, 1)
    assert "Idempotency-Key" not in agent.asked[0].headers
    assert "look at what is there" in said.talk
    assert say("membership leave --confirm --key k1").code == 2
    assert len(agent.asked) == 1


def test_an_upload_goes_under_its_key(agent: Any, say: Callable[..., Any], tmp_path: Any) -> None:
    (tmp_path / "f").write_bytes(b"image")
    agent.on("POST", "/v1/images/upload/tiny", (201, {"image": "i1"}))
    assert say(f"image upload tiny --file {tmp_path}/f --key k1 --why books").code == 0
    assert (agent.asked[0].headers["Idempotency-Key"], agent.asked[0].headers["X-Why"]) == ("k1", "books")


def test_an_agent_that_is_away_is_exit_7_with_the_next_command(say: Callable[..., Any], tmp_path: Any) -> None:
    said = say(f"vm list --socket {tmp_path}/none.sock")
    assert said.code == 7
    assert "systemctl status girginosvm" in said.talk
    assert "--root DIR" in said.talk


def test_a_token_never_leaves_without_tls(say: Callable[..., Any]) -> None:
    for host in ("192.0.2.1", "127.0.0.1", "localhost"):  # no node listens in clear, not on this machine either
        said = say(f"vm list --url http://{host}:1996 --token t")
        assert (said.code, "url-not-encrypted" in said.talk) == (10, True)
        assert f"use https: --url https://{host}:1996" in said.talk


def test_a_dry_run_only_reads(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("GET", "/v1/vms/web01", (200, VM))
    said = say("vm destroy web01 --purge --dry-run")
    assert said.code == 0
    assert "web01" in said.out
    assert said.talk.startswith("dry run: girginosvm vm destroy web01 --purge: ")
    assert "nothing was changed" in said.talk
    assert [asked.method for asked in agent.asked] == ["GET"]


def test_a_person_is_shown_what_would_go_before_the_question(
    agent: Any, say: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = {"name": "n3", "vote": "it votes: 2 of 3 voters are left", "refused": ""}
    agent.on("GET", "/v1/membership/members/n3/parting?lost=true", (200, lost))
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    said = say("membership remove n3 --lost", terminal=True)
    assert (said.code, said.out) == (5, "")
    shown, _, asked = said.talk.partition("Remove a node")
    assert "2 of 3 voters are left" in shown
    assert shown.endswith("\n\n")
    assert "girginosvm membership remove n3 --lost. Go on? [y/N] " in asked
    assert [asked.method for asked in agent.asked] == ["GET"]


def test_a_question_names_what_it_is_about_though_it_is_an_option(
    agent: Any, say: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.on("GET", "/v1/centers", (200, {"items": [{"name": "h2", "state": "serving"}]}))
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    agent.on("POST", "/v1/center/demote", (200, {"node": "h2"}))
    said = say("center demote --node h2", terminal=True)
    assert (said.code, "center demote --node h2. Go on? [y/N] " in said.talk) == (0, True)
    assert "serving" in said.talk


def test_in_a_script_the_machine_that_is_named_is_meant(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("DELETE", "/v1/vms/web01", (200, {"vm": "0190"}))
    assert say("vm destroy web01 --purge").code == 0
    assert agent.asked[0].json == {"purge": True}


def test_whoever_destroys_a_machine_learns_that_its_disks_stay(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("DELETE", "/v1/vms/web01", (200, {"vm": "0190"}))
    assert "its disks stay: girginosvm storage disk list" in say("vm destroy web01").talk
    assert "stay" not in say("vm destroy web01 --purge").talk


def test_a_person_reads_the_name_that_was_asked_and_a_program_the_id(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("DELETE", "/v1/nodes/h3/maintenance", (200, {"node": "01a2"}))
    assert say("node maintenance off h3").out.split() == ["NODE", "h3"]
    assert json.loads(say("node maintenance off h3 -f json").out) == {"node": "01a2"}


@pytest.mark.parametrize("verb", DESTROYING, ids=lambda verb: verb["cli"])
def test_what_takes_more_along_than_it_names_is_confirmed_in_a_script(
    agent: Any, say: Callable[..., Any], verb: dict[str, Any]
) -> None:
    words = [*verb["cli"].split(), *(["x"] * len(verb["positionals"]))]
    path = verb["path"].replace("{" + "".join(verb["positionals"]) + "}", "x")
    agent.on(verb["method"], path, (200, {}))
    said = say(words)
    if verb.get("foresees"):
        assert (said.code, agent.asked) == (10, [])
        assert "confirm-missing" in said.talk
        assert "--yes" in said.talk
    else:
        assert said.code == 0
    for yes in ("--yes", "--confirm"):
        agent.asked.clear()
        assert say([*words, yes]).code == 0
        (asked,) = agent.asked
        assert (asked.method, asked.path) == (verb["method"], path)
        own = any(field["name"] == "confirm" for field in verb["fields"])
        assert (asked.json or {}).get("confirm", False) == own


@pytest.mark.parametrize("verb", DESTROYING, ids=lambda verb: verb["cli"])
def test_every_verb_that_ends_something_shows_what_would_go(
    agent: Any, say: Callable[..., Any], verb: dict[str, Any]
) -> None:
    shown = {"name": "what would go"}
    for path in ("/v1/vms/x", "/v1/images/x", "/v1/disks?filter=id%3Dx", "/v1/membership/members/x/parting",
                 "/v1/membership/leave", "/v1/centers", "/v1/retention"):  # fmt: skip
        agent.on("GET", path, (200, {"items": [shown]} if "disks" in path or "centers" in path else shown))
    said = say([*verb["cli"].split(), *(["x"] * len(verb["positionals"])), "--dry-run"])
    assert said.code == 0
    assert "what would go" in said.out
    assert [asked.method for asked in agent.asked] == ["GET"]


def test_what_is_given_up_is_foreseen_with_the_words_that_would_give_it_up(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("GET", "/v1/membership/members/n3/parting?lost=true", (200, {"name": "n3", "refused": ""}))
    said = say("membership remove n3 --lost --dry-run")
    assert (said.code, "n3" in said.out) == (0, True)
    assert said.talk.startswith("dry run: girginosvm membership remove n3 --lost: ")


def test_what_a_server_says_cannot_drive_the_terminal(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("GET", LIST, (200, {"items": [{**VM, "name": "a\x1b[2Jb\u202ec"}], "next": ""}))
    for form in ("table", "json", "yaml", "csv"):
        out = say(f"vm list -f {form}", terminal=True).out
        assert "\x1b[2J" not in out
        assert "\u202e" not in out


def test_a_problem_cannot_drive_the_terminal_either(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("GET", "/v1/vms/web01", (404, {"code": "vm-missing", "detail": "no \x1b]0;x\x07"}))
    assert "\x1b" not in say("vm show web01").talk


def test_the_serial_log_is_shown_line_by_line_and_harmless(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("GET", "/v1/vms/web01/serial?follow=true", b"boot\r\n\x1b[2Jlogin:\tx\n")
    assert say("vm serial web01 --follow", terminal=True).out == "boot\n\\x1b[2Jlogin:\tx\n"
    assert say("vm serial web01 --follow").out == "boot\r\n\x1b[2Jlogin:\tx\n"


def test_options_may_stand_before_the_verb(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("GET", "/v1/vms/web01", (200, VM))
    assert json.loads(say("-f json vm show web01").out)["name"] == "web01"


def test_a_noun_alone_lists_its_verbs(say: Callable[..., Any]) -> None:
    said = say("vm --help")
    assert said.code == 0
    assert "vm create" in said.out
    assert say("vm").code == 2


def test_an_unknown_verb_gets_a_suggestion(say: Callable[..., Any]) -> None:
    said = say("vm crate --name x")
    assert said.code == 2
    assert "did you mean: girginosvm vm create" in said.talk


def test_settings_name_their_source(say: Callable[..., Any], tmp_path: Any) -> None:
    file = tmp_path / "etc/girginosvm/girginosvm.toml"
    file.parent.mkdir(parents=True)
    file.write_text('node_name = "n1"\ntoken = "secret"\n', encoding="utf-8")
    said = say(f"doctor settings -f json --root {tmp_path}")
    rows = {row["name"]: row for row in json.loads(said.out)}
    assert rows["node_name"] == {"name": "node_name", "value": "n1", "source": str(file), "cluster": ""}
    assert rows["port"]["source"] == "default"
    assert "secret" not in said.out


def test_completion_asks_the_server_for_names(agent: Any) -> None:
    bad = {"name": "$(reboot)"}
    agent.on("GET", "/v1/vms?limit=200", (200, {"items": [{"name": "web01"}, {"name": "db01"}, bad]}))
    names = complete.from_server(Client(agent.socket_path))
    assert names("vm") == ["db01", "web01"]


def test_a_reader_that_leaves_early_is_no_error(agent: Any) -> None:
    agent.on("GET", LIST, (200, {"items": [VM] * 5000, "next": ""}))
    with spoken(agent, "vm", "list") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(10) == 0


def test_an_upload_sends_the_file_as_it_is(agent: Any, say: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "a.qcow2"
    file.write_bytes(b"QFI\xfb" + bytes(100_000))
    agent.on("POST", "/v1/images/upload/rocky-10", (201, {"image": "0191"}))
    said = say(f"image upload rocky-10 --file {file} -f json")
    assert (said.code, json.loads(said.out)) == (0, {"image": "0191"})
    assert agent.asked[0].body == file.read_bytes()


def test_an_upload_of_nothing_is_a_usage_error(say: Callable[..., Any]) -> None:
    said = say("image upload rocky-10 --file /nowhere/a.qcow2")
    assert said.code == 2
    assert "cannot read /nowhere/a.qcow2" in said.talk


def test_the_reason_travels(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("POST", "/v1/vms/web01/start", (202, {"vm": "0190", "operation": "op1"}))
    assert say(["vm", "start", "web01", "--no-wait", "--why", "ticket 7"]).code == 0
    assert agent.asked[0].headers["X-Why"] == "ticket 7"


def test_a_reason_that_no_header_can_carry_is_a_usage_error(agent: Any, say: Callable[..., Any]) -> None:
    said = say(["vm", "start", "web01", "--why", "ticket\n7"])
    assert said.code == 2
    assert "--why takes" in said.talk
    assert agent.asked == []


def test_a_wrong_field_is_named_as_it_was_typed(agent: Any, say: Callable[..., Any]) -> None:
    fault = {"pointer": "/memory_mb", "detail": "64 MiB or more, not 1 MiB"}
    body = {"family": "Invalid", "code": "body-invalid", "detail": "memory_mb: 64 MiB ...", "errors": [fault]}
    agent.on("POST", "/v1/vms", (422, body))
    assert say("vm create --name a --image tiny --memory 1").talk.splitlines() == [
        "girginosvm: --memory: 64 MiB or more, not 1 MiB (body-invalid)",
        "  next: girginosvm vm create --help",
    ]


def test_a_name_that_is_not_there_is_said_once_with_where_the_names_are(agent: Any, say: Callable[..., Any]) -> None:
    detail = "there is no image 'tyni'"
    fault = {"pointer": "/image", "detail": detail}
    agent.on("POST", "/v1/vms", (404, {"code": "image-missing", "detail": detail, "errors": [fault]}))
    assert say("vm create --name a --image tyni").talk.splitlines() == [
        "girginosvm: there is no image 'tyni' (image-missing)",
        "  next: girginosvm image list",
    ]


def test_every_list_has_a_head_when_it_is_empty() -> None:
    assert {verb["cli"] for verb in VERBS if verb.get("paged")} == set(render.COLUMNS)


def test_an_empty_list_is_its_head(agent: Any, say: Callable[..., Any]) -> None:
    agent.on("GET", LIST, (200, {"items": [], "next": ""}))
    assert say("vm list").out.split()[:2] == ["NAME", "STATE"]
    assert say("vm list -f json").out == "[]\n"


def test_who_is_not_known_is_told_how_this_program_signs_in(agent: Any, say: Callable[..., Any]) -> None:
    body = {"family": "Unauthenticated", "code": "sign-in-needed", "detail": "who?", "hint": "open the sign-in page"}
    agent.on("GET", LIST, (401, body))
    said = say("vm list")
    assert said.code == 3
    assert "GIRGINOSVM_API_TOKEN" in said.talk
    assert "sign-in page" not in said.talk


def test_a_joining_token_that_is_refused_is_not_a_matter_of_signing_in(agent: Any, say: Callable[..., Any]) -> None:
    body = {"family": "Unauthenticated", "code": "join-token", "detail": "it was used", "hint": "make another"}
    agent.on("GET", LIST, (401, body))
    said = say("vm list")
    assert said.code == 3
    assert "next: make another" in said.talk
