"""Wrong input on the real daemon, at both of its doors: a clear problem with a stable code, nothing half-made
afterwards, the next try works, and no memory is left behind.

One node under its supervisor, on a fake host of 32 GiB of memory and a pool of 1,000 GiB.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import pytest

from tests.scenarios.node import REPO, Node, UnixLink

pytestmark = pytest.mark.host
TOKEN = "wrong-input-administrator-token"
VM = {"name": "web01", "image": "tiny", "memory_mb": 64, "start": False}
DEEP = b'{"name":' + b"[" * 1000 + b"]" * 1000 + b"}"
LARGE = b'{"name":"' + b"a" * 10_000_000 + b'"}'


class House(NamedTuple):
    """The node, its TLS port, and what was put there before: `taken` has the only address of `narrow`."""

    node: Node
    port: int
    tls: ssl.SSLContext
    images: dict[str, bytes]

    def ask(self, door: str, method: str, path: str, body: Any = None, token: str = TOKEN, **headers: str) -> Any:
        """Status, decoded body and headers; ``door`` is ``socket`` (root) or ``tls`` (with ``token``)."""
        link: http.client.HTTPConnection = UnixLink(self.node.root / "run/girginosvm/agent.sock")
        head = {name.replace("_", "-"): value for name, value in headers.items()}
        if door == "tls":
            link = http.client.HTTPSConnection("localhost", self.port, timeout=20, context=self.tls)
            head = {"Authorization": f"Bearer {token}"} | head if token else head
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused early; the answer is there
            link.request(method, path, data, {"Content-Type": "application/json"} | head)
        answer = link.getresponse()
        text = answer.read()
        link.close()
        return answer.status, json.loads(text) if text else None, answer.headers

    def everything(self) -> Any:
        """All that a half-made thing would show in."""
        rooms = ("vms", "images", "leases", "pools", "networks", "disks", "users", "tokens", "operations")
        lists = {room: self.ask("socket", "GET", f"/v1/{room}?limit=1000")[1]["items"] for room in rooms}
        ids = {room: sorted(one["id"] for one in rows) for room, rows in lists.items()}
        host = self.node.host()
        store = self.node.root / "var/lib/girginosvm"
        files = sorted(str(path) for part in ("images", "seeds", "serial") for path in (store / part).glob("*"))
        return ids, sorted(host.get("volumes", {})), sorted(host.get("domains", {})), files


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    root = tmp_path_factory.mktemp("node")
    base, child = root / "base.qcow2", root / "child.qcow2"
    for words in (["-f", "qcow2", base, "64M"], ["-f", "qcow2", "-b", base, "-F", "qcow2", child]):
        subprocess.run(["qemu-img", "create", "-q", *words], check=True)
    node = Node(root, GIRGINOSVM_TOKEN=TOKEN)
    try:
        node.until("/v1/pools", lambda found: found["items"] and found["items"][0]["capacity_bytes"])
        node.upload("tiny", base)
        port = next(json.loads(row)["port"] for row in (root / "log").read_text().splitlines() if '"agent.up"' in row)
        tls = ssl.create_default_context(cafile=str(root / "var/lib/girginosvm/pki/ca.crt"))
        made = House(node, port, tls, {"base": base.read_bytes(), "child": child.read_bytes()})
        narrow = {"name": "narrow", "bridge": "br-narrow", "cidr": "192.0.2.0/24", "gateway": "192.0.2.1",
                  "range_start": "192.0.2.9", "range_end": "192.0.2.9"}  # fmt: skip
        assert made.ask("socket", "POST", "/v1/networks", narrow)[0] == 201
        assert made.ask("socket", "POST", "/v1/vms", VM | {"name": "taken", "network": "narrow"})[0] == 202
        assert made.ask("socket", "POST", "/v1/tokens", {"name": "viewer", "role": "viewer"})[0] == 201
        node.until("/v1/vms", lambda found: [row["state"] for row in found["items"]] == ["stopped"])
        yield made
    finally:
        node.stop()


class Case(NamedTuple):
    """A request and the problem that it is."""

    name: str
    method: str
    path: str
    body: Any
    status: int
    code: str
    pointers: tuple[str, ...] = ()
    headers: dict[str, str] = {}


def create(name: str, changes: dict[str, Any], status: int, code: str, *pointers: str) -> Case:
    return Case(name, "POST", "/v1/vms", VM | changes, status, code, pointers)


def field(name: str, value: Any) -> Case:
    """One field of a create that cannot be right."""
    return create(f"{name}={str(value)[:20]!r}", {name: value}, 422, "body-invalid", f"/{name}")


NAMES = ['"><disk', "a\nb", "-rf", "--purge", "a" * 64, "Web", "wéb", "a\0", "", "a b", "..", "a/b", "x' OR 1=1 --"]
BODIES = [
    Case("10 MB", "POST", "/v1/vms", LARGE, 413, "body-too-large"),
    Case("1,000 deep", "POST", "/v1/vms", DEEP, 422, "body-too-deep"),
    Case("100,000 deep", "POST", "/v1/vms", b"[" * 100_000, 422, "body-too-deep"),
    Case("an array", "POST", "/v1/vms", [VM], 422, "body-invalid"),
    Case("a number too long", "POST", "/v1/vms", b'{"vcpu":' + b"9" * 4000 + b"}", 422, "body-invalid"),
    Case("not a number", "POST", "/v1/vms", b'{"vcpu": NaN}', 422, "body-not-json"),
    Case("cut off", "POST", "/v1/vms", b'{"name": "web', 422, "body-not-json"),
    Case("half a character", "POST", "/v1/vms", VM | {"name": "\ud800"}, 422, "body-not-json"),
    Case("no UTF-8", "POST", "/v1/vms", b'{"name": "\xff"}', 422, "body-not-json"),
    Case("a form", "POST", "/v1/vms", b"name=web01", 422, "content-type-wrong",
         headers={"Content_Type": "application/x-www-form-urlencoded"}),
    Case("fields in the address", "POST", "/v1/vms?name=web01", VM, 422, "query-invalid", ("/name",)),
    Case("the path's field again", "POST", "/v1/vms/taken/start", {"vm": "taken"}, 422, "body-invalid", ("/vm",)),
]  # fmt: skip
CREATES = [
    create("an unknown field", {"colour": "red"}, 422, "body-invalid", "/colour"),
    create("three faults at once", {"name": 5, "vcpu": 0, "x": 1}, 422, "body-invalid", "/x", "/name", "/vcpu"),
    *(field("name", name) for name in NAMES),
    *(field("vcpu", value) for value in ("four", True, 1.5, 0, 513, -1, None, [1], 10**30)),
    *(field("memory_mb", value) for value in (63, 16 * 1024 * 1024 + 1, "1G")),
    *(field("disk_gb", value) for value in (-1, 65537)),
    create("a key of another kind", {"ssh_keys": ["root:x:0"]}, 422, "body-invalid", "/ssh_keys/0"),
    create("a key with a second line", {"ssh_keys": ["ssh-rsa AAAA\nssh-rsa B"]}, 422, "body-invalid", "/ssh_keys/0"),
    create("a tag with markup", {"tags": ["ok", "<b>"]}, 422, "body-invalid", "/tags/1"),
    create("user-data of no kind", {"user_data": "hello"}, 422, "user-data-unknown", "/user_data"),
    create("a name that is taken", {"name": "taken"}, 409, "name-taken"),
    create("an unknown image", {"image": "nothing"}, 404, "image-missing", "/image"),
    create("an image by SQL", {"image": "x' OR 1=1 --"}, 404, "image-missing", "/image"),
    create("an unknown network", {"network": "nothing"}, 404, "network-missing", "/network"),
    create("an unknown pool", {"pool": "nothing"}, 404, "pool-missing", "/pool"),
    create("a disk into the reserve", {"disk_gb": 951}, 409, "pool-full"),
    create("more memory than the host has", {"memory_mb": 33 * 1024}, 409, "memory-short"),
    create("no address left", {"network": "narrow"}, 409, "addresses-exhausted"),
    create("an address that is none", {"address": "192.0.2.999"}, 422, "address-invalid", "/address"),
    create("an address outside", {"address": "192.0.2.9"}, 422, "address-outside", "/address"),
    create("an address that is taken", {"network": "narrow", "address": "192.0.2.9"}, 409, "address-taken"),
]
OTHERS = [
    Case("no such machine", "POST", "/v1/vms/nothing/start", {}, 404, "vm-missing", ("/vm",)),
    Case("a machine by markup", "GET", "/v1/vms/%22%3E%3Cdisk", None, 404, "vm-missing", ("/vm",)),
    Case("a machine by newline", "GET", "/v1/vms/a%0Ab", None, 404, "vm-missing", ("/vm",)),
    Case("a machine by two dots", "GET", "/v1/vms/%2e%2e%2fimages", None, 404, "vm-missing", ("/vm",)),
    Case("a machine too long", "GET", "/v1/vms/" + "a" * 64, None, 422, "query-invalid", ("/vm",)),
    Case("no such way", "POST", "/v1/nothing", {}, 404, "route-missing"),
    Case("no such method", "PUT", "/v1/vms/taken", {}, 405, "method-not-allowed"),
    Case("reboot of what is off", "POST", "/v1/vms/taken/reboot", {}, 409, "vm-off"),
    Case("a page of nothing", "GET", "/v1/vms?limit=0", None, 422, "query-invalid", ("/limit",)),
    Case("a page of all", "GET", "/v1/vms?limit=1001", None, 422, "query-invalid", ("/limit",)),
    Case("limit twice", "GET", "/v1/vms?limit=1&limit=2", None, 422, "query-invalid", ("/limit",)),
    Case("a filter of nothing", "GET", "/v1/vms?filter=colour%3Dred", None, 422, "list-invalid", ("/filter",)),
    Case("a filter by SQL", "GET", "/v1/vms?filter=1%3D1)--", None, 422, "list-invalid", ("/filter",)),
    Case("a sort by SQL", "GET", "/v1/vms?sort=name;drop", None, 422, "list-invalid", ("/sort",)),
    Case("a cursor made up", "GET", "/v1/vms?cursor=abc", None, 422, "list-invalid", ("/cursor",)),
    Case("fields made up", "GET", "/v1/vms?fields=name,colour", None, 422, "fields-unknown", ("/fields",)),
    Case("an index far ahead", "GET", "/v1/vms", None, 422, "header-invalid", headers={"X_Min_Index": "-1"}),
    Case("a long key", "POST", "/v1/vms", VM, 422, "header-invalid", headers={"Idempotency_Key": "k" * 201}),
    Case("another page's wish", "POST", "/v1/vms", VM, 403, "cross-origin", headers={"Origin": "https://evil.example"}),
    Case("a report by a person", "POST", "/v1/vms/foreign", {"node": "n", "domains": []}, 403, "permission-missing"),
    Case("a bridge of the machines", "POST", "/v1/networks", {"name": "n", "bridge": "gvm0"}, 422, "network-invalid",
         ("/bridge",)),
    Case("a pool by two dots", "POST", "/v1/pools", {"name": "p", "path": "/srv/../etc"}, 422, "path-odd"),
    Case("an image in use", "DELETE", "/v1/images/tiny", {}, 409, "image-in-use"),
    Case("a user twice over", "POST", "/v1/users", {"email": "admin@local", "password": "x" * 12}, 409, "user-exists"),
    Case("a short password", "POST", "/v1/users", {"email": "a@b", "password": "short"}, 422, "body-invalid",
         ("/password",)),
    Case("a token's name twice", "POST", "/v1/tokens", {"name": "viewer"}, 409, "token-exists"),
]  # fmt: skip


@pytest.mark.parametrize("door", ["socket", "tls"])
@pytest.mark.parametrize("case", [*BODIES, *CREATES, *OTHERS], ids=lambda case: case.name)
def test_wrong_input_is_a_clear_problem_and_leaves_nothing(house: House, case: Case, door: str) -> None:
    before = house.everything()
    status, problem, headers = house.ask(door, case.method, case.path, case.body, **case.headers)
    assert (status, problem["code"]) == (case.status, case.code), problem
    assert headers["Content-Type"].startswith("application/problem+json")
    assert problem["type"] == f"/problems/{case.code}"
    assert len(problem["detail"]) > 10
    found = tuple(error["pointer"] for error in problem.get("errors", ()))
    assert set(case.pointers) <= set(found), problem
    assert house.everything() == before


@pytest.mark.parametrize("door", ["socket", "tls"])
def test_an_image_that_is_none_leaves_no_file(house: House, door: str) -> None:
    before = house.everything()
    wrong = [
        ("bad", house.images["child"], 422, "image-unsafe"),
        ("bad", b"MZ" + b"\0" * 5000, 422, "image-unsafe"),
        ("bad", house.images["base"][:50], 422, "image-unsafe"),
        ("bad", b"", 422, "body-empty"),
        ("tiny", house.images["base"], 409, "image-exists"),
        ("-rf", house.images["base"], 422, "query-invalid"),
        ("%22%3E%3Cdisk", house.images["base"], 422, "query-invalid"),
        ("..%2f..%2fetc%2fpasswd", house.images["base"], 422, "query-invalid"),
    ]
    for name, data, status, code in wrong:
        found, problem, _ = house.ask(door, "POST", f"/v1/images/upload/{name}", data)
        assert (found, problem["code"]) == (status, code)
        assert house.everything() == before
    assert house.ask(door, "POST", f"/v1/images/upload/good-{door}", house.images["base"])[0] == 201
    assert house.ask(door, "DELETE", f"/v1/images/good-{door}")[0] == 200
    house.node.until("/v1/images", lambda _: house.everything() == before)


def test_a_key_is_for_one_request(house: House) -> None:
    body = VM | {"name": "keyed"}
    first = house.ask("tls", "POST", "/v1/vms", body, Idempotency_Key="keyed")
    again = house.ask("tls", "POST", "/v1/vms", body, Idempotency_Key="keyed")
    assert first[:2] == again[:2]
    other = house.ask("tls", "POST", "/v1/vms", body | {"vcpu": 2}, Idempotency_Key="keyed")
    assert (other[0], other[1]["code"]) == (422, "idempotency-mismatch")
    stale = house.ask("tls", "POST", "/v1/vms/keyed/start", {}, If_Match='"other"')
    assert (stale[0], stale[1]["code"]) == (412, "etag-mismatch")
    assert house.ask("tls", "DELETE", "/v1/vms/keyed", {"purge": True})[0] == 202
    house.node.until("/v1/vms", lambda found: len(found["items"]) == 1)


def test_a_token_that_is_expired_revoked_foreign_or_cut_gets_one_answer(house: House) -> None:
    made = {name: house.ask("tls", "POST", "/v1/tokens", {"name": name, "days": 1})[1] for name in ("old", "gone")}
    assert house.ask("tls", "GET", "/v1/vms", token=made["old"]["token"])[0] == 200
    assert house.ask("tls", "DELETE", "/v1/tokens/gone")[0] == 200
    # Nobody can wait a day: the row is aged by hand.
    db = apsw.Connection(str(house.node.root / "var/lib/girginosvm/db/state.db"))
    db.set_busy_timeout(5000)
    db.execute("UPDATE token SET expires_at_ms = 1 WHERE name = 'old'")
    db.close()
    before = house.everything()
    tokens = [made["old"]["token"], made["gone"]["token"], TOKEN[:-1], "ops-" + "x" * 40, "x" * 5000, "'; --"]
    answers = [house.ask("tls", "POST", "/v1/vms", VM, token=token) for token in tokens]
    assert {(status, body["code"], body["detail"]) for status, body, _ in answers} == {
        (401, "token-invalid", "this token is not valid here, or no longer")
    }
    assert house.ask("tls", "POST", "/v1/vms", VM, token="")[1]["code"] == "sign-in-needed"
    assert house.everything() == before


def test_the_one_time_password_opens_nothing_but_its_own_change(house: House) -> None:
    file = house.node.root / "var/lib/girginosvm/pki/first-password"
    once, own = file.read_text().strip(), "a password of my own"
    session = house.ask("tls", "POST", "/v1/auth/login", {"email": "admin@local", "password": once}, token="")[1]
    before = house.everything()
    for method, path, body in (("GET", "/v1/vms", None), ("POST", "/v1/vms", VM)):
        status, problem, _ = house.ask("tls", method, path, body, token=session["token"])
        assert (status, problem["code"]) == (403, "password-must-change")
    change = {"current": once, "new": own}
    wrong = house.ask("tls", "POST", "/v1/auth/password", change | {"new": once}, token=session["token"])
    assert (wrong[1]["code"], file.exists()) == ("password-same", True)
    status, changed, _ = house.ask("tls", "POST", "/v1/auth/password", change, token=session["token"])
    assert (status, changed["must_change_password"], file.exists()) == (200, False, False)
    assert house.ask("tls", "GET", "/v1/vms", token=session["token"])[1]["code"] == "token-invalid"
    again = house.ask("tls", "POST", "/v1/auth/login", {"email": "admin@local", "password": once}, token="")
    assert again[1]["code"] == "sign-in-failed"
    assert house.ask("tls", "GET", "/v1/vms", token=changed["token"])[0] == 200
    assert house.everything() == before


def test_a_viewer_changes_nothing(house: House) -> None:
    token = house.ask("tls", "POST", "/v1/tokens", {"name": "looker", "role": "viewer"})[1]["token"]
    before = house.everything()
    for method, path, body in (
        ("POST", "/v1/vms", VM), ("DELETE", "/v1/vms/taken", {}), ("POST", "/v1/images/upload/x", b"x"),
        ("POST", "/v1/users", {"email": "a@b", "password": "x" * 12}), ("GET", "/v1/tokens", None),
    ):  # fmt: skip
        status, problem, _ = house.ask("tls", method, path, body, token=token)
        assert (status, problem["code"]) == (403, "permission-missing")
    assert house.everything() == before


def test_a_node_is_not_sent_anywhere_on_anybodys_word(house: House) -> None:
    operator = house.ask("tls", "POST", "/v1/tokens", {"name": "worker", "role": "operator"})[1]["token"]
    before = house.everything()
    here = f"http://localhost:{house.port}"
    for token, source, status, code in (
        (operator, "http://203.0.113.1/images", 403, "source-forbidden"),
        (operator, "/var/lib/girginosvm/pki", 403, "source-forbidden"),
        (operator, "", 422, "mirror-missing"),
        (TOKEN, here, 409, "mirror-address"),
        (TOKEN, "http://2130706433/", 409, "mirror-address"),
        (TOKEN, "http://0x7f.1/", 409, "mirror-address"),
        (TOKEN, "http://[::ffff:127.0.0.1]:80/", 409, "mirror-address"),
        (TOKEN, "http://169.254.169.254/latest", 409, "mirror-address"),
        (TOKEN, "file:///etc", 422, "source-invalid"),
        (TOKEN, "/nowhere", 502, "mirror-away"),
    ):
        found, problem, _ = house.ask("tls", "POST", "/v1/images/pull", {"name": "x", "source": source}, token=token)
        assert (found, problem["code"]) == (status, code), (source, problem)
        assert house.everything() == before


@pytest.mark.parametrize(
    ("words", "exit_code", "says"),
    [
        (["vm", "create", "--name=-rf", "--image", "tiny"], 2, "--name: has to be"),
        (["vm", "create", "--name", "-rf", "--image", "tiny"], 2, "--name"),
        (["vm", "create", "--name", "a\nb", "--image", "tiny"], 2, "--name: has to be"),
        (["vm", "create", "--name", '"><disk', "--image", "tiny"], 2, "--name: has to be"),
        (["vm", "create", "--name", "x", "--image", "tiny", "--vcpu", "four"], 2, "'four' is no whole number"),
        (["vm", "create", "--name", "x", "--image", "tiny", "--memory", "much"], 2, "--memory"),
        (["vm", "create", "--name", "x", "--image", "tiny", "--memroy", "64"], 2, "--memory"),
        (["vm", "create", "--name", "x", "--image", "\x1b[31mred"], 4, "\\x1b[31mred"),
        (["vm", "show", "--", "-rf"], 4, "'-rf'"),
        (["vm", "show", "-rf"], 2, "required: VM"),
        (["vm", "show", "a\nb"], 4, "a\\nb"),
        (["vm", "shwo", "taken"], 2, "vm show"),
        (["vm", "destroy", "taken;x", "--yes"], 4, "taken;x"),
    ],
)
def test_the_command_line_refuses_with_the_same_words(
    house: House, words: list[str], exit_code: int, says: str
) -> None:
    before = house.everything()
    command = [sys.executable, "-m", "girginosvm", "--root", str(house.node.root), *words]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == exit_code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    assert done.stdout == ""
    assert house.everything() == before


def test_hostile_bodies_leave_no_memory_behind(house: House) -> None:
    status = Path(f"/proc/{house.node.pid('agent')}/status")

    def round() -> int:
        for body in (LARGE, DEEP, b"[" * 1_000_000, b'{"name":"' + b"a" * 1_000_000 + b'"}'):
            assert house.ask("tls", "POST", "/v1/vms", body)[0] in (413, 422)
        return int(re.findall(r"VmRSS:\s+(\d+) kB", status.read_text())[0])

    warm = [round() for _ in range(5)][-1]
    after = [round() for _ in range(30)][-1]
    assert after - warm < 8 * 1024, f"{warm} kB before, {after} kB after 120 hostile bodies"


def test_after_all_of_it_the_next_try_works(house: House) -> None:
    assert house.ask("tls", "POST", "/v1/vms", VM | {"start": True})[0] == 202
    house.node.until("/v1/vms/web01", lambda found: found["state"] == "running")
    assert house.ask("tls", "DELETE", "/v1/vms/web01", {"force": True, "purge": True})[0] == 202
    house.node.until("/v1/vms", lambda found: [row["name"] for row in found["items"]] == ["taken"])
    assert '"http.bug"' not in (house.node.root / "log").read_text()
