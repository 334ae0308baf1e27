"""What a person does with the panel, in Chromium."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.web.reading import LOOKS, check

pytestmark = pytest.mark.web
HERE = Path(__file__).parent
READY = "tr[data-id], .branch, .tile, .form fieldset, .cap, .facts, .serial, .log"
ROOMS = {
    "overview": "#/overview", "tree": "#/machines?view=tree", "grid": "#/machines?view=grid",
    "tree-found": "#/machines/vm-00077?view=tree&q=crm-0007",
    "grid-found": "#/machines?view=grid&show=attention&q=vpn-000",
    "machines": "#/machines?view=table", "machine": "#/machines/vm-00003",
    "serial": "#/machines/vm-00003/serial",
    "disks": "#/machines/vm-00003/disks", "nics": "#/machines/vm-00003/network",
    "history": "#/machines/vm-00004/history", "failed": "#/machines/vm-00015", "create": "#/machines/new",
    "nodes": "#/nodes", "node": "#/nodes/n1", "images": "#/images", "image": "#/images/im-1", "pull": "#/images/new",
    "upload": "#/images/upload", "network": "#/network", "net": "#/network/net-1", "network-new": "#/network/new",
    "storage": "#/storage", "pool": "#/storage/pool-1", "kept": "#/storage/kept", "storage-new": "#/storage/new",
    "cluster": "#/cluster",
    "operations": "#/operations", "events": "#/events", "settings": "#/settings",
    "user-new": "#/settings/users/new", "token-new": "#/settings/tokens/new",
}  # fmt: skip


def names(page: Any, most: int = 5) -> list[str]:
    return list(page.locator("tr[data-id] .k-name").all_inner_texts()[:most])


def test_a_wrong_password_is_said_in_a_sentence_and_the_right_one_opens(visit: Any) -> None:
    page = visit(enter=False)
    page.fill("[name=username]", "operator")
    page.fill("[name=password]", "wrong")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("the name or the password is wrong").wait_for()
    page.fill("[name=password]", "given")
    page.keyboard.press("Enter")
    page.locator("[name=new-password]").wait_for()
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("[name=password]")).not_to_have_attribute("aria-invalid", "true")
    page.reload()
    page.fill("[name=username]", "operator")
    page.fill("[name=password]", "right")
    page.keyboard.press("Enter")
    page.wait_for_selector(".cluster.fault")
    assert page.evaluate("document.cookie") == ""


def test_ten_thousand_machines_are_a_list_of_few_elements(visit: Any, faults: list[str]) -> None:
    page = visit()
    expect(page.get_by_role("grid")).to_have_attribute("aria-rowcount", "10001")
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


def test_a_query_changed_in_the_address_of_an_open_list_is_applied(visit: Any) -> None:
    page = visit("#/machines?q=10.0.77.7")
    expect(page.locator("tr[data-id]")).to_have_count(1)
    page.goto(page.url.partition("#")[0] + "#/machines?show=running&q=10.0.80.7&sort=vcpu.down")
    page.wait_for_selector("tr[data-id='vm-00080']")
    assert page.locator(".field-find input").input_value() == "10.0.80.7"
    assert "Running" in page.locator(".views [aria-current]").inner_text()
    page.wait_for_selector("th[aria-sort=descending] >> text=vCPU")
    page.go_back()
    page.wait_for_selector("tr[data-id='vm-00077']")


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
    expect(page.get_by_role("dialog", name="Keys")).not_to_contain_text("Make a new one")  # this page has no form
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Search").fill("crm-00077")
    page.keyboard.press("Enter")
    page.wait_for_selector("#detail h2:has-text('crm-00077')")


def test_a_change_at_the_daemon_shows_at_once_and_glows_once(visit: Any, daemon: Any) -> None:
    page = visit()
    page.fill(".field-find input", "crm-00077")
    expect(page.locator("tr[data-id]")).to_have_count(1)
    page.wait_for_selector(".cluster.fault")
    row = page.locator("tr[data-id='vm-00077']")
    daemon.change("vm-00077", state="crashed")
    expect(page.locator("tr.changed")).to_contain_text("Crashed")
    expect(page.locator("tr.changed")).to_have_count(0)
    page.fill(".field-find input", "crm-000")
    daemon.change("vm-00061", state="crashed")
    expect(page.locator("tr.changed[data-id='vm-00061']")).to_be_visible()
    assert "changed" not in (row.get_attribute("class") or "")  # though it was drawn anew
    for vm in ("vm-00061", "vm-00077"):
        daemon.change(vm, state="running")


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


def test_what_needs_a_person_comes_first_with_why_and_where_to_go(visit: Any, daemon: Any) -> None:
    page = visit("#/overview")
    assert page.locator(".needs li").first.locator(".shape.fault").count() == 1
    assert "2 GiB free, the disk needs 8 GiB more" in page.locator(".needs").inner_text()
    pool = {**daemon.stand.world["pools"]["pool-1"], "id": "pool-9", "name": "scratch", "problem": "no such directory"}
    daemon.put("pools", "pool", {**pool, "problem": ""})
    page.goto(page.url.partition("#")[0] + "#/storage")
    page.wait_for_selector("tr[data-id='pool-9']")
    daemon.put("pools", "pool", pool)
    page.wait_for_selector("tr.changed >> text=Failed")
    page.locator("tr[data-id='pool-9']").click()
    page.wait_for_selector("#detail .verdict.fault:has-text('no such directory')")


def test_nothing_moves_under_the_pointer(visit: Any, daemon: Any) -> None:
    page = visit("#/machines?sort=state&q=vpn-000")
    page.wait_for_selector("tr[data-id='vm-00007']")
    page.locator("tr[data-id='vm-00007']").hover()
    before = page.locator("tr[data-id]").evaluate_all("rows => rows.map((row) => row.dataset.id)")
    assert len(before) > 5
    daemon.change("vm-00007", state="crashed")
    page.wait_for_selector("tr[data-id='vm-00007'] >> text=Crashed")
    assert page.locator("tr[data-id]").evaluate_all("rows => rows.map((row) => row.dataset.id)") == before
    page.mouse.move(2, 2)
    # Not wait_for_function: it evaluates a string in the page, which its own policy forbids.
    expect(page.locator("tr[data-id]").first).to_have_attribute("data-id", "vm-00007", timeout=30_000)
    daemon.change("vm-00007", state="running")


def test_a_machine_is_made_and_opened_without_a_mouse_and_the_focus_is_always_seen(visit: Any, daemon: Any) -> None:
    page = visit("#/overview")

    def seen() -> bool:
        return bool(page.evaluate(
            "(() => { const e = document.activeElement, s = getComputedStyle(e);"
            " return e !== document.body && s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2; })()"
        ))  # fmt: skip

    for key in ("g", "m"):
        page.keyboard.press(key)
    page.wait_for_selector("tr[data-id]")
    page.keyboard.press("c")
    page.wait_for_selector("#f-name:focus")
    page.keyboard.type("by-keys")
    hidden = []
    for _ in range(30):
        page.keyboard.press("Tab")
        if not seen():
            hidden.append(page.evaluate("document.activeElement.outerHTML.slice(0, 120)"))
        if page.evaluate("document.activeElement.matches('.form-foot .primary')"):
            break
    assert hidden == []
    page.keyboard.press("Enter")
    page.wait_for_selector("#detail h2:has-text('by-keys')")
    page.keyboard.press("Escape")
    page.wait_for_selector("#detail", state="detached")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "grid"


def test_the_palette_knows_deeds_and_their_machines(visit: Any) -> None:
    page = visit()
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Search").fill("serial crm-00077")
    page.get_by_role("option", name="Serial output crm-00077").wait_for()
    page.keyboard.press("Enter")
    expect(page.locator(".serial")).to_contain_text("Started sshd")


def test_all_scripts_and_styles_fit_their_budget() -> None:
    import gzip

    web = HERE.parents[1] / "assets" / "web"
    sizes = {suffix: sum(len(gzip.compress(path.read_bytes(), 6)) for path in web.rglob(f"*.{suffix}"))
             for suffix in ("js", "css")}  # fmt: skip
    assert sizes["js"] <= 250_000
    assert sizes["css"] <= 40_000


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


def test_a_lost_stream_is_a_bar_that_says_how_old_the_page_is_and_goes_again(visit: Any, daemon: Any) -> None:
    page = visit()
    page.wait_for_selector(".cluster.fault")
    daemon.cut(True)
    expect(page.locator(".age")).to_contain_text("What you see is")
    expect(page.locator(".cluster.attn")).to_contain_text("No connection")
    daemon.cut(False)
    expect(page.locator(".age")).to_have_count(0, timeout=20_000)
    expect(page.locator(".cluster.fault")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme", "locale"), LOOKS)
def test_every_page_is_readable_for_everybody(
    visit: Any, faults: list[str], width: int, scheme: str, locale: str
) -> None:
    page = visit(enter=False, width=width, scheme=scheme, locale=locale)
    found = check(page, f"signin-{width}-{scheme}")
    page = visit(width=width, scheme=scheme, locale=locale)
    for name, address in ROOMS.items():
        page.goto(page.url.partition("#")[0] + address)
        page.wait_for_selector(f".main :is({READY})")
        found += check(page, f"{name}-{width}-{scheme}")
    assert found == []
    assert faults == []
