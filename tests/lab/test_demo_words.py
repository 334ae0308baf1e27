"""What the demo makes of a recovery. Needs no lab."""

from __future__ import annotations

from typing import Any

import pytest

from girginosvm.daemon.membership import GIVEN_UP, PARTED
from tests.lab.demo_words import apart

TOLD = PARTED.format(names="h2")


def seen(leader: str, *problems: str) -> dict[str, Any]:
    return {"leader": leader, "problems": list(problems)}


@pytest.mark.parametrize(
    ("hosts", "found"),
    [
        ({"h1": seen("h2"), "h2": seen("h2"), "h3": seen("h2")}, ("", [])),
        ({"h1": seen("h3", TOLD), "h2": seen("h2"), "h3": seen("h3", TOLD)}, ("h2", ["h1", "h3"])),
        ({"h2": seen("h2"), "h3": seen("", GIVEN_UP)}, ("h2", ["h3"])),
        ({"h1": seen("h3", TOLD), "h2": seen("h2"), "h3": seen("h3")}, ("", [])),  # one has not found out yet
        ({"h1": {"leader": ""}, "h2": seen("h2")}, ("", [])),  # one does not answer yet
        ({"h2": seen("h2")}, ("", [])),
    ],
)
def test_a_recovery_is_told_from_an_election(hosts: dict[str, Any], found: tuple[str, list[str]]) -> None:
    assert apart(hosts) == found
