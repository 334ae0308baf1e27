"""Tokens to join with: listed without the token, and taken back."""

from __future__ import annotations

from typing import Any

import pytest
from features.engine import ADMIN, Engine
from features.membership.test_given_up import FIRST, LATER, SECOND, member

from girginosvm.core.access import Actor, Role
from girginosvm.core.errors import Invalid, Missing, Unauthenticated
from girginosvm.features.membership import api, model, tokens
from girginosvm.features.membership.commands import AdmitMember, DescribeMember, RecordJoinToken
from girginosvm.features.membership.tokens import ListJoinTokens, RevokeJoinToken

HASH, OTHER = "a" * 63 + "1", "b" * 64
ADA = Actor(kind="session", id="ada", name="ada@example.org", role=Role.ADMIN, address="192.0.2.7")
PLACE = {"address": "192.0.2.2:1995", "api": "192.0.2.2:1996"}


@pytest.fixture
def founded(engine: Engine) -> Engine:
    engine.furnish()
    member(engine, FIRST, "m1")
    engine.run(RecordJoinToken(token_hash=HASH), actor=ADA)
    return engine


def states(engine: Engine) -> dict[str, tuple[str, str]]:
    return {one.id: (one.state, one.used_by) for one in ListJoinTokens().fetch(engine.reader).items}


def admit(engine: Engine, who: str = SECOND, token: str = HASH, **fields: Any) -> None:
    engine.run(AdmitMember(token_hash=token, member=who, name=f"m{who[0]}", **(PLACE | fields)))


def test_a_token_is_shown_by_the_beginning_of_its_hash_and_by_whom_it_was_made(founded: Engine) -> None:
    (one,) = ListJoinTokens().fetch(founded.reader).items
    assert (one.id, one.state, one.created_by, one.used_by) == ("a" * 12, "active", "ada@example.org", "")
    assert one.created_at < one.expires_at
    assert tokens.resolve(founded.reader, one.id) == one.id
    assert tokens.resolve(founded.reader, HASH) is None
    assert ListJoinTokens(filter="state=active").fetch(founded.reader).items == [one]


def test_what_became_of_each_is_said(founded: Engine) -> None:
    admit(founded)
    assert states(founded) == {"a" * 12: ("used", "m2")}
    founded.run(RecordJoinToken(token_hash=OTHER))
    founded.ahead_ms += model.TOKEN_MS
    founded.run(DescribeMember(member=SECOND, name="m2", **PLACE), node=SECOND)
    assert states(founded) == {"a" * 12: ("used", "m2"), "b" * 12: ("expired", "")}


def test_a_revoked_token_lets_nobody_in(founded: Engine) -> None:
    founded.run(RevokeJoinToken(token="a" * 12), actor=ADMIN)
    assert states(founded) == {"a" * 12: ("revoked", "")}
    with pytest.raises(Unauthenticated, match="revoked"):
        admit(founded)
    with pytest.raises(Unauthenticated):
        api.check_token(founded.reader, HASH, SECOND, founded.now_ms)
    events = founded.rows("SELECT text FROM event WHERE kind = 'membership.token-revoked'")
    founded.run(RevokeJoinToken(token="a" * 12))  # once more is the same
    assert (
        [row["text"] for row in events]
        == ["the token to join aaaaaaaaaaaa, made by ada@example.org, is revoked"]
        == [row["text"] for row in founded.rows("SELECT text FROM event WHERE kind = 'membership.token-revoked'")]
    )


def test_a_node_that_was_let_in_may_ask_again_for_ten_minutes_of_the_log(founded: Engine) -> None:
    admit(founded)
    founded.ahead_ms += model.TOKEN_MS - 60_000
    admit(founded)
    api.check_unspent(founded.reader, HASH)
    founded.ahead_ms += 60_000
    admit(founded)
    with pytest.raises(Unauthenticated):
        api.check_unspent(founded.reader, HASH)


def test_a_node_that_was_let_in_and_has_not_come_gets_no_keys_after_the_token_is_revoked(founded: Engine) -> None:
    admit(founded)
    api.check_unspent(founded.reader, HASH)  # its first try may have been cut off
    founded.run(RevokeJoinToken(token="a" * 12))
    with pytest.raises(Unauthenticated):
        api.check_unspent(founded.reader, HASH)
    with pytest.raises(Unauthenticated):
        admit(founded)


def test_revoking_one_leaves_the_others(founded: Engine) -> None:
    founded.run(RecordJoinToken(token_hash=OTHER))
    founded.run(RevokeJoinToken(token="a" * 12))
    admit(founded, LATER, OTHER)
    assert states(founded) == {"a" * 12: ("revoked", ""), "b" * 12: ("used", "m3")}


def test_what_is_not_there_cannot_be_revoked(founded: Engine) -> None:
    with pytest.raises(Missing, match="no token to join"):
        founded.run(RevokeJoinToken(token="c" * 12))


@pytest.mark.parametrize("place", ["999.1.1.1:1995", "[:::]:1995", "192.0.2.2:99999", "192.0.2.2:0"])
@pytest.mark.parametrize("which", ["address", "api"])
def test_an_address_that_is_none_lets_nobody_in(founded: Engine, which: str, place: str) -> None:
    """In the roster it ended the raft process of every member, for good."""
    with pytest.raises(Invalid, match="is no IP address and port"):
        admit(founded, **{which: place})
    admit(founded)
    with pytest.raises(Invalid, match="is no IP address and port"):
        founded.run(DescribeMember(member=SECOND, name="m2", **(PLACE | {which: place})), node=SECOND)
