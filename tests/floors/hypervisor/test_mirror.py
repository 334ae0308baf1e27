"""Where a node may be sent to for images: addresses looked at once and then used, and what settings may name."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from girginosvm.core.errors import HostFault, Invalid, Unsafe
from girginosvm.hypervisor.storage.catalogue import offer
from girginosvm.hypervisor.storage.images import StoreImages
from girginosvm.hypervisor.storage.mirror import checked, http_response, is_inside, obstacle, opened

ASKED: list[str] = []
# What begins well and never ends: a byte comes now and then, so that no wait for the next one is long.
TRICKLES = {
    "/header": b"HTTP/1.1 200 OK\r\nX: ",
    "/body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
    "/chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
}


class _Mirror(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        ASKED.append(self.headers["Host"])
        if self.path in TRICKLES:
            self.wfile.write(TRICKLES[self.path])
            with contextlib.suppress(OSError):
                while self.connection.send(b"1"):
                    time.sleep(0.02)
            return
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("Location", "http://169.254.169.254/")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Mirror)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    ASKED.clear()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


class Names:
    """A name server that gives each of ``answers`` once, and keeps to the last."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host: str, port: int) -> list[Any]:
        self.asked += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, port)) for address in found]


def test_a_name_is_looked_up_once_and_what_was_looked_at_is_used(port: int) -> None:
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    url = f"http://mirror.example:{port}/index.json"
    with http_response(url, {}, trusted=(f"http://mirror.example:{port}",), resolve=names) as answer:
        assert answer.read(9) == b"ok"
    assert (names.asked, ASKED) == (1, [f"mirror.example:{port}"])


def test_a_name_with_one_bad_address_among_good_ones_is_not_gone_to(port: int) -> None:
    for answers in (["127.0.0.1"], ["192.0.2.1", "127.0.0.1"], ["127.0.0.1", "192.0.2.1"]):
        with pytest.raises(Unsafe) as refused:
            http_response(f"http://mirror.example:{port}/", {}, resolve=Names(answers))
        assert refused.value.code == "mirror-address"
    assert ASKED == []


def test_the_settings_may_name_this_node_but_never_the_metadata_service(port: int) -> None:
    here = f"http://localhost:{port}"
    with pytest.raises(Unsafe):
        http_response(f"{here}/index.json", {})
    with http_response(f"{here}/index.json", {}, trusted=(here,)) as answer:
        assert answer.status == 200
    with pytest.raises(Unsafe):
        http_response(f"{here}/index.json", {}, trusted=(here,), resolve=Names(["169.254.169.254"]))


def test_a_redirect_leads_nowhere(port: int) -> None:
    here = f"http://127.0.0.1:{port}"
    with pytest.raises(HostFault) as refused:
        http_response(f"{here}/moved", {}, trusted=(here,))
    assert refused.value.code == "mirror-refused"
    assert len(ASKED) == 1


@pytest.mark.parametrize(
    ("address", "outside", "inside"),
    [
        ("192.0.2.7", True, True), ("10.1.2.3", True, True), ("2001:db8::1", True, True), ("fd00::1", True, True),
        ("127.0.0.1", False, True), ("127.9.9.9", False, True), ("::1", False, True),
        ("::ffff:127.0.0.1", False, True), ("64:ff9b::7f00:1", False, True), ("2002:7f00:1::", False, True),
        ("169.254.169.254", False, False), ("::ffff:169.254.169.254", False, False), ("fe80::1", False, False),
        ("64:ff9b::a9fe:a9fe", False, False), ("fd00:ec2::254", False, False), ("100.100.100.200", False, False),
        ("0.0.0.0", False, False), ("0.1.2.3", False, False), ("::", False, False), ("224.0.0.1", False, False),
        ("ff02::1", False, False),
    ],
)  # fmt: skip
def test_an_address_is_gone_to_or_not(address: str, outside: bool, inside: bool) -> None:
    there = ipaddress.ip_address(address)
    assert (obstacle(there, inside=False) == "", obstacle(there, inside=True) == "") == (outside, inside)


@pytest.mark.parametrize(
    "source",
    ["http://[::1]@b/", "http://a:1@b/", "http://a@b/",
     "http://a/?x", "http://a/#x", "http://a/../b", "http://a/%2e%2e/b", "ftp://a/", "file:///etc",
     "images", "./images", "/srv/../etc", "", "http://", "http:///x", "http://a b/", "http://a\n/", "/srv/\0"],
)  # fmt: skip
def test_what_is_clever_is_no_source(source: str) -> None:
    with pytest.raises(Invalid) as refused:
        checked(source)
    assert refused.value.code == "source-invalid"


@pytest.mark.parametrize("path", TRICKLES)
def test_a_mirror_that_trickles_is_given_up(port: int, path: str) -> None:
    here = f"http://127.0.0.1:{port}{path}"

    def whole() -> None:
        with http_response(here, {}, trusted=[here], window_s=0.3) as answer:
            while answer.read(1000):
                pass

    with pytest.raises(HostFault) as refused:
        whole()
    assert refused.value.code == "mirror-away"


async def test_a_directory_mirror_is_read_and_nothing_in_it_is_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "index.json")
    for strange in ("index.json", "."):
        with pytest.raises(OSError, match="regular"):
            opened(str(tmp_path / strange))
    with pytest.raises(HostFault, match="regular"):
        await offer(str(tmp_path), "debian", trust_key="", insecure=True)
    with pytest.raises(HostFault, match="regular"):
        await StoreImages().ensure(
            str(tmp_path / "index.json"), tmp_path / "a.qcow2", sha256="0" * 64, size_bytes=9, progress=lambda *_: None
        )


def test_below_what_settings_name_is_inside_and_beside_it_is_not(tmp_path: Path) -> None:
    trusted = ("https://mirror.example/images", str(tmp_path / "usb"))
    (tmp_path / "usb" / "new").mkdir(parents=True)
    (tmp_path / "usb2").mkdir()
    (tmp_path / "usb" / "out").symlink_to(tmp_path / "usb2")
    for source in (trusted[0], trusted[0] + "/", trusted[0] + "/el10", trusted[1], f"{trusted[1]}/new"):
        assert is_inside(checked(source), trusted), source
    for source in ("https://mirror.example/images2", "http://mirror.example/images", "https://mirror.example",
                   f"{trusted[1]}2", f"{trusted[1]}/out", "/"):  # fmt: skip
        assert not is_inside(checked(source), trusted), source
    assert not is_inside("/anything", ("", ""))
