"""Every problem code in the code has a page, every page a code, and what a page tells to run can be run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from girginosvm.cli import verbs
from girginosvm.cli.catalogue import VERBS
from girginosvm.core import pages
from girginosvm.core.errors import FAMILIES
from girginosvm.features.registry import REGISTRY

PACKAGE = Path(__file__).parents[2] / "girginosvm"
# Where a code is worked out instead of written: which codes these can be. A place that is not here fails.
WORKED_OUT: dict[tuple[str, str], list[str]] = {
    ("daemon/execute.py", "f'{noun}-missing'"): [f"{noun}-missing" for noun in REGISTRY.resolvers],
    ("hypervisor/libvirt/loop.py", "code"): ["domain-missing", "libvirt-unreachable", "libvirt-refused"],
    ("daemon/recovery.py", "verdict.code"): [
        f"recover-{what}"
        for what in (
            "halted",
            "no-log",
            "needless",
            "itself",
            "answers",
            "unaccounted",
            "unheard",
            "elsewhere",
        )
    ],
    ("daemon/survivor.py", "verdict.code"): [],  # the same
    # The others that `disk_fault` can be given stand where it is called.
    ("core/errors.py", "'disk-full' if full else code"): ["disk-full"],
    # What its match leaves of plan.OBSTACLES.
    ("features/node/api.py", "code"): [
        "memory-short",
        "pool-full",
        "node-cordoned",
        "node-unheard",
        "firmware-missing",
        "group-apart",
    ],
    ("raft/alone.py", "code"): ["journal-full", "journal-faulty"],
    ("http/decode.py", "'query-invalid' if lax else 'body-invalid'"): ["query-invalid", "body-invalid"],
    # Passed on, or injected by a test into the fake host.
    ("core/errors.py", "body.code"): [],
    ("cli/local.py", "problem.code"): [],
    ("cli/trouble.py", "code"): [],
    ("cli/client.py", "code"): [],
    ("hypervisor/fake/state.py", "fault['code']"): [],
}
CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def said(tree: ast.AST, known: dict[str, list[str]]) -> Iterator[str]:
    """Codes in one module: of every problem made there, and of problems that are only written down."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            place = 1 if name == "Trouble" else 0 if name in FAMILIES or name in ("family", "disk_fault") else None
            if place is not None and len(node.args) > place:
                yield from meant(node.args[place], known)
            for word in node.keywords:
                if word.arg in ("code", "problem_code") and isinstance(word.value, ast.Constant):
                    yield str(word.value.value)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "code" and isinstance(value, ast.Constant):
                    yield str(value.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"problem_code = '([^']+)'", node.value)


def meant(word: ast.expr, known: dict[str, list[str]]) -> list[str]:
    if isinstance(word, ast.Constant) and isinstance(word.value, str):
        return [word.value]
    text = ast.unparse(word)
    assert text in known, f"a problem's code is worked out as {text}: say in WORKED_OUT which codes that can be"
    return known[text]


def in_use() -> set[str]:
    found: set[str] = set()
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        known = {text: codes for (place, text), codes in WORKED_OUT.items() if place == name}
        found |= set(said(ast.parse(file.read_text(encoding="utf-8")), known))
    return found - {""}


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    used, written = in_use(), set(pages.codes())
    assert sorted(used - written) == [], "codes without a page in assets/problems"
    assert sorted(written - used) == [], "pages without a code"
    assert all(CODE.fullmatch(code) for code in used)


def test_the_search_for_codes_sees_what_it_is_for() -> None:
    text = (
        "raise Invalid('one-a', 'x')\nreturn errors.Busy('two-b', 'y')\nTrouble('Invalid', 'three-c', 'z')\n"
        "finish(code='four-d')\ntx.run(\"UPDATE x SET problem_code = 'five-e'\")\nf({'code': 'six-f'})"
    )
    assert set(said(ast.parse(text), {})) == {"one-a", "two-b", "three-c", "four-d", "five-e", "six-f"}
    with pytest.raises(AssertionError, match="worked out"):
        list(said(ast.parse("raise Busy(kind, 'x')"), {}))


@pytest.mark.parametrize("code", pages.codes())
def test_a_page_says_what_it_means_and_what_to_run(code: str) -> None:
    page = pages.find(code)
    assert page is not None
    words = " ".join(page.paragraphs).split()
    assert 25 <= len(words) <= 110, "some sentences, no essay"
    assert page.title != code
    assert len(page.title) <= 70
    assert not page.title.endswith(".")
    for line in page.commands:
        program, *rest = line.split()
        assert program in {"girginosvm", "systemctl", "journalctl", "dmesg", "df", "ls", "ip", "nft", "virsh", "sudo",
                           "qemu-img", "findmnt", "cat"}, line  # fmt: skip
        if program == "girginosvm" and rest != ["--help"] and rest != ["--version"]:
            assert can_run(rest), line


def can_run(words: list[str]) -> bool:
    """The command line takes these words; capitals and other stand-ins are values."""
    while words[0].startswith("--"):
        words = words[2:]
    verb, taken = verbs.find((*VERBS, *verbs.LOCAL), words)
    if verb is None:
        return False
    if "--help" in words:
        return True
    options = {f"--{field['flag']}": field for field in verb["fields"]} | {"--dry-run": {"type": "bool"}}
    if verb["way"] == "stream" and verb["method"] != "GET":
        options["--file"] = {"type": "str"}
    rest, given = words[taken:], 0
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            given += 1
        elif word not in options:
            return False
        elif options[word]["type"] != "bool":
            rest.pop(0)
    return given == len(verb["positionals"]) or (given == 0 and verb["cli"] in ("explain", "doctor bundle"))
