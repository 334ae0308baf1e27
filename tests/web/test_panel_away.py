"""What the panel says of nodes that are not reached, and of what is on them."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.web.forty import daemon, whole
from tests.web.reading import LOOKS, check

__all__ = ["daemon", "whole"]
pytestmark = pytest.mark.web


def test_the_list_of_nodes_says_at_once_who_is_not_reached(visit: Any, daemon: Any) -> None:
    page = visit("#/nodes")
    expect(page.locator("tr[data-id='node-3']")).to_contain_text("Voter")
    daemon.stand.away = {"n3"}
    expect(page.locator("tr[data-id='node-3']")).to_contain_text("Not reached")
    page.goto(page.url.partition("#")[0] + "#/nodes/n3")
    expect(page.locator(".verdict.fault")).to_contain_text("It is not reached from here (for")


@pytest.mark.parametrize(
    "address",
    ["#/machines?view=table", "#/machines?view=tree&q=billing", "#/machines?view=grid&q=billing", "#/nodes/n3"],
)
def test_nothing_is_called_running_on_a_node_that_is_not_reached(visit: Any, daemon: Any, address: str) -> None:
    page = visit(address)
    place = page.locator("tr[data-id], .branch.vm, .tile, .lines.machines li").filter(has_text="billing-00002")
    expect(place).to_contain_text("Running")
    daemon.stand.away = {"n3"}
    expect(place).to_contain_text("Was running")
    expect(place.locator(".shape.unknown")).to_have_count(1)
    if "machines" in address:
        place.locator("a").click()
        page.wait_for_selector("#detail .verdict:has-text('Nobody hears n3')")
    daemon.stand.away = set()
    expect(place).not_to_contain_text("Was")


def test_nor_is_it_counted_as_running(visit: Any, daemon: Any) -> None:
    """By the list's view, by the overview, and in its legend."""
    vms = daemon.stand.world["vms"].values()
    running = [vm["node"] for vm in vms if vm["state"] == "running"]
    there = len(running) - running.count("n3")
    page = visit("#/machines")
    view = page.locator(".views .tab", has_text="Running")
    expect(view).to_contain_text(str(len(running)))
    daemon.stand.away = {"n3"}
    expect(view).to_contain_text(str(there))
    view.click()
    expect(page.locator("tr[data-id]").filter(has_text="n3")).to_have_count(0)
    page.goto(page.url.partition("#")[0] + "#/overview")
    expect(page.locator(".head .second")).to_have_text(f"{there} of {len(vms)} machines run")
    expect(page.locator(".legend")).to_contain_text(f"{running.count('n3')} last heard running")


@pytest.mark.parametrize(("width", "scheme", "locale"), LOOKS)
def test_a_cluster_in_trouble_is_readable_for_everybody(
    visit: Any, daemon: Any, width: int, scheme: str, locale: str
) -> None:
    stand, look = daemon.stand, f"{width}-{scheme}"
    _in_trouble(stand)
    page = visit("#/nodes/n2", width=width, scheme=scheme, locale=locale)
    found = _read_a_node_and_its_questions(page, look)
    for name, address, ready in (
        ("node-away", "#/nodes/n3", ".reasons"), ("tree-away", "#/machines?view=tree", ".branch.domain"),
        ("grid-away", "#/machines?view=grid&node=n3", ".tile.unknown"),
        ("machine-away", "#/machines/vm-00002", ".verdict.attn"), ("cluster-away", "#/cluster", ".members .faded"),
        ("create-lands", "#/machines/new", ".form-foot .say b"),
    ):  # fmt: skip
        go(page, address, ready)
        found += check(page, f"{name}-{look}")
    stand.away = {"n2", "n3"}
    page.wait_for_selector(".stuck")
    page.keyboard.press("Escape")
    go(page, "#/machines?view=tree", ".branch")
    found += check(page, f"tree-alone-{look}")
    page.keyboard.press("Control+k")
    page.keyboard.type("vpn-00007")
    page.wait_for_selector("[role=option]")
    found += check(page, f"palette-alone-{look}")
    stand.lone = stand.witness = True
    stand.away = set()
    page = visit("#/cluster/witness", width=width, scheme=scheme, locale=locale)
    found += check(page, f"witness-{look}")
    assert found == []


def _in_trouble(stand: Any) -> None:
    """n2 is cordoned, and a center; n3 is drained, in a rack, and not reached."""
    nodes = stand.world["nodes"]
    nodes["node-2"] = stand.closed(nodes["node-2"], "person", "disks are changed", holds=True)
    nodes["node-3"] = {**stand.closed(nodes["node-3"], "drain", "", holds=True), "domain": "rack7"}
    stand.centers["node-2"] = {
        "node": "node-2", "name": "n2", "state": "serving", "bind": "0.0.0.0:1997", "problem": "",
        "public_url": "https://center.example.net", "since": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    stand.away = {"n3"}


def _read_a_node_and_its_questions(page: Any, look: str) -> list[str]:
    page.wait_for_selector(".reasons")
    found = check(page, f"node-cordoned-{look}")
    page.locator(".head .btns button").first.click()
    page.wait_for_selector("[role=alertdialog]")
    found += check(page, f"ask-uncordon-{look}")
    page.keyboard.press("Escape")
    page.locator(".head .btns .square").click()
    page.wait_for_selector(".menu:popover-open")
    found += check(page, f"node-menu-{look}")
    page.keyboard.press("Escape")
    return found


def go(page: Any, address: str, ready: str) -> None:
    page.goto(page.url.partition("#")[0] + address)
    page.wait_for_selector(ready)
