"""Three nodes on fake hosts, as processes, in the browser: one of them is a center, each shows the same, and what is
left of them when two are gone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.ports import free_port
from tests.scenarios.node import Node, qcow2
from tests.scenarios.test_center import promoted
from tests.scenarios.test_join import Start, joined, start
from tests.scenarios.test_places import created

__all__ = ["start"]
pytestmark = pytest.mark.web
SHOTS = Path(__file__).parent / "shots"
PASSWORD = "correct horse battery"
PATIENCE_MS = 40_000


@pytest.fixture
def opened(chromium: Browser) -> Iterator[Any]:
    """`opened(port)`: the panel at this port, signed in; what breaks in it fails the test."""
    contexts, faults = [], []

    def sign_in(port: int) -> Page:
        context = chromium.new_context(
            ignore_https_errors=True, locale="en-US", viewport={"width": 1440, "height": 900}
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        page.goto(f"https://127.0.0.1:{port}/")
        page.fill("[name=username]", "ada@example.org")
        page.fill("[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector("h1:has-text('Overview')")
        return page

    yield sign_in
    for context in contexts:
        context.close()
    assert faults == []


def go(page: Page, address: str) -> None:
    page.goto(page.url.partition("#")[0] + address)


def cluster(start: Start, *names: str) -> tuple[list[Node], int]:
    """These nodes as one, with an image; and the port of the center on the first one."""
    nodes = [start(name).ready() for name in names]
    first = nodes[0]
    first.upload("tiny", qcow2(first.root / "tiny.qcow2"))
    port = free_port()
    body = {
        "bind": f"127.0.0.1:{port}", "public_url": f"https://127.0.0.1:{port}", "admin_email": "ada@example.org",
        "admin_password": PASSWORD,
    }  # fmt: skip
    promoted(first, body)
    for node, name in zip(nodes[1:], names[1:], strict=True):
        joined(node, first, name)
    for node in nodes:
        node.until("/v1/nodes", lambda found: [one["state"] for one in found["items"]] == ["ready"] * len(nodes))
        node.until("/v1/pools", lambda found: len(found["items"][0]["nodes"]) == len(nodes))
    first.until("/v1/centers", lambda found: found["items"] and found["items"][0]["state"] == "serving")
    return nodes, port


def line(page: Page, name: str) -> Locator:
    """What the tree says of this node or machine."""
    return page.get_by_role("treeitem", name=re.compile(rf"^{name}\b"))


def under(page: Page, machine: str) -> str:
    """The node in the tree that a machine hangs on: the last one before it."""
    lines = page.locator(".branch").all_inner_texts()
    at = next(n for n, line in enumerate(lines) if line.startswith(machine))
    kinds = page.locator(".branch").evaluate_all("lines => lines.map((line) => line.classList[1])")
    return next(lines[n] for n in range(at, -1, -1) if kinds[n] == "node").split("\n")[0]


def test_every_panel_shows_the_same_and_what_one_node_can_still_do_alone(start: Start, opened: Any) -> None:
    (first, second, third), port = cluster(start, "n1", "n2", "n3")
    center, panel = opened(port), opened(third.port)
    _appears_under_its_node(center, third)
    _is_cordoned_on_one_panel_and_on_all(panel, center, first)
    center.screenshot(path=str(SHOTS / "three-center.png"))
    first.stop()
    second.stop()
    _says_that_it_is_alone(panel)
    _offers_nothing_that_it_could_not_do(panel)
    expect(panel.locator(".stuck")).to_be_visible()  # and still says so
    panel.screenshot(path=str(SHOTS / "three-alone.png"))


def _appears_under_its_node(center: Page, node: Node) -> None:
    """A machine that is made elsewhere, by itself."""
    go(center, "#/machines?view=tree")
    for name in ("n1", "n2", "n3"):
        line(center, name).wait_for()
    expect(center.locator(".branch.node").first).to_contain_text("Center")
    expect(center.locator("ol.crumbs")).to_contain_text("Center n1")
    created(node, "web", node="n2")
    expect(line(center, "web")).to_contain_text("Running")
    assert under(center, "web") == "n2"
    go(center, "#/machines/new")
    expect(center.locator(".form-foot .say")).to_contain_text("the best of 3 nodes that can take it")
    go(center, "#/machines?view=tree")


def _is_cordoned_on_one_panel_and_on_all(panel: Page, center: Page, node: Node) -> None:
    """By a button on one node's panel; what is made from then on lands elsewhere."""
    expect(panel.locator("ol.crumbs")).to_contain_text("Node n3")
    go(panel, "#/nodes/n2")
    panel.get_by_role("button", name="Cordon…").click()
    panel.get_by_label("Why").fill("disks are changed")
    panel.get_by_role("button", name="Cordon n2").click()
    panel.wait_for_selector("h1:has-text('Cordoned')")
    expect(line(center, "n2")).to_contain_text("Cordoned")
    (found,) = [one for one in node.ask("GET", "/v1/nodes")["items"] if one["name"] == "n2"]
    assert [(one["holder"], one["by"], one["why"]) for one in found["cordons"]] == [
        ("person", "ada@example.org", "disks are changed")
    ]
    go(panel, "#/machines/new")
    expect(panel.locator(".form-foot .say")).to_contain_text("the best of 2 nodes that can take it")
    created(node, "db")
    expect(line(center, "db")).to_contain_text("Running")
    assert under(center, "db") in ("n1", "n3")
    center.get_by_role("button", name="Grid").click()
    expect(center.locator(".tile:has-text('web')")).to_contain_text("Running")
    center.get_by_role("button", name="Tree").click()


def _says_that_it_is_alone(panel: Page) -> None:
    """Two of three are gone: the third one says so, shows what it knew, and pretends nothing."""
    bar = panel.locator(".stuck")
    expect(bar).to_contain_text("voters", timeout=PATIENCE_MS)
    expect(bar).to_contain_text("nothing can be changed")
    go(panel, "#/machines?view=tree")
    for name in ("n1", "n2"):
        expect(line(panel, name)).to_contain_text("Not reached")
    for name in ("web", "db"):
        expect(line(panel, name)).to_have_count(1)
    expect(line(panel, "web")).to_contain_text("Was running", timeout=PATIENCE_MS)  # nobody here knows by now


def _offers_nothing_that_it_could_not_do(panel: Page) -> None:
    line(panel, "web").locator("a").click()
    why = panel.locator("#detail .sec").filter(has=panel.get_by_role("heading", name="Why here"))
    expect(why).to_contain_text("n2 was asked for")
    expect(panel.locator("#detail .verdict")).to_contain_text("Nobody hears n2")
    expect(panel.get_by_role("button", name="Shut down…")).to_have_attribute("aria-disabled", "true")
    panel.keyboard.press("Control+k")
    panel.get_by_role("combobox", name="Search").fill("uncordon n2")
    expect(panel.get_by_role("option", name="Uncordon n2")).to_have_attribute("aria-disabled", "true")
    panel.keyboard.press("Escape")


def test_a_node_is_drained_and_leaves_by_its_own_panel(start: Start, opened: Any) -> None:
    (_, second), port = cluster(start, "n1", "n2")
    center, panel = opened(port), opened(second.port)
    go(panel, "#/nodes/n2")
    panel.get_by_role("button", name="More for n2").click()
    panel.get_by_role("menuitem", name="Drain…").click()
    panel.get_by_role("button", name="Drain n2").click()
    panel.wait_for_selector("h1:has-text('Drained')")  # without a machine and a vote it is done
    expect(panel.locator(".facts:has-text('Reached')")).to_contain_text("Observer")
    go(center, "#/machines?view=tree")
    expect(line(center, "n2")).to_contain_text("Drained")
    go(panel, "#/cluster")
    panel.get_by_role("button", name="More for n2").click()
    panel.get_by_role("menuitem", name="Leave the cluster…").click()
    panel.get_by_label("Type n2 to go on").fill("n2")
    panel.get_by_role("button", name="Take n2 out").click()
    # It begins anew: nobody of the cluster is known there, and the page is at its door.
    panel.wait_for_selector("main.door")
    expect(line(center, "n2")).to_have_count(0, timeout=PATIENCE_MS)
    go(center, "#/cluster")
    expect(center.locator(".members tbody tr")).to_have_count(1, timeout=PATIENCE_MS)
    second.until("/v1/membership", lambda found: len(found["members"]) == 1 and found["leader"] == "n2")
