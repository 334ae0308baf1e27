"""Streams: events that resume without a gap, uploads that arrive whole or not at all, output as it comes."""

import asyncio
import hashlib

from girginosvm.http.events import Change
from tests.floors.http.toyhouse import UNREADABLE, UPLOAD_LIMIT, House

HEADERS = {"Authorization": "Bearer good"}


async def frames(response, count: int) -> list[dict[str, str]]:
    """The next frames of an SSE answer."""
    found: list[dict[str, str]] = []
    async with asyncio.timeout(5):
        while len(found) < count:
            frame: dict[str, str] = {}
            while (line := (await response.content.readline()).decode().rstrip("\n")) != "":
                name, _, value = line.partition(": ")
                if name and not name.startswith(":"):
                    frame[name] = value
            if frame:
                found.append(frame)
    return found


async def test_a_listener_gets_every_change_and_resumes_where_it_was(house: House):
    async with house.client.get(house.url + "/v1/events/stream", headers=HEADERS) as response:
        assert response.content_type == "text/event-stream"
        assert (response.headers["X-Frame-Options"], response.headers["Server"]) == ("DENY", "girginosvm")
        (first,) = await frames(response, 1)
        assert (first["event"], first["id"]) == ("ready", "inc.7.0")
        house.hub.publish(Change(8, ("vm",)))
        (change,) = await frames(response, 1)
        assert (change["id"], change["event"]) == ("inc.8.0", "change")
        assert change["data"] == '{"index":8,"tables":["vm"],"events":[]}'
    house.hub.publish(Change(9, ("vm",)))
    house.hub.publish(Change(9, ("vm",)))
    house.hub.publish(Change(11, ("image",)))
    for way in (
        {"headers": {**HEADERS, "Last-Event-ID": "inc.8.0"}},
        {"params": {"since": "inc.8.0"}, "headers": HEADERS},
    ):
        async with house.client.get(house.url + "/v1/events/stream", **way) as response:
            assert [frame["id"] for frame in await frames(response, 2)] == ["inc.9.0", "inc.11.0"]


async def test_lines_of_history_are_read_when_somebody_listens_and_once_for_all(house: House):
    where = house.url + "/v1/events/stream"
    house.hub.publish(Change(8, ("event", "vm")))
    house.hub.publish(Change(9, ("vm",)))
    async with house.client.get(where, headers=HEADERS) as one, house.client.get(where, headers=HEADERS) as other:
        for response in (one, other):
            await frames(response, 1)
        assert house.read == []
        house.hub.publish(Change(10, ("event", "vm")))
        for response in (one, other):
            (change,) = await frames(response, 1)
            assert change["data"] == '{"index":10,"tables":["event","vm"],"events":[{"text":"entry 10"}]}'
    async with house.client.get(where + "?since=inc.7.0", headers=HEADERS) as response:
        found = [frame["data"] for frame in await frames(response, 3)]
        assert '"events":[{"text":"entry 8"}]' in found[0]
        assert '"events":[]' in found[1]
    assert house.read == [10, 8]


async def test_a_database_that_cannot_be_read_in_time_ends_the_stream_before_the_change(house: House):
    async with house.client.get(house.url + "/v1/events/stream", headers=HEADERS) as response:
        await frames(response, 1)
        house.hub.publish(Change(UNREADABLE, ("event",)))
        async with asyncio.timeout(5):
            assert b"change" not in await response.content.read()


async def test_a_new_history_s_entry_has_its_own_lines_whatever_its_number(house: House):
    where = house.url + "/v1/events/stream"
    async with house.client.get(where, headers=HEADERS) as response:
        await frames(response, 1)
        house.hub.publish(Change(8, ("event",)))
        await frames(response, 1)
    house.hub.restart("inc2", 7)
    house.hub.publish(Change(8, ("event",)))
    async with house.client.get(where + "?since=inc2.7.0", headers=HEADERS) as response:
        assert [frame["id"] for frame in await frames(response, 1)] == ["inc2.8.0"]
    assert house.read == [8, 8]


async def test_an_id_that_is_too_old_or_of_another_life_gets_one_reset(house: House):
    for index in range(8, 30):
        house.hub.publish(Change(index, ()))
    for mark in ("inc.8.0", "other.29.0", "inc.99.0"):
        async with house.client.get(house.url + f"/v1/events/stream?since={mark}", headers=HEADERS) as response:
            (frame,) = await frames(response, 1)
            assert (frame["event"], frame["id"]) == ("reset", "inc.29.0")
    async with house.client.get(house.url + "/v1/events/stream?since=inc.21.0", headers=HEADERS) as response:
        assert (await frames(response, 8))[0]["id"] == "inc.22.0"
    status, body, _ = await house.ask("GET", "/v1/events/stream?since=abc")
    assert (status, body["code"]) == (422, "event-id-invalid")


async def test_a_listener_that_does_not_keep_up_is_closed(house: House):
    async with house.client.get(house.url + "/v1/events/stream", headers=HEADERS) as response:
        await frames(response, 1)
        for index in range(8, 20):  # more than its queue holds, before it could run
            house.hub.publish(Change(index, ()))
        async with asyncio.timeout(5):
            told = await response.content.read()
        assert b"inc.19.0" not in told


async def test_a_restart_of_the_database_ends_every_stream(house: House):
    async with house.client.get(house.url + "/v1/events/stream", headers=HEADERS) as response:
        await frames(response, 1)
        house.hub.restart("inc2", 3)
        async with asyncio.timeout(5):
            assert b"inc2" not in await response.content.read()


async def test_an_ended_session_hears_nothing_more_however_much_happens(house: House):
    async with house.client.get(house.url + "/v1/events/stream", headers=HEADERS) as response:
        await frames(response, 1)
        house.desk.revoked.add("good")

        async def busy() -> None:
            for index in range(8, 10_000):  # never as long as a heartbeat without a change
                house.hub.publish(Change(index, ("vm",)))
                await asyncio.sleep(0.01)

        happening = asyncio.ensure_future(busy())
        async with asyncio.timeout(5):
            await response.content.read()
        assert not happening.done()
        happening.cancel()


async def test_an_ended_session_is_let_go_from_a_silent_output(house: House):
    async with house.client.get(house.url + "/v1/vms/silent/serial?follow=true", headers=HEADERS) as response:
        await response.content.readline()
        house.desk.revoked.add("good")
        async with asyncio.timeout(5):
            rest = await response.content.read()
            await house.desk.left.wait()
        assert rest == b""


async def test_nothing_is_left_of_a_listener_that_went_away_from_a_silent_output(house: House):
    async with house.client.get(house.url + "/v1/vms/silent/serial?follow=true", headers=HEADERS) as response:
        await response.content.readline()
        assert not house.desk.left.is_set()
        response.close()
    async with asyncio.timeout(5):
        await house.desk.left.wait()


async def test_an_upload_arrives_whole_with_its_hash(house: House):
    data = bytes(range(256)) * 1000
    status, body, _ = await house.ask("POST", "/v1/images/upload/tiny", body=data, Idempotency_Key="k1")
    assert (status, body, house.desk.upload_keys) == (201, {"image": "i1"}, ["k1"])
    assert house.desk.uploads == [(len(data), hashlib.sha256(data).hexdigest(), data)]
    assert not list(house.folder.glob("*.part"))


async def test_an_upload_that_is_too_large_leaves_nothing(house: House):
    async def pieces():
        for _ in range(4):
            yield b"a" * 100_000

    url = house.url + "/v1/images/upload/tiny"
    async with house.client.post(url, data=pieces(), headers=HEADERS) as response:
        assert (response.status, (await response.json())["code"]) == (413, "body-too-large")
    status, body, _ = await house.ask("POST", "/v1/images/upload/tiny", body=b"a" * (UPLOAD_LIMIT + 1))
    assert (status, body["code"]) == (413, "body-too-large")
    assert (await house.ask("POST", "/v1/images/upload/tiny", token="look", body=b"a"))[0] == 403
    assert (await house.ask("POST", "/v1/images/upload/..%2fx", body=b"a"))[0] == 422
    for why in ("w" * 201, "pour l'\u00e9t\u00e9"):  # what a command refuses, an upload does too
        status, answer, _ = await house.ask("POST", "/v1/images/upload/tiny", body=b"a", X_Why=why)
        assert (status, answer["code"]) == (422, "header-invalid")
    assert house.desk.uploads == []
    assert not list(house.folder.glob("*.part"))


async def test_output_comes_as_plain_text(house: House):
    status, text, headers = await house.ask("GET", "/v1/vms/web/serial")
    assert (status, text, headers["Content-Type"]) == (200, b"boot done\n", "text/plain; charset=utf-8")
