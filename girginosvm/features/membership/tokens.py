"""Tokens to join with, a witness's too: who made one, what became of it, and taking it back."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from girginosvm.core.action import Command, Page, action
from girginosvm.core.errors import Missing
from girginosvm.core.fields import Ref, field
from girginosvm.features.membership import model
from girginosvm.features.times import rfc3339
from girginosvm.state.page import page
from girginosvm.state.reader import Reader
from girginosvm.state.tx import Tx

# So much of a token's hash names it. The token cannot be found from it, and nobody is let in with it.
ID_DIGITS: Final = 12
_SQL: Final = (
    "SELECT substr(token_hash, 1, {digits:d}) AS id, created_index, created_by, expires_at_ms, used_by, "
    "expires_at_ms - {life:d} AS created_at_ms, "
    "coalesce((SELECT name FROM member WHERE member.id = used_by), "
    "(SELECT name FROM member_gone WHERE member_gone.id = used_by), used_by) AS used_name, CASE "
    "WHEN revoked_at_ms IS NOT NULL THEN 'revoked' WHEN used_by <> '' THEN 'used' "
    "WHEN expires_at_ms <= {now:d} THEN 'expired' ELSE 'active' END AS state FROM join_token"
)


class JoinTokenShown(msgspec.Struct, frozen=True, kw_only=True):
    """A token to join with; what it is itself was shown once. ``state``: active, used (by node ``used_by``), expired,
    revoked."""

    id: str
    state: str
    created_by: str
    created_at: str
    expires_at: str
    used_by: str


class JoinTokens(msgspec.Struct, frozen=True):
    """A page of them."""

    items: list[JoinTokenShown]
    next: str
    applied_index: int


def id_of(token_hash: str) -> str:
    """What a token is called."""
    return token_hash[:ID_DIGITS]


def resolve(reader: Reader, text: str) -> str | None:
    """A token's id; never the token itself."""
    row = reader.one("SELECT 1 FROM join_token WHERE substr(token_hash, 1, ?) = ?", (ID_DIGITS, text))
    return text if row else None


@action(
    "GET /v1/membership/tokens", cli="membership token list", permission="membership.token",
    summary="List tokens to join with, the oldest first", answers=JoinTokens,
)  # fmt: skip
class ListJoinTokens(Page, frozen=True, kw_only=True):
    """A page of tokens for nodes and witnesses. One that is over goes when ten more minutes have passed and another is
    made."""

    def fetch(self, reader: Reader) -> JoinTokens:
        columns = {name: name for name in ("id", "state", "created_by")} | {
            "created_at": "created_at_ms", "expires_at": "expires_at_ms", "used_by": "used_name",
        }  # fmt: skip
        sql = _SQL.format(digits=ID_DIGITS, life=model.TOKEN_MS, now=reader.at_ms)
        rows, following = page(reader, sql, columns, self)
        return JoinTokens([_shown(row) for row in rows], following, reader.applied_index)


@action(
    "DELETE /v1/membership/tokens/{token}", cli="membership token revoke", permission="membership.token",
    summary="Take back a token to join with", audit="revoke the token to join {token}", answers=dict[str, str],
    examples=("girginosvm membership token revoke 3f9a1c20d4e7",),
)  # fmt: skip
class RevokeJoinToken(Command, frozen=True, kw_only=True):
    """From here on it lets nobody in, and a node that was let in with it and has not come yet gets no keys. A node that
    is in stays: `membership remove` takes it out."""

    token: Annotated[Ref, field("Id of the token, from `membership token list`.", ref="join-token")]

    def apply(self, tx: Tx) -> dict[str, str]:
        row = tx.one(
            "SELECT * FROM join_token WHERE substr(token_hash, 1, ?) = ? ORDER BY token_hash", (ID_DIGITS, self.token)
        )
        if row is None:
            raise Missing("join-token-missing", f"there is no token to join with {self.token}")
        if row["revoked_at_ms"] is None:
            tx.run("UPDATE join_token SET revoked_at_ms = ? WHERE token_hash = ?", (tx.at_ms, row["token_hash"]))
            text = f"the token to join {self.token}, made by {row['created_by']}, is revoked"
            tx.event("membership.token-revoked", "membership", "", text)
        return {"token": self.token}


def _shown(row: dict[str, Any]) -> JoinTokenShown:
    return JoinTokenShown(
        id=row["id"], state=row["state"], created_by=row["created_by"], created_at=rfc3339(row["created_at_ms"]),
        expires_at=rfc3339(row["expires_at_ms"]), used_by=row["used_name"],
    )  # fmt: skip
