"""A leader whose agent is silent, look by look."""

from __future__ import annotations

import io
from typing import Any

import pytest
from floors.raft.book import FakeClock
from msgspec.structs import replace

from girginosvm.core.log import Log
from girginosvm.daemon.leadership import SILENT_MS, Leadership, heir
from girginosvm.raft.standing import Status

LEADING = Status(
    "m1", 2, 9, 9, 1, 0, "", 0, role="leader", leader="m1", voters=("m1", "m2", "m3"), reached=("m2", "m3", "m4"),
    members=("m1", "m2", "m3", "m4"), lag={"m2": 7, "m3": 0, "m4": 0},
)  # fmt: skip


class Agreement:
    def __init__(self) -> None:
        self.standing = LEADING
        self.told: list[Any] = []

    def status(self) -> Status:
        return self.standing

    def favour(self, rank: int) -> None:
        self.told.append(rank)

    def transfer(self, peer: str) -> None:
        self.told.append(peer)


@pytest.mark.parametrize(
    ("changes", "peer"),
    [
        ({}, "m3"),
        ({"lag": {}}, "m2"),
        ({"reached": ("m2", "m4")}, "m2"),
        ({"reached": ("m4",)}, ""),
        ({"role": "follower"}, ""),
    ],
)
def test_the_heir_is_a_voter_that_is_reached_and_lacks_least(changes: dict[str, Any], peer: str) -> None:
    assert heir(replace(LEADING, **changes)) == peer


def test_the_lead_goes_once_a_minute_at_most_and_the_agent_that_is_back_counts_again() -> None:
    agreement, clock = Agreement(), FakeClock()
    leadership = Leadership(agreement, clock, Log(io.StringIO()))  # type: ignore[arg-type]
    clock.mono += SILENT_MS - 1
    leadership.look()
    assert agreement.told == []
    clock.mono += 1
    leadership.look()
    assert agreement.told == [2, "m3"]
    clock.mono += 59_999
    leadership.look()
    assert agreement.told == [2, "m3"]
    clock.mono += 1
    leadership.look()
    assert agreement.told == [2, "m3", "m3"]
    leadership.heard()
    leadership.look()
    assert agreement.told == [2, "m3", "m3", 0]


def test_a_silent_agent_of_a_follower_moves_nothing() -> None:
    agreement, clock = Agreement(), FakeClock()
    agreement.standing = replace(LEADING, role="follower", leader="m2")
    leadership = Leadership(agreement, clock, Log(io.StringIO()))  # type: ignore[arg-type]
    clock.mono += 10 * SILENT_MS
    leadership.look()
    assert agreement.told == [2]


def test_a_leader_without_a_database_hands_over_at_once_and_stands_as_any_other_when_it_is_back() -> None:
    agreement, clock = Agreement(), FakeClock()
    agreement.standing = replace(LEADING, lacking="the database stands at entry 0")
    leadership = Leadership(agreement, clock, Log(io.StringIO()))  # type: ignore[arg-type]
    leadership.look()
    assert agreement.told == ["m3"]  # it began as one that waits longer
    agreement.standing = LEADING
    leadership.look()
    assert agreement.told == ["m3", 0]
