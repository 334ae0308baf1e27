"""What every route keeps, seen from outside over TLS."""

import base64
import hashlib
import json
import re

import pytest

from tests.floors.http.toyhouse import House


async def test_a_command_answers_202_with_the_place_of_its_operation(house: House):
    status, body, headers = await house.ask("POST", "/v1/toys", body={"name": "car"})
    assert (status, body) == (202, {"toy": "car", "operation": "op-car"})
    assert headers["Location"] == "/v1/operations/op-car"
    assert headers["X-Applied-Index"] == "8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "girginosvm"  # no releases


async def test_prefer_wait_answers_with_the_ended_operation(house: House):
    status, body, headers = await house.ask("POST", "/v1/toys", body={"name": "car"}, Prefer="wait=5")
    assert (status, body["state"], headers["Preference-Applied"]) == (200, "done", "wait=5")
    status, body, headers = await house.ask("POST", "/v1/toys", body={"name": "slow"}, Prefer="wait=1")
    assert (status, body["operation"], headers["Location"]) == (202, "op-slow", "/v1/operations/op-slow")


async def test_every_mistake_in_a_body_is_listed_with_its_pointer(house: House):
    bad = {"name": 5, "size": 99, "legs": [{"length": 1}, {"length": 0}], "colour": "red", "a/b~c": 1}
    status, body, headers = await house.ask("POST", "/v1/toys", body=bad)
    assert status == 422
    assert headers["Content-Type"].startswith("application/problem+json")
    assert body["type"] == "/problems/body-invalid"
    codes = {error["pointer"]: (error["detail_said"] or {}).get("code") for error in body["errors"]}
    assert codes == {
        "/name": "fault.kind", "/size": "fault.high", "/legs/1/length": "fault.low", "/colour": None, "/a~1b~0c": None,
    }  # fmt: skip
    status, body, _ = await house.ask("POST", "/v1/toys", body={})
    missing = {"code": "fault.missing", "values": {}}
    assert body["errors"] == [{"pointer": "/name", "detail": "missing", "detail_said": missing}]
    assert house.desk.toys == {}


@pytest.mark.parametrize(
    ("data", "code", "status"),
    [
        (b"{", "body-not-json", 422),
        (b"[1]", "body-invalid", 422),
        (b"\xff\xfe", "body-not-json", 422),
        (b'{"name":' + b"[" * 1000 + b"]" * 1000 + b"}", "body-too-deep", 422),
        (b'{"name":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "body-too-deep", 422),
        (b'{"name":' + b'{"a":' * 1000 + b"1" + b"}" * 1000 + b"}", "body-too-deep", 422),
        (b'{"name":"' + b"a" * 10_000_000 + b'"}', "body-too-large", 413),
    ],
    ids=["cut", "array", "no-utf8", "deep-1000", "deep-1e5", "deep-objects", "10-MB"],
)
async def test_a_body_that_is_no_request_is_a_problem_with_a_code(house: House, data: bytes, code: str, status: int):
    found, body, _ = await house.ask("POST", "/v1/toys", body=data)
    assert (found, body["code"]) == (status, code)
    assert (await house.ask("POST", "/v1/toys", body={"name": "after"}))[0] == 202


async def test_a_body_without_a_length_is_bounded_too(house: House):
    async def pieces():
        for _ in range(40):
            yield b"a" * 50_000

    headers = {"Authorization": "Bearer good", "Content-Type": "application/json"}
    async with house.client.post(house.url + "/v1/toys", data=pieces(), headers=headers) as response:
        assert (response.status, (await response.json())["code"]) == (413, "body-too-large")


async def test_only_json_is_a_body_and_a_command_has_no_query_string(house: House):
    status, body, _ = await house.ask("POST", "/v1/toys", body={"name": "car"}, Content_Type="text/plain")
    assert (status, body["code"]) == (422, "content-type-wrong")
    status, body, _ = await house.ask("POST", "/v1/toys?name=car", body={"name": "car"})
    assert (status, body["errors"][0]["pointer"]) == (422, "/name")
    status, body, _ = await house.ask("POST", "/v1/toys/car/grow", body={"toy": "bus"})
    assert (status, body["errors"][0]["detail"]) == (422, "belongs to the path")


async def test_a_query_string_is_as_strict_as_a_body(house: House):
    for query, pointer in (
        ("limit=x", "/limit"),
        ("limit=0", "/limit"),
        ("what=1", "/what"),
        ("limit=1&limit=2", "/limit"),
    ):
        status, body, _ = await house.ask("GET", f"/v1/toys?{query}")
        assert (status, body["errors"][0]["pointer"]) == (422, pointer)


async def test_the_same_key_gives_the_same_answer_and_another_body_is_refused(house: House):
    first = await house.ask("POST", "/v1/toys", body={"name": "car"}, Idempotency_Key="k1")
    again = await house.ask("POST", "/v1/toys", body={"name": "car"}, Idempotency_Key="k1")
    assert first[:2] == again[:2]
    assert "Idempotency-Replayed" not in first[2]
    assert again[2]["Idempotency-Replayed"] == "true"
    other = await house.ask("POST", "/v1/toys", body={"name": "bus"}, Idempotency_Key="k1")
    assert (other[0], other[1]["code"]) == (422, "idempotency-mismatch")
    status, body, _ = await house.ask("POST", "/v1/toys", body={"name": "bus"}, Idempotency_Key="k" * 201)
    assert (status, body["code"]) == (422, "header-invalid")


async def test_a_key_that_cannot_be_kept_is_refused_and_not_ignored(house: House):
    body = {"email": "a@example.net", "password": "p"}
    status, answer, _ = await house.ask("POST", "/v1/login", body=body, Idempotency_Key="k1")
    assert (status, answer["code"], house.desk.seen) == (422, "key-meaningless", [])
    assert (await house.ask("POST", "/v1/login", body=body))[0] == 200
    assert (await house.ask("GET", "/v1/toys", Idempotency_Key="k1"))[0] == 200  # to read twice is no harm


async def test_an_etag_spares_the_body_and_guards_a_change(house: House):
    await house.ask("POST", "/v1/toys", body={"name": "car"})
    _, _, headers = await house.ask("GET", "/v1/toys/car")
    mark = headers["ETag"]
    status, body, _ = await house.ask("GET", "/v1/toys/car", If_None_Match=f'"x", W/{mark}')
    assert (status, body) == (304, b"")
    assert (await house.ask("POST", "/v1/toys/car/grow", If_Match=mark))[0] == 200
    status, body, _ = await house.ask("POST", "/v1/toys/car/grow", If_Match=mark)
    assert (status, body["code"], house.desk.toys["car"].size) == (412, "etag-mismatch", 2)
    status, body, _ = await house.ask("POST", "/v1/toys", body={"name": "bus"}, If_Match=mark)
    assert (status, body["code"]) == (422, "if-match-meaningless")


async def test_fields_are_projected_and_unknown_ones_named(house: House):
    await house.ask("POST", "/v1/toys", body={"name": "car"})
    _, body, _ = await house.ask("GET", "/v1/toys?fields=id,state")
    assert body["items"] == [{"id": "car", "state": "idle"}]
    assert "applied_index" in body
    assert (await house.ask("GET", "/v1/toys/car?fields=size"))[1] == {"size": 1}
    status, body, _ = await house.ask("GET", "/v1/toys?fields=id,colour")
    assert (status, body["code"], body["errors"][0]["pointer"]) == (422, "fields-unknown", "/fields")


async def test_min_index_and_fresh_reach_the_desk(house: House):
    await house.ask("POST", "/v1/toys", body={"name": "car"})
    assert (await house.ask("GET", "/v1/toys/car", X_Min_Index="99"))[2]["X-Applied-Index"] == "99"
    assert (await house.ask("GET", "/v1/toys?fresh=1"))[2]["X-Applied-Index"] == "1008"
    assert (await house.ask("GET", "/v1/toys", X_Min_Index="-1"))[1]["code"] == "header-invalid"


async def test_every_read_says_how_long_ago_the_node_heard_of_a_leader(house: House):
    await house.ask("POST", "/v1/toys", body={"name": "car"})
    for path in ("/v1/toys", "/v1/toys/car"):
        assert (await house.ask("GET", path))[2]["X-Leader-Age-Ms"] == "42"
    _, _, headers = await house.ask("GET", "/v1/toys/car")
    status, _, headers = await house.ask("GET", "/v1/toys/car", If_None_Match=headers["ETag"])
    assert (status, headers["X-Leader-Age-Ms"]) == (304, "42")
    house.desk.age_ms = None
    assert "X-Leader-Age-Ms" not in (await house.ask("GET", "/v1/toys"))[2]


async def test_the_reason_travels(house: House):
    await house.ask("POST", "/v1/toys", body={"name": "car"}, X_Why="ticket 4711")
    assert house.desk.whys == ["ticket 4711"]


async def test_a_literal_path_is_no_name_and_other_methods_are_405(house: House):
    status, body, headers = await house.ask("DELETE", "/v1/toys/car")
    assert (status, body["code"], headers["Allow"]) == (405, "method-not-allowed", "GET,HEAD".replace(",", ", "))
    status, body, _ = await house.ask("GET", "/v1/nothing")
    assert (status, body["code"]) == (404, "route-missing")


async def test_a_wrong_address_is_a_problem_to_a_program_and_the_panel_to_a_browser(house: House):
    status, body, _ = await house.ask("GET", "/api/v1/toys")
    assert (status, body["code"], body["hint"]) == (404, "route-missing", "GET /v1/openapi.json says what there is")
    status, text, _ = await house.ask("GET", "/machines", Accept="text/html,*/*;q=0.8")
    assert (status, b"<title>panel</title>" in text) == (200, True)
    assert (await house.ask("GET", "/", token=""))[0] == 200


async def test_a_bug_gives_a_number_to_the_person_and_the_rest_to_the_log(house: House):
    status, body, _ = await house.ask("POST", "/v1/toys/break")
    assert (status, body["code"]) == (500, "internal-error")
    assert "canary" not in json.dumps(body)
    line = json.loads(house.logged.getvalue().splitlines()[-1])
    assert line["reference"] in body["detail"]
    assert "canary-secret" in line["trail"]


async def test_every_problem_has_a_page(house: House):
    _, text, headers = await house.ask("GET", "/problems/toy-exists", token="")
    assert b"<h1>A toy</h1>" in text
    assert b"&lt;exists&gt;" in text
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    style = re.search(rb"<style>(.*?)</style>", text, re.S)
    assert style is not None
    allowed = base64.b64encode(hashlib.sha256(style[1]).digest()).decode()
    assert f"style-src 'sha256-{allowed}'" in headers["Content-Security-Policy"]
    assert b'href="/problems/toy-exists"' in (await house.ask("GET", "/problems", token=""))[1]
    for other in ("body-invalid", "..%2fsecret", "toy-exists.md", "%00"):
        status, body, _ = await house.ask("GET", f"/problems/{other}", token="")
        assert (status, body["code"]) == (404, "route-missing")
