"""The panel on the real daemon: the first sign-in, a password of one's own, a machine by the form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.scenarios.node import Node, qcow2

pytestmark = pytest.mark.web


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    root = tmp_path_factory.mktemp("panel")
    node = Node(root)
    try:
        node.until("/v1/pools", lambda found: found["items"] and found["items"][0]["capacity_bytes"])
        node.upload("tiny", qcow2(root / "image.qcow2"))
        yield node
    finally:
        node.stop()


def port_of(root: Path) -> int:
    rows = (json.loads(row) for row in (root / "log").read_text().splitlines())
    return int(next(row["port"] for row in rows if row["event"] == "agent.up"))


def enter(page: Page, root: Path) -> None:
    """Sign in for the first time; a password that is too short is refused in words, before it is sent."""
    page.goto(f"https://127.0.0.1:{port_of(root)}/")
    once = (root / "var/lib/girginosvm/pki/first-password").read_text().strip()
    page.fill("input[name=username]", "admin@local")
    page.fill("input[name=password]", once)
    page.keyboard.press("Enter")
    page.wait_for_selector("input[name=new-password]:visible")
    page.keyboard.type("short")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("The new password has to have 12 characters or more.")
    page.fill("input[name=new-password]", "a password of my own")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Overview')")


def test_the_first_administrator_signs_in_and_creates_a_machine(chromium: Browser, real: Node) -> None:
    context = chromium.new_context(ignore_https_errors=True, locale="en-US", viewport={"width": 1440, "height": 900})
    page = context.new_page()
    faults: list[Any] = []
    page.on("pageerror", lambda fault: faults.append(str(fault)))
    page.on("response", lambda answer: faults.append(answer.url) if answer.status >= 400 else None)
    enter(page, real.root)
    page.wait_for_selector(".cluster:has-text('1 node')")
    page.goto(page.url.partition("#")[0] + "#/machines/new")
    page.fill("input[name=name]", "web01")
    page.locator("button[type=submit]").click()
    (answer,) = real.until("/v1/vms", lambda found: found["items"] and found["items"][0]["state"] == "running")["items"]
    assert (answer["name"], answer["image"]) == ("web01", "tiny")
    page.goto(page.url.partition("#")[0] + "#/machines")
    page.wait_for_selector("text=web01")
    page.wait_for_selector("text=Running")
    page.screenshot(path="tests/web/shots/real-machines.png")
    assert faults == []
    context.close()
