"""Who may do what, beyond the golden matrix: the platform's own words, and a node that speaks for a person."""

from __future__ import annotations

import pytest

from girginosvm.core.access import Actor, Role, check
from girginosvm.core.errors import Forbidden


def may(kind: str, role: Role, permission: str) -> bool:
    try:
        check(Actor(kind, "1", "somebody", role), permission)
    except Forbidden:
        return False
    return True


@pytest.mark.parametrize("kind", ["local", "session", "token"])
@pytest.mark.parametrize("role", list(Role))
def test_no_person_and_no_token_says_what_only_the_platform_says(kind: str, role: Role) -> None:
    assert not any(may(kind, role, f"{noun}.report") for noun in ("vm", "image", "user", "self", "cluster"))


@pytest.mark.parametrize(
    "permission",
    ["membership.token", "membership.join", "membership.leave", "membership.remove", "cluster.recover",
     "center.promote", "center.demote"],
)  # fmt: skip
def test_what_would_make_an_administrator_of_an_operator_is_the_administrators(permission: str) -> None:
    assert may("session", Role.ADMIN, permission)
    assert not may("session", Role.OPERATOR, permission)
    assert may("session", Role.OPERATOR, "membership.drain")


def test_a_node_that_speaks_for_a_person_may_report_and_else_no_more_than_the_person() -> None:
    assert may("node", Role.VIEWER, "image.report")
    assert not may("node", Role.VIEWER, "image.create")
    assert not may("node", Role.OPERATOR, "user.create")
    assert may("node", Role.ADMIN, "user.password")
