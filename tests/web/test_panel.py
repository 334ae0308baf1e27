"""What a person does with the panel, in Chromium."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.web
HERE = Path(__file__).parent
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
ROOMS = {
    "machines": "#/machines", "machine": "#/machines/vm-00003", "serial": "#/machines/vm-00003/serial",
    "history": "#/machines/vm-00004/history", "failed": "#/machines/vm-00015", "create": "#/machines/new",
    "nodes": "#/nodes", "node": "#/nodes/n1", "images": "#/images", "pull": "#/images/new", "network": "#/network",
    "network-new": "#/network/new", "storage": "#/storage", "storage-new": "#/storage/new",
    "operations": "#/operations", "events": "#/events",
}  # fmt: skip
LOOKS = [(1440, "light", "en-US"), (1440, "dark", "tr-TR"), (390, "light", "tr-TR"), (390, "dark", "en-US")]
# Resolves when every animation that ends has ended.
SETTLED = """Promise.all(document.getAnimations()
  .filter((one) => one.effect.getTiming().iterations === 1).map((one) => one.finished))"""
READY = "tr[data-id], .form fieldset, .cap, .facts, .serial, .log"


def names(page: Any, most: int = 5) -> list[str]:
    return list(page.locator("tr[data-id] .k-name").all_inner_texts()[:most])


def test_a_wrong_password_is_said_in_a_sentence_and_the_right_one_opens(visit: Any) -> None:
    page = visit(enter=False)
    page.fill("[name=username]", "operator")
    page.fill("[name=password]", "wrong")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("the name or the password is wrong").wait_for()
    page.fill("[name=password]", "right")
    page.keyboard.press("Enter")
    page.wait_for_selector("tr[data-id]")
    assert page.evaluate("document.cookie") == ""


def test_ten_thousand_machines_are_a_list_of_few_elements(visit: Any, faults: list[str]) -> None:
    page = visit()
    assert page.get_by_role("grid").get_attribute("aria-rowcount") == "10001"
    assert page.locator("tr[data-id]").count() < 80
    page.locator(".scroll").evaluate("e => e.scrollTop = e.scrollHeight")
    page.wait_for_selector("tr[aria-rowindex='10001']")
    assert page.locator("tr[data-id]").count() < 80
    assert faults == []


def test_search_finds_by_address_and_says_how_many(visit: Any) -> None:
    page = visit()
    page.keyboard.press("/")
    page.keyboard.type("10.0.77.7")
    expect(page.locator("tr[data-id]")).to_have_count(1)
    assert names(page) == ["crm-00077"]
    assert "q=10.0.77.7" in page.url


def test_sorting_by_memory_goes_down_on_the_second_click(visit: Any) -> None:
    page = visit()
    page.get_by_role("button", name="Memory").click()
    page.wait_for_selector("th[aria-sort=ascending] >> text=Memory")
    assert page.locator("tr[data-id] td.num").nth(1).inner_text() == "1 GiB"
    page.get_by_role("button", name="Memory").click()
    page.wait_for_selector("th[aria-sort=descending] >> text=Memory")
    assert page.locator("tr[data-id] td.num").nth(1).inner_text() == "16 GiB"


def test_keys_move_open_close_and_go(visit: Any) -> None:
    page = visit()
    for key in ("j", "j", "k", "j", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("#detail h2")
    chosen = page.locator("tr[aria-selected=true]")
    assert chosen.count() == 1
    assert chosen.locator(".k-name").inner_text() in page.locator("#detail h2").inner_text()
    page.keyboard.press("Escape")
    page.wait_for_selector("#detail", state="detached")
    page.keyboard.press("g")
    page.keyboard.press("n")
    page.wait_for_selector("h1:has-text('Nodes')")
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Search").fill("crm-00077")
    page.keyboard.press("Enter")
    page.wait_for_selector("#detail h2:has-text('crm-00077')")


def test_a_change_at_the_daemon_shows_at_once_and_glows_once(visit: Any, daemon: Any) -> None:
    page = visit()
    page.fill(".field-find input", "crm-00077")
    expect(page.locator("tr[data-id]")).to_have_count(1)
    page.wait_for_selector(".cluster.run")
    daemon.change("vm-00077", state="crashed")
    page.wait_for_selector("tr.changed >> text=Crashed")
    page.wait_for_selector("tr.changed", state="detached")
    daemon.change("vm-00077", state="running")


def test_mistakes_in_a_form_stand_at_their_fields_and_nothing_is_lost(
    visit: Any, daemon: Any, faults: list[str]
) -> None:
    page = visit("#/machines/new")
    page.fill("#f-name", "not a name")
    page.fill("#f-vcpu", "900")
    assert "--name 'not a name'" in page.locator(".twin pre").first.inner_text()
    page.locator(".form-foot .primary").click()
    page.wait_for_selector("#e-name:visible")
    assert "lower-case letters" in page.locator("#e-name").inner_text()
    assert page.locator("#f-vcpu").get_attribute("aria-invalid") == "true"
    assert "2 fields need another value" in page.locator(".form .sum").inner_text()
    page.fill("#f-name", "fresh-01")
    page.fill("#f-vcpu", "2")
    page.fill("#f-memory_mb", "2.5")
    assert '"memory_mb": 2560' in page.locator(".twin pre").nth(1).inner_text()
    page.locator(".form-foot .primary").click()
    page.wait_for_selector("#detail h2:has-text('fresh-01')")
    assert len(daemon.stand.keys) == len(set(daemon.stand.keys)) == 2
    assert all("422" in fault for fault in faults)


def test_a_taken_name_is_said_at_the_name(visit: Any) -> None:
    page = visit("#/machines/new")
    page.fill("#f-name", "crm-00077")
    page.locator(".form-foot .primary").click()
    page.wait_for_selector("#e-name:visible")
    assert "has a machine named crm-00077 already" in page.locator("#e-name").inner_text()


def test_destroying_wants_the_name_and_lists_what_it_hits(visit: Any) -> None:
    page = visit("#/machines/vm-00093")
    page.get_by_role("button", name="More for crm-00093").click()
    page.get_by_role("menuitem", name="Destroy…").click()
    last = page.get_by_role("button", name="Destroy crm-00093")
    assert last.is_disabled()
    assert "10.0.93.7" in page.locator(".blast").inner_text()
    page.get_by_label("Erase its disk too").check()
    assert "erased" in page.locator(".blast").inner_text()
    page.get_by_label("Type crm-00093").fill("crm-0009")
    assert last.is_disabled()
    page.get_by_label("Type crm-00093").fill("crm-00093")
    last.click()
    page.wait_for_selector("#detail", state="detached")
    page.fill(".field-find input", "crm-00093")
    page.get_by_text("Nothing matches").wait_for()


def test_power_buttons_say_what_they_will_do(visit: Any) -> None:
    page = visit("#/machines/vm-00101")
    page.get_by_role("button", name="Shut down…").click()
    dialog = page.get_by_role("alertdialog")
    assert "through its guest agent or ACPI" in dialog.inner_text()
    dialog.get_by_role("button", name=re.compile("^Shut down ")).click()
    page.get_by_role("button", name="Start", exact=True).wait_for()
    page.wait_for_selector("#detail .badge:has-text('Stopped')")


def test_the_serial_port_is_followed_without_its_colours(visit: Any) -> None:
    page = visit("#/machines/vm-00003/serial")
    page.wait_for_selector(".serial:has-text('Started sshd')")
    assert "\x1b" not in page.locator(".serial").inner_text()
    assert "[  OK  ] Started sshd" in page.locator(".serial").inner_text()


def test_names_are_text_whatever_they_hold(visit: Any, faults: list[str]) -> None:
    page = visit("#/machines/vm-00003")
    page.wait_for_selector("#detail h2 >> text=onerror")
    page.get_by_role("button", name=re.compile("^More for")).click()
    page.get_by_role("menuitem", name="Destroy…").click()
    page.wait_for_selector("dialog h2 >> text=onerror")
    assert page.locator("img").count() == 0
    assert faults == []


def test_language_and_theme_change_and_stay(visit: Any) -> None:
    page = visit()
    page.get_by_role("button", name="Türkçe").first.click()
    page.wait_for_selector("h1:has-text('Makineler')")
    assert page.locator("html").get_attribute("lang") == "tr"
    before = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.get_by_role("button", name="Açık veya koyu").first.click()
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != before
    page.reload()
    page.wait_for_selector("h1:has-text('Makineler')")
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_a_lost_stream_is_a_bar_that_says_how_old_the_page_is(visit: Any) -> None:
    page = visit()
    page.wait_for_selector(".cluster.run")
    page.evaluate("import('/store.js').then((store) => { window.lost = store.link; })")
    page.context.set_offline(True)
    page.evaluate("lost.live = false; lost.lostAt = Date.now() - 12000")
    page.wait_for_selector(".age:has-text('What you see is')")


@pytest.mark.parametrize(("width", "scheme", "locale"), LOOKS)
def test_every_page_is_readable_for_everybody(
    visit: Any, faults: list[str], width: int, scheme: str, locale: str
) -> None:
    page = visit(enter=False, width=width, scheme=scheme, locale=locale)
    found = check(page, f"signin-{width}-{scheme}")
    page = visit(width=width, scheme=scheme, locale=locale)
    for name, address in ROOMS.items():
        page.goto(page.url.partition("#")[0] + address)
        page.wait_for_selector(f".main :is({READY}), .detail :is({READY})")
        found += check(page, f"{name}-{width}-{scheme}")
    assert found == []
    assert faults == []


def check(page: Any, name: str) -> list[str]:
    """A picture, and what axe finds; nothing may be wider than the window."""
    page.evaluate(SETTLED)
    (HERE / "shots").mkdir(exist_ok=True)
    page.screenshot(path=str(HERE / "shots" / f"{name}.png"))
    # Through the debugger, as the page's policy lets no foreign script in.
    page.evaluate(AXE.read_text(encoding="utf-8"))
    report = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    found = [f"{name}: {one['id']}: {one['nodes'][0]['html'][:160]}" for one in report["violations"]]
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append(f"{name}: wider than the window")
    return found
