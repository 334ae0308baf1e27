"""The certificate of a node that runs for months, seen by whoever connects to it."""

from __future__ import annotations

import asyncio
import io
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509

from girginosvm.core.log import Log
from girginosvm.daemon.certificate import CertificateReconciler, names_of
from girginosvm.features.lanes import Lanes
from girginosvm.http.door import Door
from girginosvm.http.tls import Identity

DAY_MS = 24 * 3600 * 1000


class Node:
    """A TLS server of the node's, its reported addresses, and a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.now_ms = time.time_ns() // 1_000_000 - 61 * DAY_MS
        self.addresses: tuple[str, ...] = ("192.0.2.10",)
        self.public = ""
        self.identity = Identity(folder)
        self.ensure()
        self.keeper = CertificateReconciler(
            self.identity, node="n1", called="n1", read=self._read, clock=self, log=Log(io.StringIO())
        )

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic_ms(self) -> int:
        return self.now_ms

    def ensure(self) -> None:
        from datetime import UTC, datetime

        now = datetime.fromtimestamp(self.now_ms / 1000, UTC)
        self.identity.ensure(names_of("n1", self.addresses), now=now)

    async def _read(self, _: Callable[[Any], Any]) -> Any:
        return self.addresses, self.public

    async def seen(self) -> x509.Certificate:
        """What a new connection that trusts the node's CA is shown."""
        trust = ssl.create_default_context(cafile=str(self.identity.ca_file))
        _, writer = await asyncio.open_connection("localhost", self.port, ssl=trust)
        found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        await writer.wait_closed()
        return x509.load_der_x509_certificate(found)


LANES = Lanes(asyncio.TaskGroup(), lambda: None, Log())  # the keeper has no work that takes long


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    made = Node(tmp_path / "pki")

    door = Door(web.Application())
    made.port = await door.tcp("127.0.0.1", 0, made.keeper.shown)
    yield made
    await door.close()


async def test_a_running_node_renews_its_certificate_in_time(node: Node) -> None:
    first = await node.seen()
    node.now_ms += 58 * DAY_MS
    await node.keeper.reconcile(LANES)
    assert (await node.seen()).serial_number == first.serial_number
    node.now_ms += 3 * DAY_MS
    await node.keeper.reconcile(LANES)
    second = await node.seen()
    assert second.serial_number != first.serial_number
    assert second.not_valid_after_utc > first.not_valid_after_utc
    assert second.issuer == first.issuer


async def test_a_new_address_of_the_host_is_in_the_certificate(node: Node) -> None:
    node.addresses = ("192.0.2.10", "2001:db8::7")
    await node.keeper.reconcile(LANES)
    names = (await node.seen()).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"192.0.2.10", "2001:db8::7"} <= {str(one) for one in names.get_values_for_type(x509.IPAddress)}
    assert "n1" in names.get_values_for_type(x509.DNSName)


async def test_the_public_name_of_a_center_is_in_the_certificate(node: Node) -> None:
    node.public = "center.example.net"
    await node.keeper.reconcile(LANES)
    names = (await node.seen()).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "center.example.net" in names.get_values_for_type(x509.DNSName)
