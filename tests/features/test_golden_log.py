"""Recorded logs replay to the rows that they made when they were recorded: commands are forever.

`make golden` records this release's log anew. Those of releases before it are never written again: when one of them
ends elsewhere, a command has changed its outcome, and needs a new version instead.
"""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from features.engine import Engine
from features.replay import read, replay
from features.story import tell

from girginosvm import __version__
from girginosvm.features.registry import REGISTRY

ROOT = Path(__file__).parents[2]
LOGS = ROOT / "tests/golden/log"
THIS = LOGS / f"{__version__}.log"
# What only the node that was asked can turn into a command that does something; and a level that no release has yet
# (tests/floors/state/test_levels.py goes there).
NEVER_DONE = {"PullImage", "RaiseLevel"}


def test_the_golden_log_is_the_story_of_this_release():
    engine = Engine()
    tell(engine)
    engine.close()
    entries = tuple(engine.log)
    if os.environ.get("GOLDEN") == "write":
        LOGS.mkdir(exist_ok=True)
        THIS.write_bytes(msgspec.msgpack.encode(entries))
        THIS.with_suffix(".txt").write_text("".join(f"{line}\n" for line in replay(entries)), encoding="utf-8")
    assert entries == read(THIS), "the story tells another log: run `make golden`"


def replayed(log: Path, seed: str) -> list[str]:
    """By another process, under a hash seed."""
    command = [sys.executable, "-m", "tests.features.replay", str(log)]
    environment = os.environ | {"PYTHONHASHSEED": seed}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return run.stdout.splitlines()


@pytest.mark.parametrize("seed", ["0", "1"])
@pytest.mark.parametrize("log", sorted({THIS, *LOGS.glob("*.log")}), ids=lambda log: log.stem)
def test_a_golden_log_replays_to_its_fingerprints(log: Path, seed: str):
    assert replayed(log, seed) == log.with_suffix(".txt").read_text(encoding="utf-8").splitlines()


def test_every_command_and_version_is_in_a_golden_log_and_was_done_there():
    done = set()
    for log in LOGS.glob("*.log"):
        for line in log.with_suffix(".txt").read_text(encoding="utf-8").splitlines():
            _, *names, _ = line.split()
            said, ended = names[: len(names) // 2], names[len(names) // 2 :]
            done |= {name for name, end in zip(said, ended, strict=True) if end == "done" or name in NEVER_DONE}
    assert set(REGISTRY.commands) - done == set(), "tell of it in tests/features/story.py, then `make golden`"
