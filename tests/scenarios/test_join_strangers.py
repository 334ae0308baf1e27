"""Strangers about a joining: somebody who answers in the cluster's place, and somebody who finds a token that was
used. The one is not shown the token, the other gets nothing, and the node stays as it was."""

from __future__ import annotations

import http.client
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from girginosvm.http.tls import Identity, new_key, signing_request
from tests.scenarios.node import Node
from tests.scenarios.test_join import Start, is_member, membership, start, token

__all__ = ["start"]
AUTHORITY = "/v1/membership/authority"


class Stranger:
    """A center with a CA of its own, that answers ``says`` to whoever asks for the cluster's; ``asked`` are the paths
    that were asked for."""

    def __init__(self, folder: Path) -> None:
        Identity(folder).ensure(["127.0.0.1"])
        self.authority = (folder / "ca.crt").read_text()
        self.asked: list[str] = []
        self.says = b"{}"
        stranger = self

        class Asked(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stranger.asked.append(self.path)
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                self.send_response(200)
                self.send_header("Content-Length", str(len(stranger.says)))
                self.end_headers()
                self.wfile.write(stranger.says)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:  # type: ignore[override]
                """Nothing."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Asked)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def stranger(folder: Path) -> Iterator[Stranger]:
    one = Stranger(folder)
    thread = threading.Thread(target=one.server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield one
    finally:
        one.server.shutdown()
        one.server.server_close()


def join(node: Node, center: str, secret: str) -> tuple[int, Any]:
    return node.once("POST", "/v1/membership/join", {"center": center, "token": secret})


def test_a_certificate_that_comes_behind_the_clusters_own_is_not_believed(start: Start, tmp_path: Path) -> None:
    """The cluster's CA is public: whoever shows it, and his own behind it, is not a node of the cluster."""
    first, second = start("n1").ready(), start("n2").ready()
    mine = membership(second)["cluster"]
    theirs = (first.root / "var/lib/girginosvm/pki/ca.crt").read_text()
    with stranger(tmp_path / "stranger") as one:
        one.says = json.dumps({"certificate": theirs + one.authority}).encode()
        status, said = join(second, one.url, token(first))
    assert one.asked == [AUTHORITY]  # the token came in no later request
    assert (status, said["code"]) == (502, "node-strange")
    assert "shows no certificate that is trusted here" in said["detail"]
    assert membership(second)["cluster"] == mine


@pytest.mark.parametrize("host", ["..", "a" * 64 + ".example"])
def test_a_name_that_no_host_can_have_is_said_to_be_one(start: Start, host: str) -> None:
    first = start("n1").ready()
    status, said = join(first, f"https://{host}:1997", token(first))
    assert (status, said["code"]) == (422, "url-invalid")


def test_a_token_that_was_used_gives_nobody_the_clusters_keys(start: Start) -> None:
    """Not with the id of the node that used it either: everybody who may read sees that."""
    first, second = start("n1").ready(), start("n2").ready()
    secret = token(first)
    assert join(second, f"https://127.0.0.1:{first.port}", secret)[0] == 202
    first.wait(lambda: is_member(first, "n2"), "n2 to join")
    (member,) = [one["id"] for one in membership(first)["members"] if one["name"] == "n2"]
    asks = {
        "token": secret, "member": member, "name": "n9", "address": "127.0.0.1:9", "api": "127.0.0.1:9",
        "request": signing_request(new_key()).decode(),
    }  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    line = http.client.HTTPSConnection("127.0.0.1", first.port, context=context, timeout=20)
    line.request("POST", "/v1/membership/admit", json.dumps(asks), {"Content-Type": "application/json"})
    answer = line.getresponse()
    said = json.loads(answer.read())
    line.close()
    assert (answer.status, said["code"]) == (401, "join-token")
    assert "PRIVATE KEY" not in json.dumps(said)
