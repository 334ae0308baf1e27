"""Numbers and public forms of signing in."""

from __future__ import annotations

from typing import Final

import msgspec

SESSION_MS: Final = 8 * 3600 * 1000
# A session may be renewed by rotation in its last five minutes.
REFRESH_MS: Final = 5 * 60 * 1000
# Unproven attempts per account and address, and per address over all accounts; then nobody is let try for LOCK_MS.
MAX_ATTEMPTS: Final = 10
MAX_ADDRESS_ATTEMPTS: Final = 100
LOCK_MS: Final = 15 * 60 * 1000
# The manual's cluster token, as a row that can be revoked.
CLUSTER_TOKEN: Final = "cluster-token"


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person who may sign in."""

    id: str
    email: str
    role: str
    disabled: bool
    must_change_password: bool
    sessions: int
    created_at: str


class Users(msgspec.Struct, frozen=True):
    """A page of users."""

    items: list[User]
    next: str
    applied_index: int


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A program's token; the token itself was shown once, when it was made."""

    id: str
    name: str
    role: str
    state: str
    created_by: str
    created_at: str
    expires_at: str | None


class Tokens(msgspec.Struct, frozen=True):
    """A page of tokens."""

    items: list[Token]
    next: str
    applied_index: int


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A fresh session. The token is in this answer and nowhere else."""

    token: str
    expires_at: str
    email: str
    role: str
    must_change_password: bool


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A fresh token. It is in this answer and nowhere else."""

    id: str
    name: str
    role: str
    token: str
    expires_at: str | None


class Self(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking."""

    kind: str
    name: str
    role: str
    must_change_password: bool
