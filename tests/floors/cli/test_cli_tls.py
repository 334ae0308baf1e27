"""The same over TLS: one CA is trusted and no other, and the token goes to nobody else."""

import datetime
import http.server
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from girginosvm.cli.client import Client
from girginosvm.cli.trouble import Trouble


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.crt", folder / f"{name}.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


class _Handler(http.server.BaseHTTPRequestHandler):
    tokens: list[str | None]

    def do_GET(self) -> None:
        self.tokens.append(self.headers["Authorization"])
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that refuses our certificate is what the tests are about."""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[tuple[str, Path, list[str | None]]]:
    """URL, CA file and the tokens that arrived."""
    own, key = certificate(tmp_path, "node")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, key)
    tokens: list[str | None] = []
    with _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"tokens": tokens})) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"https://127.0.0.1:{server.server_address[1]}", own, tokens
        server.shutdown()
        thread.join()


def test_the_pinned_ca_is_trusted_and_the_token_sent(node: tuple[str, Path, list[str | None]]) -> None:
    url, ca, tokens = node
    assert Client("", url=url, token="t1", ca=str(ca)).get("/v1/health").value == {}
    assert tokens == ["Bearer t1"]


def test_another_ca_is_refused_before_the_token_leaves(
    node: tuple[str, Path, list[str | None]], tmp_path: Path
) -> None:
    url, _, tokens = node
    other, _ = certificate(tmp_path, "other")
    with pytest.raises(Trouble, match="CERTIFICATE_VERIFY_FAILED") as caught:
        Client("", url=url, token="t1", ca=str(other)).get("/v1/health")
    assert (caught.value.exit_code, tokens) == (3, [])
    assert "--ca" in caught.value.hint


def test_on_a_node_its_own_ca_is_trusted_unless_another_is_asked_for(
    node: tuple[str, Path, list[str | None]], tmp_path: Path
) -> None:
    url, own, tokens = node
    assert Client("", url=url, own_ca=str(own)).get("/v1/health").value == {}
    other, _ = certificate(tmp_path, "other")
    with pytest.raises(Trouble):
        Client("", url=url, ca=str(other), own_ca=str(own)).get("/v1/health")
    assert tokens == [None]


def test_a_certificate_for_another_name_is_refused(node: tuple[str, Path, list[str | None]]) -> None:
    url, ca, tokens = node
    with pytest.raises(Trouble) as caught:
        Client("", url=url.replace("127.0.0.1", "localhost"), token="t1", ca=str(ca)).get("/v1/health")
    assert (caught.value.exit_code, tokens) == (3, [])


def test_a_ca_file_that_is_not_there_is_a_usage_error() -> None:
    with pytest.raises(Trouble) as caught:
        Client("", url="https://127.0.0.1:1", ca="/nowhere/ca.crt").get("/v1/health")
    assert caught.value.code == "ca-unreadable"
