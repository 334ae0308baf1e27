"""The cluster in the panel, in Chromium: who is in, who is reached, and what can be done about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.web


@pytest.fixture(autouse=True)
def whole(daemon: Any) -> Iterator[None]:
    """Each test begins with three nodes that reach each other, and leaves them so."""
    nodes = dict(daemon.stand.world["nodes"])
    yield
    daemon.stand.world["nodes"] = nodes
    daemon.stand.centers, daemon.stand.away, daemon.stand.unseen, daemon.stand.lone = {}, set(), set(), False


def member(page: Any, name: str) -> Any:
    return page.locator(".members tbody tr").filter(has=page.get_by_role("rowheader", name=re.compile(f"^{name}\\b")))


def choose(page: Any, name: str, deed: str) -> Any:
    page.get_by_role("button", name=f"More for {name}").click()
    page.get_by_role("menuitem", name=deed).click()
    return page.get_by_role("alertdialog")


def test_the_cluster_says_who_leads_and_how_many_may_fail(visit: Any, daemon: Any) -> None:
    page = visit("#/cluster")
    page.wait_for_selector(".say:has-text('n1 leads. 3 of 3 voters are reached, 2 are needed: one may fail.')")
    assert "Leader" in member(page, "n1").inner_text()
    assert "this node" in member(page, "n1").inner_text()
    page.wait_for_selector(".cluster:has-text('3 of 3 voters'):has-text('n1 leads')")
    agreement = page.locator(".duo .facts").last.inner_text()
    assert "1 · feature level 2 waits for n3 (release 0.1.0 supports 1)" in agreement
    daemon.stand.away = {"n3"}
    page.wait_for_selector(".say:has-text('2 of 3 voters are reached, and 2 are needed: none may fail.')")
    expect(member(page, "n3")).to_contain_text("Not reached")
    expect(member(page, "n3")).to_contain_text(re.compile(r"for \d+ s"))
    assert "Node n1" in page.title()


def test_whom_this_node_does_not_look_at_is_not_called_away(visit: Any, daemon: Any) -> None:
    daemon.stand.away, daemon.stand.unseen = {"n3"}, {"n2"}
    page = visit("#/cluster")
    expect(member(page, "n3")).to_contain_text("Not reached")
    expect(member(page, "n2")).to_contain_text("Not looked at from here")
    expect(member(page, "n2")).not_to_have_class(re.compile("faded"))
    page.goto(page.url.partition("#")[0] + "#/nodes/n2")
    page.wait_for_selector("dd:has-text('Not looked at from here'):has-text('The voters reach it')")
    page.wait_for_selector("h1:has-text('n2'):has-text('Ready')")
    page.goto(page.url.partition("#")[0] + "#/overview")
    page.wait_for_selector(".needs li:has-text('n3 is not reached')")
    expect(page.locator(".needs")).not_to_contain_text("n2 is not reached")


def test_that_there_are_two_clusters_stands_before_all_else(visit: Any, daemon: Any) -> None:
    daemon.stand.away, daemon.stand.parted = {"n3"}, "n3"
    try:
        page = visit("#/overview")
        first = page.locator(".needs li").first
        expect(first).to_contain_text("There are two clusters of this name")
        expect(first).to_contain_text("n3 was recovered without this node and goes on by itself")
    finally:
        daemon.stand.parted = ""


def test_a_node_says_what_is_wrong_with_it_and_what_to_do(visit: Any, daemon: Any, faults: list[str]) -> None:
    page = visit("#/cluster")
    health = page.locator(".doctor")
    expect(health).to_contain_text("2 things were looked at, and all of them are as they should be.")
    expect(health.get_by_text("journal is well")).not_to_be_visible()
    health.locator("summary").click()
    expect(health.get_by_text("journal is well")).to_be_visible()
    says = 'one of the last 64 flushes took 900 ms <b onclick="x">'
    daemon.stand.ill = [{"name": "journal", "state": "warn", "says": says, "next": "iostat -x 1"}]
    try:
        health.get_by_role("button", name="Look again").click()
        expect(health.locator("li").first).to_contain_text(says)
        expect(health.locator("li").first).to_contain_text("Attention")
        expect(health.locator("li").first.locator("code")).to_have_text("iostat -x 1")
        daemon.stand.leaderless = True
        health.get_by_role("button", name="Look again").click()
        expect(health.get_by_role("alert")).to_contain_text("could not look at itself: the raft process of this node")
    finally:
        daemon.stand.ill, daemon.stand.leaderless = [], False
    assert all("503" in fault for fault in faults)


def test_what_a_node_finds_is_said_in_the_viewers_language(visit: Any, daemon: Any) -> None:
    known = {
        "name": "lag", "state": "warn", "says": "n3 lacks 1,201 entries", "next": "look again", "code": "lag.lacks",
        "values": {"name": "n3", "count": 1201},
    }  # fmt: skip
    unknown = {"name": "weather", "state": "warn", "says": "it rains", "next": "", "code": "weather.rain", "values": {}}
    daemon.stand.ill = [known, unknown]
    try:
        lines = visit("#/cluster", locale="tr-TR").locator(".doctor li")
        expect(lines.nth(0)).to_contain_text("gecikme: n3 düğümünde 1.201 kayıt eksik")
        expect(lines.nth(1)).to_contain_text("weather: it rains")  # of a newer node
        expect(lines.nth(1).locator("[lang=en]")).to_have_count(1)
        expect(visit("#/cluster").locator(".doctor li").nth(0)).to_contain_text("lag: n3 lacks 1,201 entries")
    finally:
        daemon.stand.ill = []


def test_a_token_is_shown_once_with_its_command_and_the_minutes_left(visit: Any) -> None:
    page = visit("#/cluster")
    page.get_by_role("button", name="Let a node in…").click()
    question = page.get_by_role("alertdialog")
    question.locator("summary").click()
    assert "girginosvm membership token create" in question.locator("pre").first.inner_text()
    assert "POST /v1/membership/tokens" in question.locator("pre").nth(1).inner_text()
    question.get_by_role("button", name="Make the token").click()
    shown = page.get_by_role("dialog", name="A token for one node")
    expect(shown.locator(".once")).to_contain_text("membership join --center https://192.0.2.11:1996 --token ops-")
    expect(shown.get_by_role("timer")).to_contain_text(re.compile(r"It can be used for (10 min 0|9 min \d+) s more"))
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)  # a closed one goes a moment later
    assert "ops-shown-once" not in page.content()


def test_a_token_that_was_made_is_listed_without_itself_and_taken_back(visit: Any, daemon: Any) -> None:
    page = visit("#/cluster")
    daemon.stand.invited.clear()
    page.reload()
    page.get_by_role("button", name="Let a node in…").wait_for()
    expect(page.locator(".invited")).to_be_hidden()
    page.get_by_role("button", name="Let a node in…").click()
    page.get_by_role("button", name="Make the token").click()
    page.get_by_role("dialog", name="A token for one node").wait_for()
    page.keyboard.press("Escape")
    expect(page.locator(".invited li")).to_contain_text("3f9a1c20d4e0")
    page.get_by_role("button", name="Revoke 3f9a1c20d4e0…").click()
    question = page.get_by_role("alertdialog")
    question.locator("summary").click()
    assert question.locator("pre").first.inner_text() == "girginosvm membership token revoke 3f9a1c20d4e0"
    question.get_by_role("button", name="Revoke the token").click()
    expect(page.locator(".invited")).to_be_hidden()
    assert daemon.stand.deeds[-1][:2] == ("DELETE", "/v1/membership/tokens/3f9a1c20d4e0")


def test_removing_a_node_names_what_is_on_it_and_wants_its_name(visit: Any, daemon: Any, faults: list[str]) -> None:
    page = visit("#/cluster")
    question = choose(page, "n3", "Remove from the cluster…")
    expect(question.locator(".blast")).to_contain_text("3,333 machines")
    question.locator("summary").click()
    assert question.locator("pre").first.inner_text() == "girginosvm membership remove n3"
    last = question.get_by_role("button", name="Remove n3")
    expect(last).to_be_disabled()
    question.get_by_label("Type n3 to go on").fill("n3")
    last.click()
    question.get_by_role("alert").get_by_text("3333 machines are on n3").wait_for()
    question.get_by_label("give up the machines on it").check()
    expect(question.locator(".blast")).to_contain_text("given up")
    assert question.locator("pre").first.inner_text() == "girginosvm membership remove n3 --lost"
    last.click()
    expect(member(page, "n3")).to_have_count(0)
    assert all("409" in fault for fault in faults)


def test_a_node_becomes_a_center_and_an_ordinary_node_again(visit: Any, daemon: Any) -> None:
    page = visit("#/cluster")
    question = choose(page, "n2", "Make it a center…")
    assert question.locator("[name=public_url]").input_value() == "https://192.0.2.12:1997"
    question.locator("[name=public_url]").fill("https://center.example.net:1997")
    question.locator("summary").click()
    line = "girginosvm center promote --node n2 --bind 0.0.0.0:1997 --public-url https://center.example.net:1997"
    assert question.locator("pre").first.inner_text() == line
    question.get_by_role("button", name="Make n2 a center").click()
    page.wait_for_selector(".centers li:has-text('Serving'):has-text('https://center.example.net:1997')")
    choose(page, "n2", "Close its center…").get_by_role("button", name="Close the center on n2").click()
    page.get_by_text("No node is a center.").wait_for()


def test_a_center_says_that_it_is_one(visit: Any, daemon: Any) -> None:
    port = daemon.url.rstrip("/").rpartition(":")[2]
    daemon.stand.centers["node-1"] = {
        "node": "node-1", "name": "n1", "state": "serving", "bind": f"127.0.0.1:{port}", "problem": "",
        "public_url": "https://center.example.net", "since": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    page = visit("#/cluster")
    page.wait_for_selector(".crumbs:has-text('Center n1')")
    page.wait_for_selector(".rail > .here:has-text('n1 · center')")
    assert "Center n1" in page.title()


def test_joining_is_looked_at_before_it_is_done(visit: Any, daemon: Any, faults: list[str]) -> None:
    daemon.stand.lone = True
    page = visit("#/cluster")
    page.get_by_role("link", name="Join another cluster…").click()
    page.fill("#f-center", "https://other.example.net:1996")
    page.fill("#f-token", "no token at all")
    page.get_by_role("button", name="Look what would happen").click()
    page.get_by_role("alert").get_by_text("it is not whole").wait_for()
    page.fill("#f-token", "ops-good-enough")
    page.get_by_role("button", name="Look what would happen").click()
    page.get_by_text("the cluster has a node named n1 already").wait_for()
    expect(page.get_by_role("button", name="Join it")).to_have_count(0)
    page.fill("#f-center", "https://192.0.2.50:1996")
    expect(page.get_by_text("the cluster has a node named n1 already")).to_have_count(0)
    page.get_by_role("button", name="Look what would happen").click()
    page.wait_for_selector(".found:has-text('2 machines, 1 image'):has-text('/var/lib/girginosvm/archive/')")
    assert page.locator(".twin pre").first.inner_text().endswith("--confirm")
    page.get_by_role("button", name="Join it").click()
    page.get_by_role("heading", name="It joins").wait_for()
    told = [(one.get("rehearse", False), one.get("confirm", False)) for one in daemon.stand.joins]
    assert told == [(True, False), (True, False), (True, False), (False, True)]
    assert all("422" in fault for fault in faults)


def test_a_node_in_a_cluster_offers_no_joining(visit: Any) -> None:
    page = visit("#/cluster")
    assert page.get_by_role("link", name="Join another cluster…").count() == 0
    page.goto(page.url.partition("#")[0] + "#/cluster/join")
    page.get_by_role("heading", name="This node is in a cluster already").wait_for()


def test_without_a_quorum_every_page_says_so_and_no_button_pretends(visit: Any, daemon: Any) -> None:
    page = visit("#/machines/vm-00101")
    page.get_by_role("button", name="Shut down…").wait_for()
    daemon.stand.away = {"n2", "n3"}
    page.wait_for_selector(".stuck:has-text('This node reaches 1 of 3 voters.')")
    expect(page.locator(".stuck summary")).to_contain_text(
        re.compile(r"You see what it knew at \d\d:\d\d:\d\d; nothing can be changed")
    )
    page.wait_for_selector(".cluster.fault:has-text('No quorum')")
    shut = page.get_by_role("button", name="Shut down…")
    expect(shut).to_have_attribute("aria-disabled", "true")
    shut.click(force=True)
    page.wait_for_selector(".toast:has-text('This node reaches 1 of 3 voters.')")
    assert page.get_by_role("alertdialog").count() == 0
    page.locator(".stuck summary").click()
    expect(page.locator(".stuck li").nth(1)).to_contain_text("n2 (192.0.2.12:1995), n3 (192.0.2.13:1995)")
    expect(page.locator(".stuck li").last).to_contain_text("girginosvm cluster recover")
    page.goto(page.url.partition("#")[0] + "#/network/new")
    expect(page.locator(".form-foot .primary")).to_have_attribute("aria-disabled", "true")
    page.goto(page.url.partition("#")[0] + "#/overview")
    first = page.locator(".needs li").first
    expect(first).to_contain_text("This node reaches 1 of 3 voters.")
    expect(page.locator(".needs li").nth(1)).to_contain_text("n2 is not reached")
    daemon.stand.away = set()
    expect(page.locator(".stuck")).to_have_count(0)
    page.goto(page.url.partition("#")[0] + "#/machines/vm-00101")
    expect(page.get_by_role("button", name="Shut down…")).not_to_have_attribute("aria-disabled", "true")


def test_a_refusal_without_a_leader_is_said_in_words_of_the_persons_language(
    visit: Any, daemon: Any, faults: list[str]
) -> None:
    page = visit("#/cluster", locale="tr-TR")
    daemon.stand.leaderless = True
    try:
        page.get_by_role("button", name="Düğüm al…").click()
        page.get_by_role("button", name="Belirteci üret").click()
        page.get_by_role("alert").get_by_text("Hiçbir şey değişmedi: bu düğüm lider bulamadı").wait_for()
    finally:
        daemon.stand.leaderless = False
    assert all("503" in fault for fault in faults)


def test_the_form_of_a_network_offers_only_what_there_is(visit: Any) -> None:
    page = visit("#/network/new")
    assert page.locator("#f-bridge").count() == 1
    assert page.locator("#f-vlan").count() == 0
