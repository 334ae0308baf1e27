"""Between nodes: who may ask as a node, in whose name, and what comes of a line that breaks."""

from __future__ import annotations

import asyncio
import base64
import ssl
from pathlib import Path

import aiohttp
import msgspec
import pytest

from girginosvm.core.access import Actor, Role
from girginosvm.core.errors import Busy, Forbidden, HostFault, Missing
from girginosvm.core.ids import member_uri
from girginosvm.core.peers import Call
from girginosvm.http.peers import ACTOR, Members
from girginosvm.http.tls import Identity, key_and_certificate, new_key, signing_request
from tests.floors.http.toyhouse import House

EVE = Actor("session", "eve", "eve@example.org", Role.VIEWER, "192.0.2.9")
NAME = base64.b64encode(msgspec.json.encode(EVE)).decode()


def other(house: House, member: str, cluster: str = "c1") -> Identity:
    """Another node's identity, signed by the house's CA."""
    folder = house.folder / f"pki-{member}-{cluster}"
    folder.mkdir()
    key = new_key()
    certificate = house.identity.admit(signing_request(key), ["n2"], member_uri(cluster, member))
    (folder / "ca.crt").write_bytes(house.identity.ca_file.read_bytes())
    (folder / "server.pem").write_bytes(key_and_certificate(key, certificate))
    return Identity(folder)


def peers(house: House, identity: Identity) -> Members:
    async def where(node: str) -> str:
        return f"127.0.0.1:{house.port}"

    return Members(where, identity.client_context, cluster="c1")


@pytest.fixture
def second(house: House) -> Members:
    house.desk.members = {"n2"}
    return peers(house, other(house, "n2"))


async def test_a_member_fetches_an_image_from_where_it_stopped(house: House, second: Members, tmp_path: Path) -> None:
    data = bytes(range(256)) * 8192
    (house.folder / "i1.qcow2").write_bytes(data)
    into = tmp_path / "arriving"
    into.write_bytes(data[:1000])
    seen: list[int] = []
    await second.fetch_image("n1", "i1", into, 1000, seen.append)
    assert into.read_bytes() == data
    assert seen[-1] == len(data)
    with pytest.raises(Missing, match="does not have image i2"):
        await second.fetch_image("n1", "i2", into, 0, seen.append)


async def test_a_member_asks_in_a_persons_name_and_the_owner_decides_what_they_may(
    house: House, second: Members
) -> None:
    call = Call(actor=EVE, path="/v1/vms/web/serial?follow=false")
    async with second.forward("n1", call) as pieces:
        assert b"".join([piece async for piece in pieces]) == b"boot done\n"
    assert house.desk.asked_by_node == [("eve@example.org", True)]


@pytest.mark.parametrize("member", ["n3", ""])
async def test_who_is_no_member_is_nobody(house: House, tmp_path: Path, member: str) -> None:
    """A node that was removed, and one of another cluster, with certificates that our CA signed."""
    house.desk.members = {"n2"}
    stranger = peers(house, other(house, member or "n2", "c1" if member else "c2"))
    with pytest.raises(Forbidden) as caught:
        await stranger.fetch_image("n1", "i1", tmp_path / "x", 0, lambda have: None)
    assert caught.value.code == "peer-unknown"
    with pytest.raises(Forbidden):
        async with stranger.forward("n1", Call(actor=EVE, path="/v1/vms/web/serial")):
            pass


async def test_a_node_whose_membership_nobody_can_look_up_just_now_is_left_its_stream(
    house: House, second: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def late(certificate: object) -> str:
        nonlocal asked
        asked += 1
        raise Busy("read-slow", "the read took too long")

    async with second.forward("n1", Call(actor=EVE, path="/v1/events/stream")) as pieces:
        await anext(pieces)
        monkeypatch.setattr(house.desk, "member", late)
        for _ in range(3):  # it was asked about before each
            while b"alive" not in await anext(pieces):
                pass
    assert asked >= 2


async def test_a_node_that_is_removed_hears_nothing_more_of_what_it_follows(house: House, second: Members) -> None:
    call = Call(actor=EVE, path="/v1/vms/silent/serial?follow=true")
    async with second.forward("n1", call) as pieces:
        first = await anext(pieces)
        house.desk.members.clear()
        async with asyncio.timeout(5):
            rest = [piece async for piece in pieces]
            await house.desk.left.wait()
        assert b"".join((first, *rest)) == b"boot done\n"
    house.desk.members = {"n2"}
    async with second.forward("n1", Call(actor=EVE, path="/v1/events/stream")) as pieces:
        await anext(pieces)
        house.desk.members.clear()
        async with asyncio.timeout(5):
            rest = [piece async for piece in pieces]
        assert b"change" not in b"".join(rest)


@pytest.mark.parametrize("answer", [b"HTTP/1.", b"HTTP/1.1", b"HTTP/1.1 ", b"", b"SSH-2.0-x", b"HTTP/2 200 OK"])
async def test_what_is_no_answer_of_a_node_is_said_to_be_none(house: House, tmp_path: Path, answer: bytes) -> None:
    async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer + b"\r\n\r\n")
        writer.close()

    identity = other(house, "n1")
    server = await asyncio.start_server(odd, "127.0.0.1", 0, ssl=identity.context())
    port = server.sockets[0].getsockname()[1]

    async def where(node: str) -> str:
        return f"127.0.0.1:{port}"

    asks = Members(where, other(house, "n2").client_context, cluster="c1")
    with pytest.raises(HostFault, match="answers no HTTP") as caught:
        await asks.fetch_image("n1", "i1", tmp_path / "x", 0, lambda have: None)
    assert caught.value.code == "node-strange"
    server.close()


async def test_a_name_without_a_certificate_is_worth_nothing(house: House) -> None:
    for token in ("good", ""):
        headers = {ACTOR: NAME} | ({"Authorization": f"Bearer {token}"} if token else {})
        async with house.client.get(house.url + "/v1/vms/web/serial", headers=headers) as response:
            assert (response.status, (await response.json())["code"]) == (403, "peer-unknown")
    async with house.client.get(house.url + "/v1/peer/images/i1") as response:
        assert response.status == 403


async def test_nothing_is_changed_in_a_persons_name(house: House) -> None:
    """A node that wants to change something does so through the log, where it is seen."""
    house.desk.members = {"n2"}
    connector = aiohttp.TCPConnector(ssl=other(house, "n2").client_context())
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(house.url + "/v1/toys", json={"name": "a"}, headers={ACTOR: NAME}) as response,
    ):
        assert (response.status, (await response.json())["code"]) == (401, "sign-in-needed")


async def test_a_name_that_is_none_is_refused(house: House) -> None:
    house.desk.members = {"n2"}
    connector = aiohttp.TCPConnector(ssl=other(house, "n2").client_context())
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(house.url + "/v1/vms/web/serial", headers={ACTOR: "x"}) as response,
    ):
        assert (response.status, (await response.json())["code"]) == (403, "peer-unreadable")


async def test_another_node_at_the_place_is_not_asked(house: House, second: Members, tmp_path: Path) -> None:
    with pytest.raises(HostFault, match="is n1, not n4"):
        await second.fetch_image("n4", "i1", tmp_path / "x", 0, lambda have: None)


async def test_a_certificate_of_another_authority_ends_the_handshake(house: House, tmp_path: Path) -> None:
    foreign = Identity(tmp_path / "foreign", uri=member_uri("c1", "n2"))
    foreign.ensure(["n2"])
    house.desk.members = {"n2"}
    with pytest.raises(Busy):  # it does not trust us either
        await peers(house, foreign).fetch_image("n1", "i1", tmp_path / "x", 0, lambda have: None)
    context = foreign.client_context()
    context.verify_mode = ssl.CERT_NONE

    async def where(node: str) -> str:
        return f"127.0.0.1:{house.port}"

    with pytest.raises((Busy, HostFault)):
        await Members(where, lambda: context, cluster="c1").fetch_image(
            "n1", "i1", tmp_path / "x", 0, lambda have: None
        )


async def test_where_nobody_listens_is_said(tmp_path: Path, house: House) -> None:
    async def nowhere(node: str) -> str:
        return "127.0.0.1:1"

    gone = Members(nowhere, other(house, "n2").client_context, cluster="c1")
    with pytest.raises(Busy, match=r"127\.0\.0\.1:1 is not reached"):
        await gone.fetch_image("n1", "i1", tmp_path / "x", 0, lambda have: None)


async def test_who_is_where_a_member_was_is_told_by_what_it_shows(
    house: House, second: Members, tmp_path: Path
) -> None:
    assert await second.meet("n1") == "itself"
    assert await second.meet("n4") == "another"  # the same host, and another member
    foreign = Identity(tmp_path / "foreign", uri=member_uri("c1", "n2"))
    foreign.ensure(["n2"])
    assert await peers(house, foreign).meet("n1") == "another"  # begun anew: it has a CA of its own


async def test_whoever_takes_the_connection_and_says_nothing_is_there(house: House) -> None:
    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    frozen = await asyncio.start_server(never, "127.0.0.1", 0)
    port = frozen.sockets[0].getsockname()[1]

    async def where(node: str) -> str:
        if node == "unheard":
            raise Busy("node-unreachable", "it has not said where")
        return "127.0.0.1:1" if node == "gone" else f"127.0.0.1:{port}"

    look = Members(where, other(house, "n2").client_context, cluster="c1")
    assert await look.meet("n1") == "silent"
    assert await look.meet("gone") == "nobody"
    assert await look.meet("unheard") == "nobody"
    frozen.close()
