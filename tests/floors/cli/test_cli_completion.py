"""Completion as a person has it: bash sources the script, and Tab asks the executable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).parents[3]
# What bash does on Tab (bash(1), Programmable Completion), with the last word as the one to complete.
TAB = """
source <(girginosvm completion bash)
complete -p girginosvm >/dev/null || exit 9
COMP_WORDS=(girginosvm "$@"); COMP_CWORD=$#; COMP_LINE="${COMP_WORDS[*]}"; COMP_POINT=${#COMP_LINE}
_girginosvm
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def tab(agent: Any, tmp_path: Path) -> Any:
    program = tmp_path / "bin/girginosvm"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m girginosvm "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(REPO),
        "GIRGINOSVM_SOCKET": agent.socket_path,
    }  # fmt: skip

    def press(*words: str) -> list[str]:
        done = subprocess.run(
            ["bash", "--norc", "-c", TAB, "bash", *words], capture_output=True, text=True, env=environment, timeout=30,
            check=False, cwd=tmp_path,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.split()

    return press


def test_tab_completes_verbs_flags_choices_and_codes(tab: Any) -> None:
    assert tab("v") == ["vm"]
    assert {"create", "list", "destroy", "serial"} <= set(tab("vm", ""))
    assert tab("vm", "create", "--mem") == ["--memory"]
    assert tab("vm", "create", "--firmware", "") == ["auto", "bios", "uefi"]
    assert tab("explain", "pool-fu") == ["pool-full"]
    assert tab("nothing", "at", "all") == []


def test_tab_completes_names_from_the_node_and_nothing_that_a_shell_would_run(agent: Any, tab: Any) -> None:
    rows = [{"name": "web01"}, {"name": "web02"}, {"name": "web$(touch hacked)"}, {"name": "web\x1b[31m"}]
    agent.on("GET", "/v1/vms?limit=200", (200, {"items": rows, "next": ""}))
    assert tab("vm", "show", "we") == ["web01", "web02"]
    assert len(agent.asked) == 1
