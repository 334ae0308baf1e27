"""Signing in: the passwords and tokens themselves, which no further floor ever sees. The rows are ``auth``'s."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

from girginosvm.core import access
from girginosvm.core.access import Actor, Role
from girginosvm.core.action import Stream
from girginosvm.core.clock import Chance, Clock
from girginosvm.core.errors import Conflict, Forbidden, Missing, Unauthenticated
from girginosvm.daemon.secrets import Turns, shown_once
from girginosvm.daemon.voice import Say
from girginosvm.features.auth import api, commands, model
from girginosvm.features.site import Read
from girginosvm.features.times import rfc3339
from girginosvm.http.desk import Answer, Caller


def digest(token: str) -> str:
    """What is stored of a token: it has 256 bits of chance, so a plain SHA-256 is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class SignIn:
    """The part of the desk that knows people. ``say`` proposes a command in the node's name."""

    def __init__(
        self, *, read: Read, say: Say, clock: Clock, chance: Chance, rounds: int = 3, turns: Turns | None = None
    ) -> None:
        from argon2 import PasswordHasher  # heavy; the CLI imports this package too

        self._read = read
        self._say = say
        self._clock = clock
        self._chance = chance
        self._hasher = PasswordHasher(time_cost=rounds)
        self._decoy = self._hasher.hash(chance.take(16).hex())
        self._turns = turns or Turns()
        # Told the e-mail address of whoever has chosen a password of their own.
        self.chosen: Callable[[str], None] = lambda email: None

    async def caller(self, token: str, address: str) -> Caller:
        """See ``Desk.caller``."""
        now_ms = self._clock.wall_ms()
        found: api.Holder | None = await self._read(lambda reader: api.holder(reader, digest(token), now_ms))
        if found is None:
            raise Unauthenticated("token-invalid", "this token is not valid here, or no longer")
        actor = Actor(found.kind, found.id, found.name, found.role, address)
        return Caller(actor=actor, token=token, address=address, must_change=found.must_change)

    async def perform(self, stream: Stream, caller: Caller, *, key: str = "", why: str = "") -> Answer:
        """See ``Desk.perform``."""
        if isinstance(stream, commands.Login):
            return await self._login(stream, caller)
        if caller.actor is None:
            raise Unauthenticated("sign-in-needed", "this needs a bearer token")
        access.check(caller.actor, stream.action.permission)
        match stream:
            case commands.Refresh():
                return await self._refresh(caller)
            case commands.Logout():
                said = await self._say(commands.CloseSession(token_hash=digest(caller.token)), _node(caller.address))
                return Answer(index=said.index)
            case commands.ChangePassword():
                return await self._change(stream, caller.actor)
            case commands.WhoAmI():
                who = caller.actor
                return Answer(
                    value=model.Self(
                        kind=who.kind, name=who.name, role=who.role.value, must_change_password=caller.must_change
                    )
                )
            case commands.CreateToken():
                return await self._token(stream, caller.actor, key, why)
            case _:
                raise Missing("stream-unknown", f"nothing answers {type(stream).__name__}")

    async def first_administrator(self, email: str, keep: Callable[[str], str] = str) -> str:
        """The one-time password of the first administrator, "" when somebody can sign in already. It has to be changed
        at the first sign-in. ``keep`` is given one and answers the one to use: it makes it durable before the log has
        it, or a crash between the two would lock everybody out."""
        if await self._read(api.anybody):
            return ""
        password = keep(self._secret("", 15))
        try:
            await self._say(commands.FoundAdministrator(email=email, password=password), _node("local"))
        except Conflict:
            return ""
        return password

    async def cluster_token(self, token: str) -> None:
        """Make the manual's cluster token one administrator token, once; revoked it stays revoked."""
        record = commands.RecordToken(name=model.CLUSTER_TOKEN, role="admin", token_hash=digest(token), again=True)
        await self._say(record, _node("local"))

    async def _login(self, asked: commands.Login, caller: Caller) -> Answer:
        email, now_ms = asked.email.strip().lower(), self._clock.wall_ms()
        # A look before the log: a locked caller costs no entry. The entry decides.
        until = await self._read(lambda reader: api.locked_until_ms(reader, email, caller.address, now_ms))
        if until is not None:
            raise commands.locked(until - now_ms)
        await self._say(commands.CountAttempt(email=email, address=caller.address), _node(caller.address))
        account: api.Account | None = await self._read(lambda reader: api.account(reader, email))
        right = await self._right(account.password_hash if account else self._decoy, asked.password)
        if account is None or not right or account.disabled:
            raise Unauthenticated("sign-in-failed", "e-mail or password are wrong")
        return await self._session(account, caller.address)

    async def _session(self, account: api.Account, address: str, *, must_change: bool | None = None) -> Answer:
        token = self._secret("gvm-", 32)
        opened = commands.OpenSession(user=account.id, token_hash=digest(token), address=address)
        said = await self._say(opened, _node(address, account.email))
        value = model.Session(
            token=token, expires_at=rfc3339(said.value["expires_at_ms"]), email=account.email, role=account.role.value,
            must_change_password=account.must_change if must_change is None else must_change,
        )  # fmt: skip
        return Answer(value=value, index=said.index)

    async def _refresh(self, caller: Caller) -> Answer:
        who = _session_of(caller.actor)
        token = self._secret("gvm-", 32)
        rotate = commands.RotateSession(token_hash=digest(caller.token), new_hash=digest(token))
        said = await self._say(rotate, _node(caller.address, who.name))
        value = model.Session(
            token=token, expires_at=rfc3339(said.value["expires_at_ms"]), email=who.name, role=who.role.value,
            must_change_password=caller.must_change,
        )  # fmt: skip
        return Answer(value=value, index=said.index)

    async def _change(self, asked: commands.ChangePassword, actor: Actor) -> Answer:
        who = _session_of(actor)
        account: api.Account | None = await self._read(lambda reader: api.account_of(reader, who.id))
        await self._say(commands.CountAttempt(email=who.name, address=who.address), _node(who.address))
        right = await self._right(account.password_hash if account else self._decoy, asked.current)
        if account is None or not right:
            raise Forbidden("password-wrong", "the current password is another one")
        if asked.new == asked.current:
            raise Conflict("password-same", "the new password has to be another one")
        change = commands.SetPassword(user=account.id, password=asked.new, must_change=False)
        await self._say(change, _node(who.address, who.name))
        self.chosen(account.email)
        return await self._session(account, who.address, must_change=False)

    async def _token(self, asked: commands.CreateToken, actor: Actor, key: str, why: str) -> Answer:
        token = self._secret("ops-", 32)
        record = commands.RecordToken(name=asked.name, role=asked.role, token_hash=digest(token), days=asked.days)
        speaker = Actor("node", actor.id, actor.name, Role.ADMIN, actor.address)  # the key is the person's own
        said = await self._say(record, speaker, key=key, why=why, of=asked)
        # A try of our own that was cut off is answered as a repetition, too: then it is this token that was recorded.
        if said.repeated and not await self._read(lambda reader: api.recorded(reader, record.token_hash)):
            raise shown_once(
                f"token {asked.name}",
                f"girginosvm token revoke {asked.name}, then create one of another name under a new key",
            )
        expires = said.value["expires_at_ms"]
        value = model.NewToken(
            id=said.value["token"], name=asked.name, role=asked.role, token=token,
            expires_at=rfc3339(expires) if expires is not None else None,
        )  # fmt: skip
        return Answer(value=value, index=said.index)

    async def _right(self, stored: str, password: str) -> bool:
        """argon2id's verdict; Busy when too many wait for theirs."""
        return await self._turns.take(self._verified, stored, password)

    def _verified(self, stored: str, password: str) -> bool:
        from argon2.exceptions import VerificationError

        try:
            return self._hasher.verify(stored, password)
        except VerificationError:
            return False

    def _secret(self, prefix: str, count: int) -> str:
        return prefix + base64.urlsafe_b64encode(self._chance.take(count)).decode().rstrip("=")


def _session_of(actor: Actor | None) -> Actor:
    if actor is None or actor.kind != "session":
        raise Forbidden("not-a-session", "this is for a person's session; tokens are made and revoked instead")
    return actor


def _node(address: str, name: str = "sign-in") -> Actor:
    """The node speaks after it has seen the proof; the audit shows for whom."""
    return Actor("node", "sign-in", name, Role.ADMIN, address)
