"""The counter's client against the real front desk: over its Unix socket and over TLS."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from girginosvm.cli.client import Client
from girginosvm.cli.main import Counter
from girginosvm.cli.trouble import Trouble
from tests.floors.http.toyhouse import House


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    (tmp_path / "assets" / "web").mkdir(parents=True)
    (tmp_path / "assets" / "web" / "index.html").write_text("<!doctype html>")
    made = House(tmp_path)
    await made.start()
    yield made
    await made.stop()


async def said(house: House, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command line."""
    out, talk = io.StringIO(), io.StringIO()
    counter = Counter("girginosvm", out, talk, {"GIRGINOSVM_SOCKET": str(house.socket)})
    code = await asyncio.to_thread(counter.serve, list(words))
    return code, out.getvalue(), talk.getvalue()


async def test_a_write_is_done_once_under_its_key(house: House) -> None:
    client = Client(str(house.socket))
    first = await asyncio.to_thread(client.send, "POST", "/v1/toys", {"name": "bear"}, "k1", "ticket 7")
    again = await asyncio.to_thread(client.send, "POST", "/v1/toys", {"name": "bear"}, "k1", "ticket 7")
    assert (first.status, first.value) == (202, {"toy": "bear", "operation": "op-bear"})
    assert again.headers["idempotency-replayed"] == "true"
    assert house.desk.whys == ["ticket 7"]


@pytest.mark.parametrize(
    ("body", "code", "exit_code"),
    [({"name": "bear", "size": 77}, "body-invalid", 2), ({"name": "cat"}, "toy-exists", 5)],
)
async def test_a_refusal_arrives_with_its_code_and_faults(
    house: House, body: dict[str, Any], code: str, exit_code: int
) -> None:
    client = Client(str(house.socket))
    await asyncio.to_thread(client.send, "POST", "/v1/toys", {"name": "cat"}, "k0")
    with pytest.raises(Trouble) as caught:
        await asyncio.to_thread(client.send, "POST", "/v1/toys", body, "k1")
    assert (caught.value.code, caught.value.exit_code) == (code, exit_code)
    if exit_code == 2:
        assert caught.value.faults[0][0] == "/size"


async def test_the_nodes_own_ca_is_enough_for_tls(house: House) -> None:
    await asyncio.to_thread(Client(str(house.socket)).send, "POST", "/v1/toys", {"name": "cat"}, "k0")
    client = Client("", url=house.url, token="look", ca=str(house.identity.ca_file))
    reply = await asyncio.to_thread(client.get, "/v1/toys", {"limit": 5})
    assert [toy["id"] for toy in reply.value["items"]] == ["cat"]
    with pytest.raises(Trouble) as caught:
        await asyncio.to_thread(client.send, "POST", "/v1/toys", {"name": "dog"}, "k1")
    assert caught.value.exit_code == 3


async def test_the_serial_output_comes_through(house: House) -> None:
    assert await said(house, "vm", "serial", "web01", "--follow") == (0, "boot done\n", "")


async def test_an_upload_arrives_whole(house: House, tmp_path: Path) -> None:
    file = tmp_path / "a.qcow2"
    file.write_bytes(bytes(range(256)) * 500)
    code, out, talk = await said(house, "image", "upload", "rocky-10", "--file", str(file))
    assert (code, talk) == (0, "")
    assert "i1" in out
    assert house.desk.uploads[0][2] == file.read_bytes()


async def test_what_is_not_there_is_exit_4(house: House) -> None:
    code, out, talk = await said(house, "vm", "show", "web01")
    assert (code, out) == (4, "")
    assert talk.startswith("girginosvm: ")


async def test_a_walk_is_gone_to_its_end(house: House) -> None:
    code, out, talk = await said(house, "event", "verify", "--format", "json")
    assert (code, json.loads(out), talk) == (0, {"events": 3}, "")
