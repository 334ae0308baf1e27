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


def test_an_image_is_deleted_by_its_name_only_and_the_deed_can_be_copied(visit: Any, daemon: Any) -> None:
    page = visit("#/images/im-1")
    page.get_by_role("button", name="Delete…").click()
    dialog = page.get_by_role("alertdialog")
    assert "erased" in dialog.locator(".blast").inner_text()
    dialog.locator("summary").click()
    assert "girginosvm image rm almalinux-10" in dialog.locator("pre").first.inner_text()
    last = dialog.get_by_role("button", name="Delete almalinux-10")
    assert last.is_disabled()
    kept = daemon.stand.world["images"]["im-1"]
    dialog.get_by_label("Type almalinux-10").fill("almalinux-10")
    last.click()
    page.wait_for_selector("tr[data-id='im-1']", state="detached")
    daemon.put("images", "image", kept)


def test_a_network_in_use_stays_and_the_refusal_is_said_in_the_question(visit: Any, faults: list[str]) -> None:
    page = visit("#/network/net-1")
    page.get_by_role("button", name="Delete…").click()
    dialog = page.get_by_role("alertdialog")
    dialog.get_by_role("button", name="Remove default").click()
    dialog.get_by_role("alert").get_by_text("12 interfaces are plugged into network default").wait_for()
    assert all("409" in fault for fault in faults)


def test_a_kept_disk_is_listed_with_its_action_and_forgotten(visit: Any, daemon: Any) -> None:
    page = visit("#/storage")
    page.get_by_role("link", name="Kept disks").click()
    page.get_by_role("button", name="Forget the disk of old-shop…").click()
    dialog = page.get_by_role("alertdialog")
    assert "stays" in dialog.locator(".blast").inner_text()
    kept = daemon.stand.world["disks"]["disk-1"]
    dialog.get_by_role("button", name="Forget the disk of old-shop").click()
    page.get_by_text("No disk is kept").wait_for()
    daemon.put("disks", "disk_kept", kept)


def test_a_file_becomes_an_image_and_its_command_line_is_ready(visit: Any, daemon: Any, tmp_path: Path) -> None:
    (tmp_path / "rocky.qcow2").write_bytes(b"QFI\xfb" + bytes(100))
    page = visit("#/images/upload")
    page.fill("#f-name", "rocky-10")
    page.set_input_files("#f-file", tmp_path / "rocky.qcow2")
    assert page.locator(".twin pre").first.inner_text() == "girginosvm image upload rocky-10 --file rocky.qcow2"
    page.get_by_role("button", name="Upload").click()
    page.wait_for_selector("tr[data-id='im-new']")
    assert daemon.stand.uploads == [("rocky-10", (tmp_path / "rocky.qcow2").read_bytes())]


def test_a_token_is_shown_once_and_the_command_line_names_it_first(visit: Any) -> None:
    page = visit("#/settings/tokens/new")
    page.fill("#f-name", "backup")
    assert page.locator(".twin pre").first.inner_text() == "girginosvm token create backup"
    page.locator(".form-foot .primary").click()
    page.wait_for_selector("dialog .once:has-text('gvm_shown_once')")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Revoke backup…").wait_for()
    assert "gvm_shown_once" not in page.content()


def test_how_long_history_is_kept_is_shown_to_all_and_changed_by_an_administrator(visit: Any, daemon: Any) -> None:
    section = visit("#/settings").locator(".retention")
    expect(section).to_contain_text("400 days")
    section.get_by_role("button", name="Change…").click()
    page = section.page
    page.fill("[name=event_days]", "30")
    page.fill("[name=operation_days]", "0")
    assert "girginosvm retention set --event-days 30 --operation-days 0 --yes" in page.locator("dialog").text_content()
    page.get_by_role("button", name="Keep it so long").click()
    expect(section).to_contain_text("30 days")
    expect(section).to_contain_text("for ever")
    assert daemon.stand.retention == {"event_days": 30, "operation_days": 0}
    looks = visit("#/settings", person="viewer").locator(".retention")
    expect(looks).to_contain_text("30 days")
    expect(looks.get_by_role("button")).to_have_count(0)


def test_a_password_is_never_written_into_the_twins(visit: Any) -> None:
    page = visit("#/settings/users/new")
    page.fill("#f-email", "a@example.org")
    page.fill("#f-password", "not for the shell history")
    assert "girginosvm user create a@example.org" in page.locator(".twin pre").first.inner_text()
    assert "history" not in page.locator(".twins").inner_text()


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
    page.wait_for_selector(".serial:has-text('Started sshd')")


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
    page.wait_for_selector(".age:has-text('What you see is')")
    page.wait_for_selector(".cluster.attn:has-text('No connection')")
    daemon.cut(False)
    page.wait_for_selector(".age", state="detached", timeout=20_000)
    page.wait_for_selector(".cluster.fault")


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
