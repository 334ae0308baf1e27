"""Every sentence that the server makes and the panel shows is one of a catalogue, in each of the panel's languages:
what the doctor says and advises, the quorum, placement, steps of operations, the feature level, what history says."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from girginosvm.core import words as core
from girginosvm.core.fields import extra_of
from girginosvm.features.diagnostics import words
from girginosvm.features.node.words import TEXTS as PLACED
from girginosvm.features.registry import REGISTRY
from girginosvm.hypervisor.libvirt.states import power_of

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "girginosvm"
CHECKS = PACKAGE / "features/diagnostics/checks.py"
SAID = {"check.": words.TEXTS, "advice.": words.ADVICE, "placed.": PLACED, "says.": core.TEXTS}
LINE = re.compile(r'^  ("(?:[^"\\]|\\.)+"): ("(?:[^"\\]|\\.)*"),$', re.M)
# What a piece of advice may consist of and still be the same in every language.
PROGRAMS = ("girginosvm", "systemctl", "journalctl", "grep", "dmesg", "tail", "df", "ls", "ss", "virsh", "dnf",
            "timedatectl")  # fmt: skip


def catalogue(language: str) -> dict[str, str]:
    text = (ROOT / f"assets/web/i18n/{language}.js").read_text(encoding="utf-8")
    return {json.loads(key): json.loads(value) for key, value in LINE.findall(text)}


@pytest.mark.parametrize("prefix", SAID)
def test_the_panel_has_each_sentence_word_for_word_and_in_turkish(prefix: str) -> None:
    english, turkish = catalogue("en"), catalogue("tr")
    here = {key.removeprefix(prefix): text for key, text in english.items() if key.startswith(prefix)}
    assert here == SAID[prefix]
    for code, text in here.items():
        assert set(re.findall(r"\{\w+\}", turkish[prefix + code])) == set(re.findall(r"\{\w+\}", text)), code


def test_what_is_left_in_english_is_no_sentence() -> None:
    english, turkish = catalogue("en"), catalogue("tr")
    same = {key: text for key, text in english.items() if key.startswith(tuple(SAID)) and turkish[key] == text}
    for key, text in same.items():
        if key.startswith("advice."):
            parts = re.split(r"; | \| ", text)
            assert [part for part in parts if part.split()[0] not in PROGRAMS or ", " in part] == [], key
    assert {text for key, text in same.items() if not key.startswith("advice.")} <= {
        "{why}", "libvirt {libvirt}, QEMU {qemu}, KVM", "{first}; {rest}", "{name}",
    }  # fmt: skip


def test_nothing_but_the_catalogue_makes_a_check_and_each_bad_one_has_advice() -> None:
    made = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py") for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Check"
    }  # fmt: skip
    assert made == {"features/diagnostics/words.py"}
    calls = [
        node for node in ast.walk(ast.parse(CHECKS.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "said"
    ]  # fmt: skip
    assert len(calls) > 50
    for call in calls:
        well = isinstance(call.args[1], ast.Constant) and call.args[1].value == "ok"
        assert well or len(call.args) == 4, ast.unparse(call)
        for place, texts in zip(call.args[2:], (words.TEXTS, words.ADVICE), strict=False):
            assert not isinstance(place, ast.Constant) or place.value in texts, ast.unparse(call)
    told = {one.value for call in calls for one in ast.walk(call) if isinstance(one, ast.Constant)}
    built = {f"certificate.{kind}" for kind in ("ca", "server")} | {
        code for code in words.ADVICE if code.startswith("machines.")
    }
    assert set(words.ADVICE) - told - built == set()


SPEAKERS = ("core/levels.py", "features/vm/plan.py", "features/vm/wanted.py", "features/vm/news.py",
            "hypervisor/libvirt/probe.py", "http/wording.py")  # fmt: skip


def test_every_sentence_that_is_said_by_its_code_is_of_the_catalogue_and_none_is_left_over() -> None:
    told = {
        code for path in SPEAKERS
        for code in re.findall(
            r'"((?:step|level|acceleration|fault)\.[a-z-]+)"', (PACKAGE / path).read_text(encoding="utf-8")
        )
    }  # fmt: skip
    plain = {"step.accepted", "step.done", "step.failed", "fault.missing"}  # where they are said they need no values
    silent = {code for code in core.TEXTS if "silent" in code}
    here = {code for code in core.TEXTS if not code.startswith(("event.", "wants."))}
    assert {"level.silent"} | here == told | plain | silent


def test_what_a_field_takes_is_of_the_catalogue_and_nothing_is_left_over() -> None:
    wants = {
        words["wants"] for kind in REGISTRY.actions for words in extra_of(kind).values() if words.get("wants")
    }  # fmt: skip
    kinds = {f"wants.{kind}" for kind in ("int", "float", "str", "bool", "array", "object", "null")}  # msgspec's
    assert wants == {text for code, text in core.TEXTS.items() if code.startswith("wants.") and code not in kinds}


@pytest.mark.parametrize("code", [code for code in core.TEXTS if code.startswith("step.")])
def test_a_step_is_read_out_of_the_text_that_is_kept(code: str) -> None:
    values: dict[str, str | int | list[core.Said]] = {
        name: f"{name}-1; of {{it}}" if name == "why" else f"{name}-1"
        for name in re.findall(r"\{(\w+)\}", core.TEXTS[code])
    }
    sentence = core.Said(code, values)
    assert core.read(sentence.text, "step") == sentence


def test_what_is_no_sentence_of_the_catalogue_is_not_read_as_one() -> None:
    assert core.read("building", "step") is None
    assert core.read("image  is being copied from ", "step") is None
    assert core.read("no node supports more than feature level 1", "step") is None


def test_every_word_of_libvirts_for_a_state_is_in_both_languages() -> None:
    said = {power_of(state, number)[1] for state in range(8) for number in range(32)} - {""}
    assert len(said) > 15
    wanted = {f"reason.{word.replace(' ', '-')}" for word in said | {"no domain on the host"}}
    for language in ("en", "tr"):
        assert {key for key in catalogue(language) if key.startswith("reason.")} == wanted


def test_every_problem_has_the_name_of_its_page_and_one_in_turkish() -> None:
    names = {
        f"title.{page.stem}": page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        for page in (ROOT / "assets/problems").glob("*.md")
    }
    english, turkish = catalogue("en"), catalogue("tr")
    assert {key: text for key, text in english.items() if key.startswith("title.")} == names
    assert [key for key in names if turkish[key] == english[key]] == []
