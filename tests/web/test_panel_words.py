"""Catalogues of the panel: complete, used, and in both languages. Needs no browser."""

import json
import re
from pathlib import Path

import pytest

CHECKS = Path(__file__).resolve().parents[2] / "girginosvm/features/diagnostics/checks.py"
WEB = Path(__file__).resolve().parents[2] / "assets" / "web"
_LINE = re.compile(r'^  ("(?:[^"\\]|\\.)+"): ("(?:[^"\\]|\\.)*"),$', re.M)
_STRING = re.compile(r'"([a-z][a-z0-9-]*(?:\.[A-Za-z0-9_-]+)*)"')
_BUILT = re.compile(r"`([a-z]*\.?)\$\{[^}]*\}(\.?[a-z]*)`")


def catalogue(language: str) -> dict[str, str]:
    """The texts of a language by key."""
    text = (WEB / "i18n" / f"{language}.js").read_text(encoding="utf-8")
    return {json.loads(key): json.loads(value) for key, value in _LINE.findall(text)}


def scripts() -> str:
    """All code of the panel but the catalogues."""
    files = [path for path in WEB.rglob("*.js") if path.parent.name not in ("i18n", "vendor")]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def test_both_languages_have_the_same_keys() -> None:
    assert catalogue("en").keys() == catalogue("tr").keys()
    assert len(catalogue("en")) > 200


def test_no_text_is_empty_and_placeholders_agree() -> None:
    english, turkish = catalogue("en"), catalogue("tr")
    for key, text in english.items():
        assert text.strip(), key
        assert turkish[key].strip(), key
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", turkish[key])), key


def test_what_the_doctor_looks_at_has_a_name() -> None:
    names = {name.replace(" ", "-") for name in re.findall(r'said\(\s*"([a-z ]+)"', CHECKS.read_text(encoding="utf-8"))}
    assert names == {key.removeprefix("checked.") for key in catalogue("en") if key.startswith("checked.")}


def test_every_text_that_is_asked_for_exists() -> None:
    english = catalogue("en")
    asked = set(re.findall(r'\b(?:t|known|column)\("([^"]+)"', scripts()))
    assert len(asked) > 100
    assert sorted(key for key in asked if key not in english and key.count(".") + key.count("-")) == []


def test_every_text_is_used() -> None:
    code = scripts()
    plain = set(_STRING.findall(code))
    built = [(head, tail) for head, tail in _BUILT.findall(code) if head or tail]

    def made(key: str) -> bool:
        return any(key.startswith(head) and key.endswith(tail) and len(key) > len(head + tail) for head, tail in built)

    assert sorted(key for key in catalogue("en") if key not in plain and not made(key)) == []


@pytest.mark.parametrize("name", ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", ".style."])
def test_no_script_can_make_markup_or_inline_styles(name: str) -> None:
    code = scripts().replace(".style.setProperty(", "")
    assert name not in code


def test_no_markup_has_inline_scripts_or_styles_or_foreign_addresses() -> None:
    page = (WEB / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=|https?://", page)


def test_styles_take_colours_from_the_tokens_only() -> None:
    for name in ("base.css", "frame.css", "rooms.css"):
        text = (WEB / name).read_text(encoding="utf-8")
        assert re.findall(r"#[0-9a-f]{3,8}\b|rgb\(|hsl\(", text) == [], name
