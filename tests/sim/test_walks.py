"""Rows and host agree after whatever happened. ``make sim SEEDS=n`` walks more; a failing seed replays exactly."""

import os

import pytest

from tests.sim.walk import walk

FIRST, COUNT = int(os.environ.get("FIRST", "1")), int(os.environ.get("SEEDS", "25"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_rows_and_host_agree_when_the_world_calms_down(seed: int) -> None:
    assert walk(seed) == []


def test_a_seed_is_replayed_exactly() -> None:
    told: tuple[list[str], list[str]] = ([], [])
    for one in told:
        walk(7, one.append)
    assert told[0] == told[1]
    assert len(told[0]) > 20
