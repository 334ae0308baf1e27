"""What a person does with nodes in the panel, what their role keeps away from them, and what waits for a quorum."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from girginosvm.core.access import Role, allowed
from girginosvm.features.registry import REGISTRY
from tests.web.forty import daemon, whole

__all__ = ["daemon", "whole"]
pytestmark = pytest.mark.web


def ask(page: Any, deed: str, name: str = "") -> Any:
    """Choose a deed of the page's node, from its buttons or its menu; answers the question."""
    if name:
        page.get_by_role("button", name=f"More for {name}").click()
        page.get_by_role("menuitem", name=deed).click()
    else:
        page.get_by_role("button", name=deed).click()
    return page.get_by_role("alertdialog")


def test_a_node_is_cordoned_with_a_reason_and_opened_again(visit: Any, daemon: Any) -> None:
    page = visit("#/nodes/n2")
    question = ask(page, "Cordon…")
    expect(question).to_contain_text("No new machine is placed on n2 from then on.")
    expect(question).to_contain_text(re.compile(r"and \d+ more stay on it as they are"))
    question.get_by_label("Why").fill("disk değişiyor")
    question.locator("summary").click()
    assert question.locator("pre").first.inner_text() == "girginosvm node cordon n2 --why 'disk degisiyor'"
    question.get_by_role("button", name="Cordon n2").click()
    page.wait_for_selector("h1:has-text('Cordoned')")
    expect(page.locator(".reasons")).to_contain_text("Cordoned by operator. Why: disk degisiyor.")
    assert daemon.stand.deeds == [("POST", "/v1/nodes/node-2/cordon", "disk degisiyor")]
    ask(page, "Uncordon…").get_by_role("button", name="Uncordon n2").click()
    page.wait_for_selector("h1:has-text('Up')")
    expect(page.locator(".reasons")).to_have_count(0)


def test_maintenance_and_a_drain_each_keep_the_node_closed_until_they_end(visit: Any, daemon: Any) -> None:
    page = visit("#/nodes/n2")
    question = ask(page, "Begin maintenance…")
    expect(question).to_contain_text("Machines cannot be moved to another node yet")
    question.get_by_role("button", name="Begin maintenance of n2").click()
    page.wait_for_selector("h1:has-text('Maintenance')")
    question = ask(page, "Drain…", "n2")
    expect(question).to_contain_text("gives leadership and its vote away")
    question.locator("summary").click()
    assert question.locator("pre").first.inner_text() == "girginosvm membership drain --node n2"
    question.get_by_role("button", name="Drain n2").click()
    expect(page.locator(".reasons")).to_contain_text("Drained by operator.")
    expect(page.locator(".facts:has-text('Reached')")).to_contain_text("Observer · follows, without a vote")
    question = ask(page, "End maintenance…")
    expect(question).to_contain_text("n2 stays closed all the same: it is drained too.")
    question.get_by_role("button", name="End maintenance of n2").click()
    ask(page, "End draining…", "n2").get_by_role("button", name="End draining of n2").click()
    page.wait_for_selector("h1:has-text('Up')")
    assert [(method, path) for method, path, _ in daemon.stand.deeds] == [
        ("POST", "/v1/nodes/node-2/maintenance"), ("POST", "/v1/membership/drain"),
        ("DELETE", "/v1/nodes/node-2/maintenance"), ("POST", "/v1/membership/undrain"),
    ]  # fmt: skip


def test_in_which_order_a_node_leads_is_asked_and_remembered(visit: Any, daemon: Any) -> None:
    page = visit("#/nodes/n2")
    question = ask(page, "Turn to lead…", "n2")
    expect(question.get_by_label("Turn")).to_have_value("any")
    question.get_by_label("Turn").select_option("first")
    question.locator("summary").click()
    assert question.locator("pre").first.inner_text() == "girginosvm membership lead --node n2 --order first"
    question.get_by_role("button", name="Set the turn of n2").click()
    expect(page.get_by_text("The turn of n2 is set.")).to_be_visible()
    assert daemon.stand.deeds == [("POST", "/v1/membership/lead", "")]
    expect(page.locator(".facts:has-text('Reached')")).to_contain_text("LeadsFirst")
    expect(ask(page, "Turn to lead…", "n2").get_by_label("Turn")).to_have_value("first")


def test_a_refusal_stays_in_the_question(visit: Any, daemon: Any, faults: list[str]) -> None:
    daemon.stand.drained = {"node-2", "node-3"}
    page = visit("#/nodes/n1")
    question = ask(page, "Drain…", "n1")
    question.get_by_role("button", name="Drain n1").click()
    question.get_by_role("alert").get_by_text("nobody is left to take the vote of n1").wait_for()
    assert all("409" in fault for fault in faults)


def test_a_failure_domain_is_said_and_shown_in_the_list_of_nodes(visit: Any) -> None:
    page = visit("#/nodes/n3")
    question = ask(page, "Failure domain…", "n3")
    question.get_by_label("Failure domain").fill("rack 7/b")
    question.locator("summary").click()
    assert question.locator("pre").first.inner_text() == "girginosvm node domain n3 --domain 'rack 7/b'"
    question.get_by_role("button", name="Change the domain of n3").click()
    page.wait_for_selector("dd:has-text('rack 7/b')")
    page.goto(page.url.partition("#")[0] + "#/nodes")
    page.wait_for_selector("tr[data-id='node-3'] >> text=rack 7/b")


def test_a_machine_that_is_not_ours_is_marked_in_the_list_and_says_where_it_was_found(visit: Any, daemon: Any) -> None:
    vms = daemon.stand.world["vms"]
    found = {**vms["vm-00001"], "id": "vm-found", "name": "mail-old", "ours": False, "node": "n2", "project": ""}
    daemon.put("vms", "vm_foreign", found)
    try:
        page = visit("#/machines?show=foreign")
        row = page.locator("tr[data-id]")
        expect(row).to_have_count(1)
        expect(row.locator(".k-name .tag")).to_have_text("Not ours")
        row.locator("a").click()
        expect(page.locator("#detail .verdict")).to_contain_text("Found on n2, and not managed here.")
    finally:
        daemon.drop("vms", "vm_foreign", "vm-found")


def test_a_menu_that_is_open_stays_while_machines_change(visit: Any, daemon: Any) -> None:
    page = visit("#/nodes/n1")
    page.get_by_role("button", name="More for n1").click()
    item = page.get_by_role("menuitem", name="Drain…")
    item.wait_for()
    page.wait_for_selector(".verdict, .lines.machines")
    node = daemon.stand.world["nodes"]["node-1"]
    daemon.put("nodes", "node", {**node, "memory_used_mb": 200_000})
    page.wait_for_selector(".cap:has-text('195 GiB')")
    daemon.put("nodes", "node_cordon", daemon.stand.closed(node, "person", "", holds=True))
    page.wait_for_timeout(500)
    expect(item).to_be_visible()  # though its page would say something else by now
    page.keyboard.press("Escape")
    expect(page.locator("h1")).to_contain_text("Cordoned")


def test_removing_a_node_from_its_page_lists_what_is_lost(visit: Any) -> None:
    page = visit("#/nodes/n3")
    question = ask(page, "Remove from the cluster…", "n3")
    expect(question.locator(".blast")).to_contain_text("13 machines")
    expect(question).to_contain_text("a certificate authority and a key that this node has never seen")
    expect(question.get_by_role("button", name="Remove n3")).to_be_disabled()


def test_leaving_says_what_becomes_of_it_and_why_it_is_refused(visit: Any, daemon: Any, faults: list[str]) -> None:
    page = visit("#/cluster")
    question = ask(page, "Leave the cluster…", "n1")
    expect(question.locator(".blast")).to_contain_text("alone from then on")
    expect(question).to_contain_text(re.compile(r"\d+ machines are on it: it is refused"))
    last = question.get_by_role("button", name="Take n1 out")
    expect(last).to_be_disabled()
    question.get_by_label("Type n1 to go on").fill("n1")
    last.click()
    question.get_by_role("alert").get_by_text("machines are on this node").wait_for()
    assert daemon.stand.deeds == [("POST", "/v1/membership/leave", "")]
    page.keyboard.press("Escape")
    page.get_by_role("button", name="More for n2").click()
    expect(page.get_by_role("menuitem", name="Leave the cluster…")).to_have_count(0)  # that one is asked elsewhere
    assert all("409" in fault for fault in faults)


def test_a_witness_gets_its_own_command_and_becomes_one_by_a_form(visit: Any, daemon: Any) -> None:
    page = visit("#/cluster")
    page.get_by_role("button", name="Add a witness…").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Make the token").click()
    shown = page.get_by_role("dialog", name="A token for one node")
    expect(shown.locator(".once")).to_contain_text(
        "girginosvm witness add --center https://192.0.2.11:1996 --token ops-"
    )
    expect(shown).to_contain_text("witness = true")
    page.keyboard.press("Escape")
    daemon.stand.lone = daemon.stand.witness = True
    page = visit("#/cluster")
    page.get_by_role("link", name="Become a witness…").click()
    page.fill("#f-center", "https://192.0.2.50:1996")
    page.fill("#f-token", "ops-good-enough")
    line = page.locator(".twin pre").first.inner_text().replace("\\\n ", "")
    assert line.startswith("girginosvm witness add --center https://192.0.2.50:1996")
    page.get_by_role("button", name="Join it").click()
    page.get_by_role("heading", name="It joins").wait_for()
    assert daemon.stand.joins[-1] == {"center": "https://192.0.2.50:1996", "token": "ops-good-enough"}


def test_who_only_looks_sees_everything_and_no_deed(visit: Any) -> None:
    page = visit("#/machines", person="viewer")
    deeds = re.compile(r"…$|^Create|^Start$|^More for|^Let a node in|^Add a")
    places = {
        "#/machines": "tr[data-id]", "#/machines?view=tree": ".branch", "#/machines/vm-00001": "#detail .facts",
        "#/nodes/n2": ".facts", "#/cluster": ".members tbody tr", "#/images/im-1": "#detail .facts",
        "#/network/net-1": "#detail .facts", "#/storage/pool-1": "#detail .facts", "#/storage/kept": "tr[data-id]",
    }  # fmt: skip
    base = page.url.partition("#")[0]
    for address, ready in places.items():
        page.goto(base + address)
        page.wait_for_selector(ready)
        found = [
            text for role in ("button", "link") for text in page.locator(".main").get_by_role(role).all_inner_texts()
        ]
        named = [one.get_attribute("aria-label") or "" for one in page.locator(".main button").all()]
        assert [text for text in (*found, *named) if deeds.search(text.strip())] == [], address
    page.goto(base + "#/machines/new")
    page.get_by_role("heading", name="Your role may not do that").wait_for()
    page.goto(base + "#/settings")
    page.wait_for_selector("h1:has-text('Settings')")
    expect(page.get_by_role("heading", name="People")).to_have_count(0)
    page.keyboard.press("Control+k")
    search = page.get_by_role("combobox", name="Search")
    search.fill("shut down billing-00002")
    expect(page.get_by_role("option")).to_have_count(0)
    search.fill("create")
    expect(page.get_by_role("option")).to_have_count(0)
    search.fill("serial billing-00002")
    page.get_by_role("option", name="Serial output billing-00002").wait_for()
    page.keyboard.press("Escape")
    page.goto(base + "#/machines")
    page.wait_for_selector("tr[data-id]")
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_contain_text("Search everything")
    expect(keys).not_to_contain_text("Make a new one")


def test_the_panel_keeps_away_what_the_server_would_refuse_and_nothing_else(visit: Any) -> None:
    page = visit("#/machines")
    asked = [(role.value, kind.action.permission) for kind in REGISTRY.actions for role in Role]
    said = page.evaluate(
        """async (asked) => {
          const { allowed } = await import("/access.js");
          return asked.map(([role, permission]) => allowed(role, permission));
        }""",
        asked,
    )
    assert dict(zip(asked, said, strict=True)) == {(role, one): allowed(Role(role), one) for role, one in asked}


def test_the_form_says_where_a_machine_would_land_before_it_is_made(visit: Any, daemon: Any) -> None:
    page = visit("#/machines/new")
    foot = page.locator(".form-foot .say")
    expect(foot).to_contain_text("On n2: the best of 2 nodes that can take it.")
    expect(foot).to_contain_text("59 % of its memory is booked with it.")
    expect(page.locator("#s-memory_mb")).to_contain_text("free on n2")
    before = len(daemon.stand.asked)
    page.fill("#f-memory_mb", "512")
    expect(foot).to_contain_text("No node can take it now. n1 has 108 GiB of memory free, 512 GiB asked; n2 has")
    # What is typed in one go is one question, and a name asks none.
    assert len(daemon.stand.asked) == before + 1
    assert daemon.stand.asked[-1]["memory_mb"] == "524288"
    page.fill("#f-name", "fresh")
    page.wait_for_timeout(500)
    assert len(daemon.stand.asked) == before + 1


def test_why_a_machine_is_where_it_is_is_said_in_the_viewers_language(visit: Any) -> None:
    page = visit("#/machines/vm-00001", locale="tr-TR")
    why = page.locator("#detail .sec").filter(has=page.get_by_role("heading", name="Neden burada"))
    expect(why).to_contain_text("onu alabilen 2 düğümün en iyisi: onunla belleğinin %25 kadarı ayrılmış")
    why.locator("summary").click()
    expect(why).to_contain_text("kapatılmış: its disks are changed")


def test_a_machine_says_why_it_is_where_it_is(visit: Any) -> None:
    page = visit("#/machines/vm-00001")
    why = page.locator("#detail .sec").filter(has=page.get_by_role("heading", name="Why here"))
    expect(why).to_contain_text("n2 is the best of 2 that can take it: 25 % of its memory is booked with it.")
    why.locator("summary").click()
    expect(why).to_contain_text("n3 is cordoned: its disks are changed.")
    why.get_by_role("link", name="n2").first.click()
    expect(page.locator("h1")).to_contain_text("n2")


def test_the_palette_finds_nodes_and_says_what_waits_for_a_quorum(visit: Any, daemon: Any) -> None:
    page = visit("#/machines")
    page.keyboard.press("Control+k")
    search = page.get_by_role("combobox", name="Search")
    search.fill("cordon n2")
    page.get_by_role("option", name="Cordon n2").wait_for()
    page.keyboard.press("Enter")
    page.get_by_role("alertdialog", name="Cordon n2?").wait_for()
    assert daemon.stand.deeds == []  # that Enter asked; it did not answer too
    page.keyboard.press("Escape")
    daemon.stand.away = {"n2", "n3"}
    page.wait_for_selector(".stuck")
    page.keyboard.press("Control+k")
    search.fill("cordon n2")
    option = page.get_by_role("option", name="Cordon n2")
    expect(option).to_have_attribute("aria-disabled", "true")
    expect(option).to_contain_text("not possible now")
    expect(page.locator(".stuck-line")).to_contain_text("This node reaches 1 of 3 voters.")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alertdialog")).to_have_count(0)
    expect(search).to_be_visible()
    search.fill("serial billing-00002")
    expect(page.locator(".stuck-line")).to_be_hidden()
    page.get_by_role("option", name="Serial output billing-00002").wait_for()
    page.keyboard.press("Enter")
    page.wait_for_selector(".serial:has-text('Started sshd')")
