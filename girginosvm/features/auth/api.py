"""The door of signing in: whose token a hash is, and what a sign-in needs to know."""

from __future__ import annotations

from typing import Any

import msgspec

from girginosvm.core.access import Role
from girginosvm.features.auth import model
from girginosvm.state.reader import Reader
from girginosvm.state.tx import Tx


class Holder(msgspec.Struct, frozen=True):
    """Whose token it is, and until when it is good (ms UTC; None: until revoked)."""

    kind: str
    id: str
    name: str
    role: Role
    must_change: bool
    expires_at_ms: int | None


class Account(msgspec.Struct, frozen=True):
    """What is compared at sign-in."""

    id: str
    email: str
    role: Role
    password_hash: str
    disabled: bool
    must_change: bool


def holder(reader: Reader, token_hash: str, now_ms: int) -> Holder | None:
    """Who holds the token with this hash at ``now_ms``; None when it is unknown, expired, revoked or disabled."""
    row = reader.one(
        "SELECT 'session' AS kind, user.id, email AS name, role, must_change, expires_at_ms FROM session "
        "JOIN user ON user.id = session.user WHERE token_hash = ? AND expires_at_ms > ? AND disabled = 0 UNION ALL "
        "SELECT 'token', id, name, role, 0, expires_at_ms FROM token "
        "WHERE token_hash = ? AND revoked_at_ms IS NULL AND (expires_at_ms IS NULL OR expires_at_ms > ?)",
        (token_hash, now_ms, token_hash, now_ms),
    )
    if row is None:
        return None
    return Holder(
        row["kind"], row["id"], row["name"], Role(row["role"]), bool(row["must_change"]), row["expires_at_ms"]
    )


def recorded(reader: Reader, token_hash: str) -> bool:
    """A token with this hash was made, revoked or not."""
    return reader.one("SELECT 1 FROM token WHERE token_hash = ?", (token_hash,)) is not None


def account(reader: Reader, email: str) -> Account | None:
    """The account of an address, None when there is none."""
    return _account(reader.one("SELECT * FROM user WHERE email = ?", (email,)))


def account_of(reader: Reader, user: str) -> Account | None:
    """The account with this id, None when there is none."""
    return _account(reader.one("SELECT * FROM user WHERE id = ?", (user,)))


def anybody(reader: Reader) -> bool:
    """Somebody can sign in at all."""
    return reader.one("SELECT 1 FROM user LIMIT 1") is not None


def locked_until_ms(db: Any, email: str, address: str, now_ms: int) -> int | None:
    """When this account may be tried again from this address, None when now. ``db``: a reader or a transaction."""
    for key, limit in ((email, model.MAX_ATTEMPTS), ("", model.MAX_ADDRESS_ATTEMPTS)):
        row = db.one("SELECT count, last_at_ms FROM sign_in_attempt WHERE email = ? AND address = ?", (key, address))
        if row is not None and row["count"] >= limit and now_ms < row["last_at_ms"] + model.LOCK_MS:
            return int(row["last_at_ms"]) + model.LOCK_MS
    return None


def endless(reader: Reader, before_ms: int) -> tuple[str, ...]:
    """Names of the tokens without an end that were made before, in order."""
    rows = reader.all(
        "SELECT name FROM token WHERE expires_at_ms IS NULL AND revoked_at_ms IS NULL AND created_at_ms < ? "
        "ORDER BY name",
        (before_ms,),
    )
    return tuple(row["name"] for row in rows)


def make_administrator(tx: Tx, email: str, password_hash: str) -> None:
    """The account of this address is an administrator's with this password (its argon2id hash): made, or changed; what
    it had open ends."""
    email = email.strip().lower()
    row = tx.one("SELECT id FROM user WHERE email = ?", (email,))
    if row is None:
        tx.insert(
            "user", id=tx.new_id(), created_index=tx.index, email=email, role=Role.ADMIN.value,
            password_hash=password_hash, must_change=0, disabled=0, created_at_ms=tx.at_ms,
        )  # fmt: skip
    else:
        tx.run(
            "UPDATE user SET role = ?, password_hash = ?, must_change = 0, disabled = 0 WHERE id = ?",
            (Role.ADMIN.value, password_hash, row["id"]),
        )
        tx.run("DELETE FROM session WHERE user = ?", (row["id"],))
    tx.event("user.administrator", "user", email, f"{email} is an administrator with a new password")


def _account(row: dict[str, Any] | None) -> Account | None:
    if row is None:
        return None
    return Account(
        row["id"],
        row["email"],
        Role(row["role"]),
        row["password_hash"],
        bool(row["disabled"]),
        bool(row["must_change"]),
    )
