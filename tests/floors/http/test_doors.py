"""Who gets in: tokens, the local socket, other sites' pages, other people's headers, slow and huge requests."""

import asyncio
import os
import socket
import ssl
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.floors.http.toyhouse import House


async def test_without_a_valid_token_there_is_one_answer(house: House):
    missing = await house.ask("GET", "/v1/toys", token="")
    assert (missing[0], missing[1]["code"]) == (401, "sign-in-needed")
    assert missing[2]["WWW-Authenticate"].startswith("Bearer")
    answers = [await house.ask("GET", "/v1/toys", token=token) for token in ("foreign", "x" * 5000, "good ", "Good")]
    assert [(status, body["detail"]) for status, body, _ in answers if status == 401] == [
        (401, "this token is not valid here, or no longer")
    ] * 3
    assert (await house.ask("GET", "/v1/toys?access_token=good", token=""))[0] == 401


async def test_a_role_is_checked_and_the_missing_permission_named(house: House):
    assert (await house.ask("GET", "/v1/toys", token="look"))[0] == 200
    status, body, _ = await house.ask("POST", "/v1/toys", token="look", body={"name": "car"})
    assert (status, body["code"]) == (403, "permission-missing")
    assert "toy.create" in body["detail"]


async def test_a_password_given_by_others_has_to_be_changed_first(house: House):
    status, body, _ = await house.ask("GET", "/v1/toys", token="new")
    assert (status, body["code"]) == (403, "password-must-change")


async def test_root_at_the_local_socket_is_the_local_administrator(house: House):
    assert stat.S_IMODE(house.socket.stat().st_mode) == 0o600
    async with house.local.post("http://localhost/v1/toys", json={"name": "car"}) as response:
        assert response.status == 202
    async with house.local.get("http://localhost/v1/toys", headers={"Authorization": "Bearer foreign"}) as response:
        assert response.status == 401


async def test_forwarded_headers_change_nothing(house: House):
    await house.ask("GET", "/v1/toys", X_Forwarded_For="10.9.9.9", Forwarded="for=10.9.9.9", X_Real_IP="10.9.9.9")
    assert house.desk.seen[-1].address == "127.0.0.1"
    await house.ask("POST", "/v1/login", token="", body={"email": "a", "password": "b"}, X_Forwarded_For="10.9.9.9")
    assert house.desk.seen[-1].address == "127.0.0.1"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
async def test_another_sites_page_changes_nothing(house: House, headers: dict[str, str]):
    for path, body in (("/v1/toys", {"name": "car"}), ("/v1/login", {"email": "a", "password": "b"})):
        status, answer, _ = await house.ask("POST", path, body=body, **headers)
        assert (status, answer["code"]) == (403, "cross-origin")
    assert house.desk.toys == {}


async def test_our_own_page_does(house: House):
    own = {"Origin": house.url, "Sec_Fetch_Site": "same-origin"}
    assert (await house.ask("POST", "/v1/toys", body={"name": "car"}, **own))[0] == 202
    _, _, headers = await house.ask("GET", "/v1/toys", Origin="https://evil.example")
    assert "Access-Control-Allow-Origin" not in headers
    assert "Set-Cookie" not in headers


async def test_only_tls_1_3_and_our_ca(house: House):
    old = ssl.create_default_context(cafile=str(house.identity.ca_file))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("localhost", house.port, ssl=old)
    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection("localhost", house.port, ssl=ssl.create_default_context())


async def test_huge_headers_and_too_many_are_refused(house: House):
    long = b"GET /v1/toys HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"
    many = b"GET /v1/toys HTTP/1.1\r\nHost: a\r\n" + b"X: 1\r\n" * 100_000 + b"\r\n"
    for data in (long, many):
        answer = await house.raw(data)
        assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
    assert (await house.ask("GET", "/v1/toys"))[0] == 200


async def test_a_header_that_never_ends_is_cut_off(tmp_path):
    slow = House(tmp_path)
    await slow.start(header_s=0.3)
    try:
        assert await slow.raw(b"GET /v1/toys HTTP/1.1\r\nHost: a\r\nX-Slow: ", wait_s=5) == b""
        assert slow.door.open == 0
    finally:
        await slow.stop()


async def test_strangers_write_nothing_into_the_log(house: House, caplog, capfd):
    for wrong in (b"no http\r\n\r\n", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"\x16\x03\x01" + bytes(40) + b"\r\n\r\n"):
        assert (await house.raw(wrong)).startswith(b"HTTP/1.0 400")
    _, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await until(lambda: house.door.open == 0)
    writer.close()
    assert (house.logged.getvalue(), caplog.text, capfd.readouterr().err) == ("", "", "")


async def until(holds: Callable[[], bool]) -> None:
    """Bounded polling."""
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("did not happen within 5 s")


async def test_more_connections_than_allowed_are_closed_and_counted_back(tmp_path):
    small = House(tmp_path)
    await small.start(most=1)
    try:
        reader, writer = await asyncio.open_connection("localhost", small.port, ssl=small.trust)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1")
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("localhost", small.port, ssl=small.trust)
        writer.close()
        await until(lambda: small.door.open == 0)
        assert (await small.ask("GET", "/v1/toys"))[0] == 200
    finally:
        await small.stop()


async def test_whoever_fills_the_port_and_says_nothing_keeps_nobody_out(tmp_path):
    """It was full for ten seconds at a time, for everybody but root."""
    small = House(tmp_path)
    await small.start(most=3, most_each=2)
    silent = []

    async def says_nothing(host: str) -> asyncio.StreamReader:
        before = small.door.open
        reader, writer = await asyncio.open_connection("127.0.0.1", small.port, local_addr=(host, 0))
        silent.append(writer)
        await until(lambda: small.door.open > before or before == 3 or host == "127.0.0.1")
        return reader

    async def asks(host: str) -> bytes:
        reader, writer = await asyncio.open_connection(
            "localhost", small.port, ssl=small.trust, local_addr=(host, 0), family=socket.AF_INET
        )
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer[:8]

    try:
        other = await says_nothing("127.0.0.2")
        first, second = await says_nothing("127.0.0.1"), await says_nothing("127.0.0.1")
        await until(lambda: small.door.open == 3)
        assert await asks("127.0.0.1") == b"HTTP/1.1"
        assert await first.read() == b""  # the oldest of its address made room, and nobody else's
        assert (other.at_eof(), second.at_eof()) == (False, False)
        await says_nothing("127.0.0.1")
        assert await asks("127.0.0.3") == b"HTTP/1.1"
        assert await other.read() == b""  # the oldest of all
        async with small.local.get("http://local/v1/toys") as answer:
            assert answer.status == 200
        for end in silent:
            end.close()
        await until(lambda: small.door.open == 0)
        assert not small.door._strangers
    finally:
        await small.stop()


async def test_a_connection_that_says_nothing_costs_little_memory(tmp_path):
    """A thousand of them cost 300 MB, which no process gave back."""
    large = House(tmp_path)
    await large.start(most=400, most_each=400)
    page, statm = os.sysconf("SC_PAGESIZE"), Path("/proc/self/statm")
    before = int(statm.read_text().split()[1])
    silent = [await asyncio.open_connection("127.0.0.1", large.port) for _ in range(300)]
    await until(lambda: large.door.open == 300)
    assert (int(statm.read_text().split()[1]) - before) * page < 300 * 200 * 1024
    for _, writer in silent:
        writer.close()
    await large.stop()


@pytest.mark.parametrize(
    "path",
    ["/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/link.txt", "//etc/passwd", "/x\\..\\secret.txt"],
)
async def test_no_path_leaves_the_panels_folder(house: House, path: str):
    answer = await house.raw(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert b"canary" not in answer
    assert b"root:" not in answer
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.0 400", b"HTTP/1.1 400"))


async def test_the_panel_comes_strict_compressed_and_cached(house: House):
    status, text, headers = await house.ask("GET", "/", token="")
    assert (status, text[:15]) == (200, b"<!doctype html>")
    policy = headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["Content-Encoding"] == "gzip"
    assert (await house.ask("GET", "/", token="", If_None_Match=headers["ETag"]))[0] == 304
    script = await house.ask("GET", "/app-0123abcd.js", token="")
    assert "immutable" in script[2]["Cache-Control"]
    assert script[2]["X-Content-Type-Options"] == "nosniff"
    assert (await house.ask("GET", "/machines/web01", token="", Accept="text/html"))[1] == text
    assert (await house.ask("GET", "/missing.js", token=""))[0] == 404
