"""The generated table: equal to the rooms, and enough for a start that imports nothing heavy."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest

from girginosvm.cli import catalogue, describe, render, trouble
from girginosvm.core import errors
from girginosvm.core.action import Command, Page, action
from girginosvm.core.fields import field
from girginosvm.core.manifest import Manifest, Registry
from girginosvm.features.registry import REGISTRY

HEAVY = ("aiohttp", "asyncio", "libvirt", "rich", "rich_argparse", "msgspec", "apsw", "cryptography", "pyroute2")


@action("GET /v1/toys", cli="toy list", permission="toy.read", summary="List toys")
class ListToys(Page, frozen=True, kw_only=True):
    """A page of toys."""


@action("DELETE /v1/toys/{toy}", cli="toy break", permission="toy.delete", summary="Break a toy", destroys=True)
class BreakToy(Command, frozen=True, kw_only=True):
    """Break it."""

    toy: Annotated[str, field("Toy.", ref="toy")]
    memory_mb: Annotated[int, field("Size.", flag="memory", unit="MiB")] = 1
    how: Annotated[Literal["softly", "hard"], field("How.")] = "softly"
    tags: Annotated[tuple[Annotated[str, field("Tag.")], ...], field("Tags.", flag="tag")] = ()


def test_the_golden_catalogue_is_what_the_rooms_define() -> None:
    if os.environ.get("GOLDEN") == "write":
        describe.main()
    written = Path(catalogue.__file__).read_text(encoding="utf-8")
    assert written == describe.source(REGISTRY), "run `make golden`"


def test_an_action_becomes_a_verb_with_its_fields() -> None:
    verbs, places = describe.table(Registry((Manifest("toy", actions=(ListToys, BreakToy)),)))
    assert places == {"toy": "/v1/toys"}
    broken = verbs[0]
    assert (broken["cli"], broken["way"], broken["destroys"]) == ("toy break", "command", True)
    assert broken["positionals"] == ["toy"]
    by_name = {one["name"]: one for one in broken["fields"]}
    assert by_name["memory_mb"]["flag"] == "memory"
    assert by_name["memory_mb"]["unit"] == "MiB"
    assert set(by_name["how"]["choices"]) == {"softly", "hard"}
    assert (by_name["tags"]["type"], by_name["tags"]["item"]) == ("list", "str")
    assert verbs[1]["paged"] is True


def test_exit_codes_are_those_of_the_problem_families() -> None:
    assert {name: family.exit_code for name, family in errors.FAMILIES.items()} == trouble.EXITS


def test_columns_are_of_verbs_that_exist() -> None:
    names = {verb["cli"] for verb in catalogue.VERBS}
    assert set(render.COLUMNS) <= names


@pytest.mark.parametrize("words", [["vm", "list"], ["--version"], ["completion", "bash"], ["__complete", "vm", ""], []])
def test_a_start_imports_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    code = (
        "import sys, json; sys.argv = ['girginosvm', *json.loads(sys.argv[1])]\n"
        "from girginosvm.__main__ import main\n"
        "main(); sys.stderr.write('\\n' + json.dumps(sorted(m for m in sys.modules)))"
    )
    environment = {**os.environ, "GIRGINOSVM_SOCKET": str(tmp_path / "none.sock")}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, json.dumps(words)],
        capture_output=True, text=True, env=environment, timeout=30, check=False, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert "girginosvm.__main__" in loaded
    assert sorted(loaded & set(HEAVY)) == []
