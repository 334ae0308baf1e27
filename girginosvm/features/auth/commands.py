"""Writes of signing in. Passwords arrive as argon2id hashes, tokens as SHA-256: nothing secret is in the log.

``self.report`` marks what the node says after it has seen a password or a token; no person can send it.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec

from girginosvm.core.action import Command, Stream, action
from girginosvm.core.errors import Conflict, Missing, Unauthenticated, Unsafe
from girginosvm.core.fields import Name, Ref, field
from girginosvm.features.auth import api, model
from girginosvm.state.tx import Tx

Email = Annotated[
    str,
    field(
        "E-mail address.",
        pattern=r"^[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,189}$",
        wants="an e-mail address, as ada@example.org",
        max_length=254,
    ),
]
RoleName = Annotated[Literal["admin", "operator", "viewer"], field("What it may do.")]
Password = Annotated[str, field("Password, 12 characters or more.", min_length=12, max_length=256, secret="hash")]
Hash = Annotated[str, field("SHA-256, hex.", pattern=r"^[0-9a-f]{64}$", wants="64 hex digits")]
Address = Annotated[str, field("Where from.", max_length=64)]
Days = Annotated[int, field("Days until it expires; 0: never.", ge=0, le=3650)]
UserRef = Annotated[str, field("User: e-mail or id.", ref="user", min_length=1, max_length=254)]
Answer = dict[str, Any]
_DAY_MS: Final = 24 * 3600 * 1000


class Made(msgspec.Struct, frozen=True):
    """What was made or changed."""

    user: str


@action(
    "POST /v1/users", cli="user create", permission="user.create", summary="Let a person sign in",
    audit="create user {email} as {role}", answers=Made, status=201, positionals=("email",),
)  # fmt: skip
class CreateUser(Command, frozen=True, kw_only=True):
    """A person with a password that has to be changed at the first sign-in."""

    email: Email
    password: Password
    role: RoleName = "operator"
    must_change: Annotated[bool, field("Ask for a new password at the first sign-in.")] = True

    def apply(self, tx: Tx) -> Made:
        email = self.email.lower()
        if tx.one("SELECT 1 FROM user WHERE email = ?", (email,)):
            raise Conflict("user-exists", f"{email} can sign in already")
        user = tx.new_id()
        tx.insert(
            "user", id=user, created_index=tx.index, email=email, role=self.role, password_hash=self.password,
            must_change=int(self.must_change), disabled=0, created_at_ms=tx.at_ms,
        )  # fmt: skip
        tx.event("user.created", "user", user, f"{email} may sign in as {self.role}")
        return Made(user)


@action(
    "POST /v1/users/first", permission="user.report", summary="The first administrator, at a node's first start",
    audit="first administrator {email}", answers=Made, status=201,
)  # fmt: skip
class FoundAdministrator(Command, frozen=True, kw_only=True):
    """Only while there is nobody: a node that starts twice makes one."""

    email: Email
    password: Password

    def apply(self, tx: Tx) -> Made:
        if tx.one("SELECT 1 FROM user LIMIT 1"):
            raise Conflict("administrator-exists", "somebody can sign in already")
        return CreateUser(email=self.email, password=self.password, role="admin").apply(tx)


@action(
    "POST /v1/users/{user}/password", cli="user password", permission="user.password", summary="Give a new password",
    audit="new password for {user}", answers=Made,
)  # fmt: skip
class SetPassword(Command, frozen=True, kw_only=True):
    """End the person's sessions and replace the password."""

    user: UserRef
    password: Password
    must_change: Annotated[bool, field("Ask for another one at the next sign-in.")] = True

    def apply(self, tx: Tx) -> Made:
        row = _user(tx, self.user)
        tx.run(
            "UPDATE user SET password_hash = ?, must_change = ? WHERE id = ?",
            (self.password, int(self.must_change), self.user),
        )
        tx.run("DELETE FROM session WHERE user = ?", (self.user,))
        tx.event("user.password-set", "user", self.user, f"{row['email']} has a new password")
        return Made(self.user)


@action(
    "POST /v1/users/{user}/disable", cli="user disable", permission="user.disable", summary="Lock a person out",
    audit="disable {user}", answers=Made,
)  # fmt: skip
class DisableUser(Command, frozen=True, kw_only=True):
    """End the person's sessions; the last administrator stays."""

    user: UserRef

    def apply(self, tx: Tx) -> Made:
        row = _user(tx, self.user)
        other = tx.one("SELECT 1 FROM user WHERE role = 'admin' AND disabled = 0 AND id <> ? LIMIT 1", (self.user,))
        if row["role"] == "admin" and other is None:
            raise Unsafe("last-administrator", f"{row['email']} is the last administrator who can sign in")
        tx.run("UPDATE user SET disabled = 1 WHERE id = ?", (self.user,))
        tx.run("DELETE FROM session WHERE user = ?", (self.user,))
        tx.event("user.disabled", "user", self.user, f"{row['email']} may no longer sign in")
        return Made(self.user)


@action(
    "POST /v1/users/{user}/enable", cli="user enable", permission="user.enable", summary="Let a person in again",
    audit="enable {user}", answers=Made,
)  # fmt: skip
class EnableUser(Command, frozen=True, kw_only=True):
    """The password is the one from before."""

    user: UserRef

    def apply(self, tx: Tx) -> Made:
        row = _user(tx, self.user)
        tx.run("UPDATE user SET disabled = 0 WHERE id = ?", (self.user,))
        tx.event("user.enabled", "user", self.user, f"{row['email']} may sign in again")
        return Made(self.user)


@action(
    "POST /v1/auth/attempt", permission="self.report", summary="Count a sign-in before its password is looked at",
    audit="sign-in attempt", answers=Answer,
)  # fmt: skip
class CountAttempt(Command, frozen=True, kw_only=True):
    """In log order, so that no number of parallel guesses gets past the bound, on no node."""

    email: Annotated[str, field("Account as typed, lower case; it may not exist.", max_length=254)]
    address: Address

    def apply(self, tx: Tx) -> Answer:
        until = api.locked_until_ms(tx, self.email, self.address, tx.at_ms)
        if until is not None:
            raise locked(until - tx.at_ms)
        tx.run("DELETE FROM sign_in_attempt WHERE last_at_ms <= ?", (tx.at_ms - model.LOCK_MS,))
        for key in (self.email, ""):
            tx.run(
                "INSERT INTO sign_in_attempt VALUES (?, ?, 1, ?) ON CONFLICT DO UPDATE "
                "SET count = count + 1, last_at_ms = excluded.last_at_ms",
                (key, self.address, tx.at_ms),
            )
        return {}


def locked(left_ms: int) -> Unauthenticated:
    """Too many attempts; the same words whether the account exists or not."""
    seconds = max(1, -(-left_ms // 1000))
    detail = f"too many sign-ins failed for this account from this address; try again in {seconds} s"
    return Unauthenticated("locked-out", detail, retry_after_s=seconds)


@action("POST /v1/auth/session", permission="self.report", summary="Begin a session", audit="sign in", answers=Answer)
class OpenSession(Command, frozen=True, kw_only=True):
    """After the password was right. Expired sessions go on the way."""

    user: Annotated[str, field("User's id.", max_length=64)]
    token_hash: Hash
    address: Address

    def apply(self, tx: Tx) -> Answer:
        row = tx.one("SELECT * FROM user WHERE id = ? AND disabled = 0", (self.user,))
        if row is None:
            raise Unauthenticated("sign-in-failed", "e-mail or password are wrong")
        tx.run("DELETE FROM session WHERE expires_at_ms <= ?", (tx.at_ms,))
        # The attempt that succeeded is taken back from the address's count; the account's starts anew.
        tx.run("DELETE FROM sign_in_attempt WHERE email = ? AND address = ?", (row["email"], self.address))
        tx.run("UPDATE sign_in_attempt SET count = max(0, count - 1) WHERE email = '' AND address = ?", (self.address,))
        expires = tx.at_ms + model.SESSION_MS
        tx.insert(
            "session", token_hash=self.token_hash, user=self.user, address=self.address, created_at_ms=tx.at_ms,
            expires_at_ms=expires,
        )  # fmt: skip
        tx.event("session.opened", "user", self.user, f"{row['email']} signed in from {self.address}")
        return {"expires_at_ms": expires}


@action(
    "POST /v1/auth/rotation", permission="self.report", summary="Renew a session by a new token",
    audit="refresh session", answers=Answer,
)  # fmt: skip
class RotateSession(Command, frozen=True, kw_only=True):
    """The old token ends in the same transaction; of two at once the second one finds it gone."""

    token_hash: Hash
    new_hash: Hash

    def apply(self, tx: Tx) -> Answer:
        row = tx.one("SELECT * FROM session WHERE token_hash = ? AND expires_at_ms > ?", (self.token_hash, tx.at_ms))
        if row is None:
            raise Unauthenticated("token-invalid", "this token is not valid here, or no longer")
        left_ms = row["expires_at_ms"] - tx.at_ms
        if left_ms > model.REFRESH_MS:
            wait_s = -(-(left_ms - model.REFRESH_MS) // 1000)
            detail = f"a session is renewed in its last 5 minutes; these begin in {wait_s} s"
            raise Conflict("refresh-too-early", detail, retry_after_s=wait_s)
        expires = tx.at_ms + model.SESSION_MS
        tx.run(
            "UPDATE session SET token_hash = ?, expires_at_ms = ? WHERE token_hash = ?",
            (self.new_hash, expires, self.token_hash),
        )
        return {"expires_at_ms": expires}


@action("POST /v1/auth/end", permission="self.report", summary="End a session", audit="sign out", answers=Answer)
class CloseSession(Command, frozen=True, kw_only=True):
    """Nothing when it had ended."""

    token_hash: Hash

    def apply(self, tx: Tx) -> Answer:
        row = tx.one(
            "SELECT user, email FROM session JOIN user ON user.id = session.user WHERE token_hash = ?",
            (self.token_hash,),
        )
        if row is not None:
            tx.run("DELETE FROM session WHERE token_hash = ?", (self.token_hash,))
            tx.event("session.closed", "user", row["user"], f"{row['email']} signed out")
        return {}


@action(
    "POST /v1/tokens/record", permission="token.report", summary="Record a token that a node made",
    audit="create token {name} as {role}", answers=Answer, status=201,
)  # fmt: skip
class RecordToken(Command, frozen=True, kw_only=True):
    """``again``: answer the row that is there, revoked or not (the cluster token at every start)."""

    name: Name
    role: RoleName
    token_hash: Hash
    days: Days = 0
    again: Annotated[bool, field("A row of this name is no conflict.")] = False

    def apply(self, tx: Tx) -> Answer:
        row = tx.one("SELECT * FROM token WHERE name = ?", (self.name,))
        if row is not None and self.again:
            return {"token": row["id"], "expires_at_ms": row["expires_at_ms"]}
        if row is not None:
            raise Conflict("token-exists", f"there is a token named {self.name} already; names are not used twice")
        token = tx.new_id()
        expires = tx.at_ms + self.days * _DAY_MS if self.days else None
        tx.insert(
            "token", id=token, created_index=tx.index, name=self.name, role=self.role, token_hash=self.token_hash,
            created_by=tx.actor.name, created_at_ms=tx.at_ms, expires_at_ms=expires, revoked_at_ms=None,
        )  # fmt: skip
        tx.event("token.created", "token", token, f"token {self.name} as {self.role}")
        return {"token": token, "expires_at_ms": expires}


@action(
    "DELETE /v1/tokens/{token}", cli="token revoke", permission="token.revoke", summary="Revoke a token",
    audit="revoke token {token}", answers=dict[str, str],
)  # fmt: skip
class RevokeToken(Command, frozen=True, kw_only=True):
    """It ends at once; its row stays for the audit."""

    token: Annotated[Ref, field("Token.", ref="token")]

    def apply(self, tx: Tx) -> dict[str, str]:
        row = tx.one("SELECT * FROM token WHERE id = ?", (self.token,))
        if row is None:
            raise Missing("token-missing", f"there is no token {self.token}")
        if row["revoked_at_ms"] is None:
            tx.run("UPDATE token SET revoked_at_ms = ? WHERE id = ?", (tx.at_ms, self.token))
            tx.event("token.revoked", "token", self.token, f"token {row['name']} is revoked")
        return {"token": self.token}


@action("POST /v1/auth/login", permission="self.login", summary="Begin a session", answers=model.Session, public=True)
class Login(Stream, frozen=True, kw_only=True):
    """E-mail and password for a session of eight hours."""

    email: Annotated[str, field("E-mail address.", max_length=254)]
    password: Annotated[str, field("Password.", max_length=256)]


@action("POST /v1/auth/refresh", permission="self.refresh", summary="Renew this session", answers=model.Session)
class Refresh(Stream, frozen=True, kw_only=True):
    """A new token in the last five minutes; the old one ends."""


@action("POST /v1/auth/logout", permission="self.logout", summary="End this session")
class Logout(Stream, frozen=True, kw_only=True):
    """The token ends now."""


@action("POST /v1/auth/password", permission="self.password", summary="Change one's password", answers=model.Session)
class ChangePassword(Stream, frozen=True, kw_only=True):
    """Ends every session of the person and begins a new one."""

    current: Annotated[str, field("The password until now.", max_length=256)]
    new: Annotated[str, field("The new one, 12 characters or more.", min_length=12, max_length=256)]


@action("GET /v1/auth/whoami", cli="whoami", permission="self.read", summary="Who is asking", answers=model.Self)
class WhoAmI(Stream, frozen=True, kw_only=True):
    """The person or token behind this request."""


@action(
    "POST /v1/tokens", cli="token create", permission="token.create", summary="Make a token for a program",
    answers=model.NewToken, status=201, positionals=("name",),
    examples=("girginosvm token create billing --role operator --days 90",),
)  # fmt: skip
class CreateToken(Stream, frozen=True, kw_only=True):
    """The answer shows the token, once."""

    keyed: ClassVar[bool] = True

    name: Name
    role: RoleName = "operator"
    days: Days = 0


def _user(tx: Tx, user: str) -> dict[str, Any]:
    row = tx.one("SELECT * FROM user WHERE id = ?", (user,))
    if row is None:
        raise Missing("user-missing", f"there is no user {user}")
    return row
