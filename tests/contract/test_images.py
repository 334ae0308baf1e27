"""The ``Images`` contract: a mirror over HTTP and as a directory, good and bad bytes, and who signed the list."""

from __future__ import annotations

import base64
import hashlib
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from girginosvm.core.errors import HostFault, Invalid
from girginosvm.hypervisor.storage.catalogue import is_signed
from girginosvm.hypervisor.storage.images import StoreImages, part

HEAD = struct.pack(
    ">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, 16, 1 << 30, 0, 2, 196608, 65536, 1, 0, 0, 0, 0, 0, 4, 104
)
IMAGE = HEAD.ljust(262144, b"\0")
DIGEST = hashlib.sha256(IMAGE).hexdigest()
RANGES: list[str] = []


class Mirror(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        RANGES.append(wanted)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/image")
            self.end_headers()
            return
        body = IMAGE[int(wanted[6:-1]) :] if wanted else IMAGE
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def mirror() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    RANGES.clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


async def pull(source: str, target: Path, digest: str = DIGEST) -> int:
    facts = await StoreImages((source.rpartition("/")[0],)).ensure(
        source, target, sha256=digest, size_bytes=len(IMAGE), progress=lambda done, total: None
    )
    return facts.virtual_bytes


async def test_an_image_comes_from_a_mirror_and_goes_on_where_it_stopped(mirror: str, tmp_path: Path) -> None:
    target = tmp_path / "i.qcow2"
    part(target).write_bytes(IMAGE[:1000])
    assert await pull(f"{mirror}/image", target) == 1 << 30
    assert RANGES == ["bytes=1000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["i.qcow2"]


async def test_wrong_bytes_are_refused_and_leave_nothing(mirror: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid):
        await pull(f"{mirror}/image", tmp_path / "i.qcow2", "0" * 64)
    assert list(tmp_path.iterdir()) == []


async def test_a_redirect_is_not_followed(mirror: str, tmp_path: Path) -> None:
    with pytest.raises(HostFault):
        await pull(f"{mirror}/moved", tmp_path / "i.qcow2")
    assert RANGES == [""]


def test_only_the_trusted_keys_signature_over_these_very_bytes_counts() -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes_raw())
    signature = base64.b64encode(key.sign(b"index"))
    assert is_signed(b"index", signature, public)
    assert not is_signed(b"index ", signature, public)
    assert not is_signed(b"index", base64.b64encode(other.sign(b"index")), public)
    assert not is_signed(b"index", b"not base64 at all", public)


async def test_a_sweep_takes_what_no_row_names_and_leaves_what_is_not_ours(tmp_path: Path) -> None:
    known, lost = "019a0000-0000-7000-8000-000000000001", "019a0000-0000-7000-8000-000000000002"
    stay = {f"{known}.qcow2", f"{known}.qcow2.part", "notes.txt", "my.qcow2", f"{lost}.txt"}
    goes = {f"{lost}.qcow2", f"{lost}.raw.part", "upload-0011223344556677.part"}
    for name in stay | goes:
        (tmp_path / name).write_bytes(b"x")
    gone = await StoreImages().sweep(tmp_path, frozenset({known}))
    assert {Path(path).name for path in gone} == goes
    assert {file.name for file in tmp_path.iterdir()} == stay
    assert await StoreImages().sweep(tmp_path / "none", frozenset()) == ()
