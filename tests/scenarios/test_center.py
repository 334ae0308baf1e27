"""A node becomes a center and an ordinary node again, as processes on a fake host."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.scenarios.node import Node


@pytest.fixture
def node(tmp_path: Path) -> Any:
    one = Node(tmp_path, GIRGINOSVM_ADDRESS="127.0.0.1", GIRGINOSVM_RAFT_PORT=str(free_port()))
    yield one.ready()
    one.remove()


def promoted(node: Node, body: dict[str, Any]) -> Any:
    """The answer, once the node has said where it is: before that it is no member that could be a center."""
    answers: list[Any] = []

    def done() -> bool:
        answers.append(node.ask("POST", "/v1/center/promote", body))
        return answers[-1].get("code") != "member-missing"

    node.wait(done, "the node to be a member")
    return answers[-1]


def names_at(port: int) -> list[str]:
    """Whom the certificate at this port is for; OSError when nobody listens."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    from cryptography import x509

    with socket.create_connection(("127.0.0.1", port), 5) as plain, context.wrap_socket(plain) as end:
        raw = end.getpeercert(binary_form=True)
        assert raw is not None
        found = x509.load_der_x509_certificate(raw).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return found.value.get_values_for_type(x509.DNSName)


def test_a_center_serves_its_port_under_its_public_name_until_it_is_demoted(node: Node) -> None:
    port = free_port()
    body = {"bind": f"127.0.0.1:{port}", "public_url": "https://center.example.net:1997/"}
    answer = promoted(node, body)
    assert answer["public_url"] == "https://center.example.net:1997/", answer
    node.until("/v1/centers", lambda found: found["items"] and found["items"][0]["state"] == "serving")
    end = time.monotonic() + 20
    while "center.example.net" not in names_at(port):
        assert time.monotonic() < end
        time.sleep(0.05)

    assert node.ask("POST", "/v1/center/demote", {})["code"] == "confirm-missing"
    node.ask("POST", "/v1/center/demote", {"confirm": True})
    node.until("/v1/centers", lambda found: not found["items"])
    with pytest.raises(OSError):
        names_at(port)
    assert node.ask("POST", "/v1/center/demote", {"confirm": True})["code"] == "center-missing"


def test_a_port_that_is_taken_is_said_and_opened_once_it_is_free(node: Node) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        body = {"bind": f"127.0.0.1:{port}", "public_url": "https://center.example.net"}
        promoted(node, body)
        found = node.until("/v1/centers", lambda found: found["items"] and found["items"][0]["state"] == "failed")
        assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in found["items"][0]["problem"]
    node.until("/v1/centers", lambda found: found["items"][0]["state"] == "serving")


def test_the_administrator_that_promotion_names_can_sign_in(node: Node) -> None:
    port = free_port()
    body = {
        "bind": f"127.0.0.1:{port}", "public_url": "https://center.example.net", "admin_email": "Ada@example.org",
        "admin_password": "correct horse battery",
    }  # fmt: skip
    promoted(node, body)
    login = {"email": "ada@example.org", "password": "correct horse battery"}
    session = node.ask("POST", "/v1/auth/login", login)
    assert (session["role"], session["must_change_password"]) == ("admin", False)
