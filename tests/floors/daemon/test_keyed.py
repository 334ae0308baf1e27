"""What an Idempotency-Key comes to where a request is more than one command: a secret is made and shown once, a file is
kept once. The log decides, also when the second request is sent to another node or the first answer got lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from girginosvm.core.access import Actor, Role
from girginosvm.core.clock import SystemChance, SystemClock
from girginosvm.core.errors import Conflict, Invalid, NoQuorum, Unknown
from girginosvm.core.log import Log as Lines
from girginosvm.core.settings import Settings
from girginosvm.daemon.desk import LocalDesk, Watch
from girginosvm.daemon.identity import Member
from girginosvm.daemon.membership import Membership
from girginosvm.daemon.signin import SignIn
from girginosvm.features.auth.commands import CreateToken
from girginosvm.features.image.commands import UploadImage
from girginosvm.features.membership.commands import CreateJoinToken
from girginosvm.features.site import Site
from girginosvm.http.desk import Answer, Caller, Upload
from girginosvm.http.tls import Identity
from girginosvm.hypervisor.fake.host import FakeHost
from tests.features.engine import ADMIN, NODE
from tests.floors.daemon.test_executor_tries import Log, log, other
from tests.floors.hypervisor.test_qcow2_header import image

__all__ = ["log", "other"]
BILLING = CreateToken(name="billing", role="viewer")


def caller(who: str = "p1") -> Caller:
    return Caller(actor=Actor("session", who, f"{who}@example.net", Role.ADMIN, "192.0.2.1"))


async def made(log: Log, key: str, who: str = "p1", asked: CreateToken = BILLING) -> Answer:
    signin = SignIn(
        read=log.readers.glance, say=log.executor.command, clock=SystemClock(), chance=SystemChance(), rounds=1
    )
    return await signin.perform(asked, caller(who), key=key, why="for the books")


async def joined(log: Log, key: str, tmp_path: Path) -> Answer:
    identity = Identity(tmp_path / "pki")
    identity.ensure(["n1"])
    membership = Membership(
        config=Settings(root=str(tmp_path), address="192.0.2.1"), client=None, read=log.readers.glance,
        say=log.executor.command, identity=identity, clock=SystemClock(), chance=SystemChance(), log=Lines(),
        unseal=str, leave=lambda: None, me=Member(NODE, "c1", 0), name="n1",
    )  # fmt: skip
    return await membership.perform(CreateJoinToken(), caller(), key=key, why="")


async def refused(waits: Any) -> Conflict:
    with pytest.raises(Conflict) as caught:
        await waits
    return caught.value


async def test_a_token_is_made_once_under_a_key_and_its_secret_is_not_shown_again(log: Log) -> None:
    first = await made(log, "k1")
    problem = await refused(made(log, "k1"))
    assert (problem.code, "billing" in problem.detail) == ("secret-shown-once", True)
    assert "token revoke billing" in problem.hint
    (row,) = log.engine.rows("SELECT name, created_by FROM token")
    assert (row["name"], row["created_by"]) == ("billing", "p1@example.net")
    assert first.value.token.startswith("ops-")
    (event,) = log.engine.rows("SELECT why FROM event WHERE kind = 'token.created'")
    assert event["why"] == "for the books"


async def test_a_key_is_its_persons_own_and_for_one_request(log: Log) -> None:
    await made(log, "k1")
    with pytest.raises(Invalid) as caught:
        await made(log, "k1", asked=CreateToken(name="second"))
    assert caught.value.code == "idempotency-mismatch"
    await made(log, "k1", who="p2", asked=CreateToken(name="second"))
    assert len(log.engine.rows("SELECT 1 FROM token")) == 2


async def test_another_node_knows_the_key_too(log: Log, other: Log) -> None:
    await made(log, "k1")
    other.engine.append(other.behind.pop())
    assert (await refused(made(other, "k1"))).code == "secret-shown-once"
    assert other.sent == []


async def test_a_try_that_was_done_without_an_answer_still_shows_what_it_made(log: Log) -> None:
    log.fates = [(True, Unknown("connection-lost", "lost")), (False, NoQuorum("no-leader", "no leader"))]
    answer = await made(log, "k1")
    assert answer.value.token.startswith("ops-")
    assert len(log.engine.rows("SELECT 1 FROM token")) == 1


async def test_a_token_to_join_with_is_made_once_under_a_key(log: Log, tmp_path: Path) -> None:
    first = await joined(log, "k1", tmp_path)
    problem = await refused(joined(log, "k1", tmp_path))
    assert (problem.code, first.value.expires_at in problem.detail) == ("secret-shown-once", True)
    assert len(log.engine.rows("SELECT 1 FROM join_token")) == 1
    await joined(log, "k2", tmp_path)
    assert len(log.engine.rows("SELECT 1 FROM join_token")) == 2


async def test_a_file_is_kept_once_under_a_key(log: Log, tmp_path: Path) -> None:
    async def fresh() -> None:
        """Nobody reads here."""

    site = Site(
        node=NODE, settings=Settings(root=str(tmp_path)), host=FakeHost(tmp_path / "host.json"), read=None, say=None,
        unseal=str, clock=SystemClock(), log=Lines(), progress={},
    )  # fmt: skip
    desk = LocalDesk(log.executor, site, Watch(), SystemClock(), SystemChance(), barrier=fresh)

    async def sent(key: str, name: str = "fresh") -> Answer:
        stream = UploadImage(name=name)
        with desk.upload_room(stream, None) as (arrived, _):
            arrived.write_bytes(image())
            upload = Upload(path=arrived, size_bytes=arrived.stat().st_size, sha256="")
            return await desk.receive(stream, ADMIN, upload, key=key, why="")

    first, again = await sent("k1"), await sent("k1")
    assert (again.value, first.repeated, again.repeated) == (first.value, False, True)
    assert [path.stem for path in site.image_path("").iterdir()] == [first.value["image"]]
    assert (await refused(sent("k2"))).code == "image-exists"
    with pytest.raises(Invalid) as caught:
        await sent("k1", name="another")
    assert caught.value.code == "idempotency-mismatch"
    assert [path.stem for path in site.image_path("").iterdir()] == [first.value["image"]]
