"""What a person does in the panel's forms and questions, in Chromium: what is asked before, and what is said after."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.web


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
