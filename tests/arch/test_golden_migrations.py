"""Migrations are append-only: a step that stands in the golden file is never edited, moved or taken away.

`make golden` adds new steps at the end and changes no line. A step that no release has shipped yet may be edited: take
its line out of the file by hand, and say so in review.
"""

import hashlib
import os
from pathlib import Path

import pytest

from girginosvm.core.manifest import Manifest
from girginosvm.features.registry import REGISTRY
from girginosvm.state.migrate import checksum
from girginosvm.state.schema import BOOTSTRAP

GOLDEN = Path(__file__).parents[1] / "golden/migrations.txt"


def frozen() -> list[str]:
    """The steps of this release, a line each, in the order in which an empty database gets them; with their feature
    level from the second on."""
    lines = [f"bootstrap {hashlib.sha256(BOOTSTRAP.encode()).hexdigest()}"]
    return lines + [
        f"{room.name}.{step.number} {checksum(step)}" + (f" level {step.level}" if step.level > 1 else "")
        for room in REGISTRY.rooms
        for step in room.migrations
    ]


def test_no_step_of_the_golden_file_is_edited_or_gone_and_every_new_one_stands_in_it() -> None:
    kept = GOLDEN.read_text(encoding="utf-8").splitlines() if GOLDEN.exists() else []
    edited = [line.split()[0] for line in kept if line not in frozen()]
    assert edited == [], "a step of the golden file is another one or gone: append a step instead"
    new = [line for line in frozen() if line not in kept]
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text("".join(f"{line}\n" for line in (*kept, *new)), encoding="utf-8")
    else:
        assert new == [], "run `make golden`"


@pytest.mark.parametrize("room", REGISTRY.rooms, ids=lambda room: room.name)
def test_steps_are_numbered_from_1_without_gaps(room: Manifest) -> None:
    assert [step.number for step in room.migrations] == list(range(1, len(room.migrations) + 1))
