"""Reading people and tokens; never their hashes."""

from __future__ import annotations

from typing import Any, Final

from girginosvm.core.action import Page, action
from girginosvm.features.auth import model
from girginosvm.features.times import rfc3339
from girginosvm.state.page import page
from girginosvm.state.reader import Reader

_USERS: Final = (
    "SELECT id, created_index, email, role, must_change, disabled, created_at_ms, (SELECT count(*) FROM session "
    "WHERE session.user = user.id AND expires_at_ms > {now:d}) AS sessions FROM user"
)
_TOKENS: Final = (
    "SELECT id, created_index, name, role, created_by, created_at_ms, expires_at_ms, CASE "
    "WHEN revoked_at_ms IS NOT NULL THEN 'revoked' WHEN expires_at_ms <= {now:d} THEN 'expired' ELSE 'active' END "
    "AS state FROM token"
)


@action("GET /v1/users", cli="user list", permission="user.read", summary="List people", answers=model.Users)
class ListUsers(Page, frozen=True, kw_only=True):
    """A page of people who may sign in, and who no longer may."""

    def fetch(self, reader: Reader) -> model.Users:
        columns = {name: name for name in ("id", "email", "role", "disabled", "sessions")}
        rows, following = page(
            reader, _USERS.format(now=reader.at_ms), {**columns, "created_at": "created_at_ms"}, self
        )
        return model.Users([_user(row) for row in rows], following, reader.applied_index)


@action("GET /v1/tokens", cli="token list", permission="token.read", summary="List tokens", answers=model.Tokens)
class ListTokens(Page, frozen=True, kw_only=True):
    """A page of tokens, revoked ones too."""

    def fetch(self, reader: Reader) -> model.Tokens:
        columns = {name: name for name in ("id", "name", "role", "state", "created_by")}
        times = {"created_at": "created_at_ms", "expires_at": "expires_at_ms"}
        rows, following = page(reader, _TOKENS.format(now=reader.at_ms), {**columns, **times}, self)
        return model.Tokens([_token(row) for row in rows], following, reader.applied_index)


def resolve_user(reader: Reader, text: str) -> str | None:
    """An e-mail address or id."""
    row = reader.one("SELECT id FROM user WHERE id = ? OR email = ?", (text, text.lower()))
    return str(row["id"]) if row else None


def resolve_token(reader: Reader, text: str) -> str | None:
    """A token's name or id; never the token itself."""
    row = reader.one("SELECT id FROM token WHERE id = ? OR name = ?", (text, text))
    return str(row["id"]) if row else None


def _user(row: dict[str, Any]) -> model.User:
    return model.User(
        id=row["id"], email=row["email"], role=row["role"], disabled=bool(row["disabled"]),
        must_change_password=bool(row["must_change"]),
        sessions=row["sessions"], created_at=rfc3339(row["created_at_ms"]),
    )  # fmt: skip


def _token(row: dict[str, Any]) -> model.Token:
    expires = row["expires_at_ms"]
    return model.Token(
        id=row["id"], name=row["name"], role=row["role"], state=row["state"], created_by=row["created_by"],
        created_at=rfc3339(row["created_at_ms"]), expires_at=rfc3339(expires) if expires is not None else None,
    )  # fmt: skip
