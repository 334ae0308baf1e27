"""Signing in, on a real database: what a guesser, a thief and a tired administrator can and cannot do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from argon2 import PasswordHasher
from features.engine import Engine

from girginosvm.core.access import Actor, Role
from girginosvm.core.action import Command
from girginosvm.core.clock import SystemChance
from girginosvm.core.errors import Conflict, Forbidden, Problem, Unauthenticated, Unsafe
from girginosvm.daemon.signin import SignIn, digest
from girginosvm.features.auth import commands, model
from girginosvm.http.desk import Answer, Caller

QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
PASSWORD = "correct horse battery"
HERE = "192.0.2.1"


class Desk:
    """SignIn above the engine: what the executor does, in three lines."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.said: list[str] = []
        self.signin = SignIn(read=self.read, say=self.say, clock=self, chance=SystemChance(), rounds=1)

    def wall_ms(self) -> int:
        return 1_800_000_000_500 + self.engine.ahead_ms

    def monotonic_ms(self) -> int:
        return self.wall_ms()

    async def read(self, fetch: Callable[[Any], Any]) -> Any:
        return fetch(self.engine.reader)

    async def say(self, command: Command, actor: Actor, **_: object) -> Answer:
        self.said.append(type(command).__name__)
        if "password" in command.__struct_fields__:
            command = msgspec.structs.replace(command, password=QUICK.hash(command.password))
        return Answer(value=self.engine.run(command, actor=actor))

    async def login(self, email: str, password: str = PASSWORD, address: str = HERE) -> model.Session:
        asked = commands.Login(email=email, password=password)
        return (await self.signin.perform(asked, Caller(address=address))).value

    async def as_(self, token: str, stream: Any) -> Any:
        return (await self.signin.perform(stream, await self.signin.caller(token, HERE))).value

    async def code(self, waits: Any) -> str:
        with pytest.raises(Problem) as caught:
            await waits
        return caught.value.code


@pytest.fixture
def desk(engine: Engine) -> Desk:
    made = Desk(engine)
    engine.run(commands.CreateUser(email="Jo@Example.net", password=QUICK.hash(PASSWORD), must_change=False))
    return made


async def test_a_right_password_opens_a_session_of_eight_hours(desk: Desk):
    session = await desk.login(" JO@example.net ")
    assert (session.email, session.role, session.must_change_password) == ("jo@example.net", "operator", False)
    caller = await desk.signin.caller(session.token, HERE)
    assert caller.actor is not None
    assert (caller.actor.kind, caller.actor.role) == ("session", Role.OPERATOR)
    desk.engine.ahead_ms = model.SESSION_MS + 1000
    assert await desk.code(desk.signin.caller(session.token, HERE)) == "token-invalid"


async def test_unknown_disabled_and_wrong_get_the_same_answer_after_the_same_work(desk: Desk):
    desk.engine.run(commands.CreateUser(email="off@example.net", password=QUICK.hash(PASSWORD)))
    off = desk.engine.rows("SELECT id FROM user WHERE email = 'off@example.net'")[0]["id"]
    desk.engine.run(commands.DisableUser(user=off))
    seen = []
    for email, password in (
        ("jo@example.net", "wrong"),
        ("nobody@example.net", PASSWORD),
        ("off@example.net", PASSWORD),
    ):
        desk.said.clear()
        with pytest.raises(Unauthenticated) as caught:
            await desk.login(email, password)
        seen.append((caught.value.body(), tuple(desk.said)))
    assert len(set(seen)) == 1
    assert seen[0][1] == ("CountAttempt",)


@pytest.mark.parametrize("email", ["jo@example.net", "nobody@example.net"])
async def test_ten_guesses_lock_the_account_for_that_address_only(desk: Desk, email: str):
    for _ in range(model.MAX_ATTEMPTS):
        assert await desk.code(desk.login(email, "wrong")) == "sign-in-failed"
    entries = len(desk.said)
    assert await desk.code(desk.login(email, PASSWORD)) == "locked-out"
    assert len(desk.said) == entries  # a locked caller costs no log entry
    assert (await desk.login("jo@example.net", address="192.0.2.2")).email == "jo@example.net"
    desk.engine.ahead_ms = model.LOCK_MS + 1000
    assert (await desk.login("jo@example.net")).email == "jo@example.net"


async def test_parallel_guesses_do_not_get_past_the_bound(desk: Desk):
    answers = await asyncio.gather(*(desk.login("jo@example.net", "wrong") for _ in range(30)), return_exceptions=True)
    codes = [answer.code for answer in answers if isinstance(answer, Problem)]
    assert (codes.count("sign-in-failed"), codes.count("locked-out")) == (10, 20)


async def test_an_address_that_tries_many_accounts_is_locked_too(desk: Desk):
    for number in range(model.MAX_ADDRESS_ATTEMPTS):
        desk.engine.run(commands.CountAttempt(email=f"u{number}@example.net", address=HERE))
    assert await desk.code(desk.login("jo@example.net")) == "locked-out"


async def test_success_forgets_the_failures_before_it(desk: Desk):
    for _ in range(3):
        for _ in range(model.MAX_ATTEMPTS - 1):
            assert await desk.code(desk.login("jo@example.net", "wrong")) == "sign-in-failed"
        await desk.login("jo@example.net")


async def test_a_session_is_renewed_in_its_last_five_minutes_once(desk: Desk):
    session = await desk.login("jo@example.net")
    assert await desk.code(desk.as_(session.token, commands.Refresh())) == "refresh-too-early"
    desk.engine.ahead_ms = model.SESSION_MS - model.REFRESH_MS + 1000
    new = await desk.as_(session.token, commands.Refresh())
    assert new.token != session.token
    assert await desk.code(desk.as_(session.token, commands.Refresh())) == "token-invalid"
    again = commands.RotateSession(token_hash=digest(session.token), new_hash="0" * 64)
    with pytest.raises(Unauthenticated):
        desk.engine.run(again)
    assert (await desk.as_(new.token, commands.WhoAmI())).name == "jo@example.net"


async def test_sign_out_and_a_new_password_end_sessions(desk: Desk):
    first, second = await desk.login("jo@example.net"), await desk.login("jo@example.net")
    await desk.as_(first.token, commands.Logout())
    assert await desk.code(desk.signin.caller(first.token, HERE)) == "token-invalid"
    wrong = commands.ChangePassword(current="wrong", new="another long one")
    assert await desk.code(desk.as_(second.token, wrong)) == "password-wrong"
    change = commands.ChangePassword(current=PASSWORD, new="another long one")
    third = await desk.as_(second.token, change)
    assert await desk.code(desk.signin.caller(second.token, HERE)) == "token-invalid"
    assert (await desk.signin.caller(third.token, HERE)).must_change is False
    assert await desk.code(desk.login("jo@example.net")) == "sign-in-failed"


async def test_the_first_administrator_is_made_once_and_has_to_change_the_password(engine: Engine):
    desk = Desk(engine)
    password = await desk.signin.first_administrator("admin@local")
    assert len(password) >= 20
    assert await desk.signin.first_administrator("admin@local") == ""
    with pytest.raises(Conflict):
        engine.run(commands.FoundAdministrator(email="b@local", password=QUICK.hash(PASSWORD)))
    session = await desk.login("admin@local", password)
    assert (session.must_change_password, session.role) == (True, "admin")
    assert (await desk.signin.caller(session.token, HERE)).must_change
    new = await desk.as_(session.token, commands.ChangePassword(current=password, new="a password of my own"))
    assert not (await desk.signin.caller(new.token, HERE)).must_change


async def test_the_first_password_is_kept_before_the_log_has_it(engine: Engine):
    desk = Desk(engine)

    def full(_: str) -> str:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await desk.signin.first_administrator("admin@local", full)
    assert await desk.signin.first_administrator("admin@local", lambda _: "kept by an earlier life")
    assert (await desk.login("admin@local", "kept by an earlier life")).must_change_password


async def test_a_token_is_shown_once_expires_and_can_be_revoked(desk: Desk):
    root = Caller(actor=Actor("local", "local", "root", Role.ADMIN))
    made = (await desk.signin.perform(commands.CreateToken(name="billing", role="viewer", days=1), root)).value
    assert made.token.startswith("ops-")
    caller = await desk.signin.caller(made.token, HERE)
    assert (caller.actor.kind, caller.actor.role, caller.actor.name) == ("token", Role.VIEWER, "billing")
    assert await desk.code(desk.as_(made.token, commands.Refresh())) == "not-a-session"
    assert await desk.code(desk.as_(made.token, commands.CreateToken(name="more"))) == "permission-missing"
    assert await desk.code(desk.signin.perform(commands.CreateToken(name="billing"), root)) == "token-exists"
    second = (await desk.signin.perform(commands.CreateToken(name="second", days=1), root)).value
    desk.engine.run(commands.RevokeToken(token=made.id))
    assert await desk.code(desk.signin.caller(made.token, HERE)) == "token-invalid"
    assert await desk.signin.caller(second.token, HERE)
    desk.engine.ahead_ms = 24 * 3600 * 1000 + 1000
    assert await desk.code(desk.signin.caller(second.token, HERE)) == "token-invalid"


async def test_the_cluster_token_is_one_administrator_token_and_stays_revoked(desk: Desk):
    await desk.signin.cluster_token("shared-secret")
    await desk.signin.cluster_token("shared-secret")
    caller = await desk.signin.caller("shared-secret", HERE)
    assert caller.actor.role is Role.ADMIN
    desk.engine.run(commands.RevokeToken(token=caller.actor.id))
    await desk.signin.cluster_token("shared-secret")
    assert await desk.code(desk.signin.caller("shared-secret", HERE)) == "token-invalid"


async def test_the_last_administrator_cannot_be_locked_out(engine: Engine):
    for email in ("a@local", "b@local"):
        engine.run(commands.CreateUser(email=email, password=QUICK.hash(PASSWORD), role="admin"))
    first, second = (row["id"] for row in engine.rows("SELECT id FROM user ORDER BY email"))
    engine.run(commands.DisableUser(user=first))
    with pytest.raises(Unsafe):
        engine.run(commands.DisableUser(user=second))
    engine.run(commands.EnableUser(user=first))
    engine.run(commands.DisableUser(user=second))


async def test_nobody_may_say_what_only_the_node_says(desk: Desk):
    from girginosvm.core import access

    for kind in (commands.OpenSession, commands.RecordToken, commands.FoundAdministrator, commands.CountAttempt):
        with pytest.raises(Forbidden):
            access.check(Actor("session", "u", "u", Role.ADMIN), kind.action.permission)
    assert not access.allowed(Role.OPERATOR, commands.CreateUser.action.permission)
    assert not access.allowed(Role.OPERATOR, commands.RevokeToken.action.permission)


async def test_no_secret_is_in_the_database(desk: Desk):
    session = await desk.login("jo@example.net")
    root = Caller(actor=Actor("local", "local", "root", Role.ADMIN))
    made = (await desk.signin.perform(commands.CreateToken(name="billing"), root)).value
    stored = b"".join(file.read_bytes() for file in desk.engine.path.parent.iterdir())
    for secret in (session.token, made.token, PASSWORD):
        assert secret.encode() not in stored
    assert digest(session.token).encode() in stored


async def test_lists_show_states_and_no_hashes(desk: Desk):
    from girginosvm.features.auth.queries import ListTokens, ListUsers, resolve_user

    await desk.login("jo@example.net")
    root = Caller(actor=Actor("local", "local", "root", Role.ADMIN))
    made = (await desk.signin.perform(commands.CreateToken(name="billing"), root)).value
    desk.engine.run(commands.RevokeToken(token=made.id))
    users, tokens = ListUsers().fetch(desk.engine.reader), ListTokens(filter="state=revoked").fetch(desk.engine.reader)
    assert [(user.email, user.sessions) for user in users.items] == [("jo@example.net", 1)]
    assert [(token.name, token.state, token.expires_at) for token in tokens.items] == [("billing", "revoked", None)]
    shown = msgspec.json.encode([users, tokens])
    assert b"argon2" not in shown
    assert digest(made.token).encode() not in shown
    assert resolve_user(desk.engine.reader, "JO@example.net") == users.items[0].id
