"""What the server says in English is read in Turkish; what the page does not know stays English, and is marked so."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from playwright.sync_api import expect

from girginosvm.core.words import TEXTS, Said
from tests.web.stand import operation

pytestmark = pytest.mark.web
STEPS = [code for code in TEXTS if code.startswith("step.")]


@pytest.fixture
def operations(daemon: Any) -> Any:
    """Running operations in the place of what there was, by the step that each stands at."""
    kept = dict(daemon.stand.world["operations"])
    yield lambda rows: daemon.stand.world.update(operations={row["id"]: row for row in rows})
    daemon.stand.world["operations"] = kept


def at(number: int, text: str, said: Said | None) -> dict[str, Any]:
    return {**operation(number, "running"), "step": text, "step_said": msgspec.to_builtins(said)}


def steps() -> list[Said]:
    """Each of them, with values that no language changes."""
    return [Said(code, {name: f"x{name}" for name in re.findall(r"\{(\w+)\}", TEXTS[code])}) for code in STEPS]


def test_no_step_of_an_operation_is_english_on_a_turkish_page(visit: Any, operations: Any) -> None:
    said = steps()
    operations(at(n, one.text, one) for n, one in enumerate(said))
    page = visit("#/operations", locale="tr-TR")
    expect(page.locator("tr[data-id]")).to_have_count(len(said))
    page.locator(".drawer summary").click()
    text = page.inner_text("body")
    assert "xbridge köprüsü hazır değil" in text
    assert [one.text for one in said if one.text in text] == []
    assert page.locator("[lang=en]").count() == 0


def test_a_step_that_the_page_does_not_know_is_shown_as_it_came(visit: Any, operations: Any) -> None:
    newer = Said("step.of-a-newer-release", {"name": "x"})
    operations([at(1, "a step of last year", None), at(2, "a step of next year", newer)])
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
