"""What the server says in English is read in Turkish; what the page does not know stays English, and is marked so."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from playwright.sync_api import expect

from girginosvm.core.words import TEXTS, Said
from tests.web.stand import event, operation

pytestmark = pytest.mark.web


@pytest.fixture
def instead(daemon: Any) -> Any:
    """`instead(kind, rows)`: other rows in the place of what there was."""
    kept = dict(daemon.stand.world)
    yield lambda kind, rows: daemon.stand.world.update({kind: {row["id"]: row for row in rows}})
    daemon.stand.world.update(kept)


def at(number: int, text: str, said: Said | None) -> dict[str, Any]:
    return {**operation(number, "running"), "step": text, "step_said": msgspec.to_builtins(said)}


def every(kind: str) -> list[Said]:
    """Each sentence of it, with values that no language changes."""
    return [
        Said(code, {name: f"x{name}" for name in re.findall(r"\{(\w+)\}", text)})
        for code, text in TEXTS.items() if code.startswith(f"{kind}.")
    ]  # fmt: skip


def test_no_step_of_an_operation_is_english_on_a_turkish_page(visit: Any, instead: Any) -> None:
    said = every("step")
    instead("operations", (at(n, one.text, one) for n, one in enumerate(said)))
    page = visit("#/operations", locale="tr-TR")
    expect(page.locator("tr[data-id]")).to_have_count(len(said))
    page.locator(".drawer summary").click()
    text = page.inner_text("body")
    assert "xbridge köprüsü hazır değil" in text
    assert [one.text for one in said if one.text in text] == []
    assert page.locator("[lang=en]").count() == 0


def test_a_step_that_the_page_does_not_know_is_shown_as_it_came(visit: Any, instead: Any) -> None:
    newer = Said("step.of-a-newer-release", {"name": "x"})
    instead("operations", [at(1, "a step of last year", None), at(2, "a step of next year", newer)])
    page = visit("#/operations", locale="tr-TR")
    expect(page.locator("td [lang=en]")).to_have_text(["a step of next year", "a step of last year"])


def test_why_the_feature_level_stays_and_why_a_machine_runs_are_turkish(visit: Any) -> None:
    page = visit("#/cluster", locale="tr-TR")
    expect(page.locator(".facts")).to_contain_text(
        "özellik düzeyi 2 şunları bekliyor: n3 (0.1.0 sürümü düzey 1 destekler)"
    )
    assert "waits for" not in page.inner_text("main")
    page = visit("#/machines/vm-00001", locale="tr-TR")
    expect(page.locator(".verdict")).to_contain_text("önyüklendi")
    assert "booted" not in page.inner_text("#detail")


def test_no_line_of_history_is_english_on_a_turkish_page(visit: Any, instead: Any) -> None:
    said = every("event")
    instead("events", (event(n, one) for n, one in enumerate(said)))
    page = visit("#/events", locale="tr-TR")
    page.set_viewport_size({"width": 1440, "height": 60 * len(said)})  # the table draws what is in sight
    expect(page.locator("tr[data-id]")).to_have_count(len(said))
    text = page.inner_text("main")
    assert [one.text for one in said if one.text in text] == []
    assert page.locator("main [lang=en]").count() == 0


def test_words_inside_a_line_of_history_are_turkish_too(visit: Any, instead: Any) -> None:
    lines = [
        Said("event.vm.running", {"name": "web01", "reason": "booted"}),
        Said("event.user.created", {"email": "ada", "role": "viewer"}),
        Said("event.vm.stray.unknown", {"domain": "web01", "node": "n1", "power": "running"}),
    ]
    instead("events", (event(n, one) for n, one in enumerate(lines)))
    for address in ("#/overview", "#/machines/vm-00000/history"):
        page = visit(address, locale="tr-TR")
        for line in ("çalışıyor: önyüklendi", "rolü: izleyici", "n1 üzerindeki web01 domain'i (çalışıyor)"):
            expect(page.locator("main")).to_contain_text(line)


def test_why_a_node_has_acceleration_and_what_is_wrong_with_a_field_are_turkish(visit: Any) -> None:
    page = visit("#/nodes/n1", locale="tr-TR")
    expect(page.locator("main")).to_contain_text("Bir deneme konuğu KVM ile 212 ms içinde çalıştı.")
    page = visit("#/machines/new", locale="tr-TR")
    page.fill("[name=name]", "web01")
    page.fill("[name=vcpu]", "600")
    page.locator("button[type=submit]").click()
    expect(page.locator("#e-vcpu")).to_have_text("en çok 512 olabilir, 600 olmaz")


def test_a_problem_begins_with_its_turkish_name(visit: Any) -> None:
    full = "Havuzda yeterli yer kalmadı: pool default on n1 would pass its reserve: 64 GiB asked, 41 GiB free"
    page = visit("#/operations", locale="tr-TR")
    expect(page.locator("td .bad")).to_have_text(full)
    page = visit("#/overview", locale="tr-TR")
    expect(page.locator("main")).to_contain_text(full)
    page = visit("#/machines/new", locale="tr-TR")
    page.fill("[name=name]", "shop-db-00001")
    page.locator("button[type=submit]").click()
    expect(page.locator("#e-name")).to_contain_text("Projede bu adda bir makine var: project default")
    page = visit("#/operations")
    expect(page.locator("td .bad")).to_have_text(full.partition(": ")[2])
