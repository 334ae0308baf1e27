"""Real packets through the real kernel: a guest's namespace behind its tap, the host, and a third namespace outside."""

from __future__ import annotations

import select
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import pytest

from girginosvm.core.host import BridgeSpec, Guard
from girginosvm.hypervisor.net.bridges import NetlinkBridges
from girginosvm.hypervisor.net.filter import NftFilter
from tests.contract.conftest import enter

pytestmark = pytest.mark.host

T = TypeVar("T")
NAT = BridgeSpec("br-nat", "192.0.2.0/24", "192.0.2.1", nat=True)
HOST, GUEST, HOST6, GUEST6 = "192.0.2.1", "192.0.2.10", "fd00:db8::1", "fd00:db8::10"
UPLINK, OUTSIDE = "198.51.100.1", "198.51.100.2"
MAC = "52:54:00:00:00:01"
CLOSED = (1995, 1996, 1997, 1998, 7789, 49152)
CLOSED_UDP = (1995, 1996, 1997, 1998, 7789)
ORDINARY = 8080


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


class World:
    """The host is the namespace that the test lives in; ``guest`` and ``outside`` are names of two more."""

    def __init__(self, host: str) -> None:
        self.guest, self.outside = f"{host}-g", f"{host}-o"
        self._open: list[socket.socket] = []

    async def build(self) -> None:
        """A NAT bridge with one tap, and an uplink."""
        await NetlinkBridges().ensure(NAT)
        for name in (self.guest, self.outside):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("link", "add", "gvm1", "type", "veth", "peer", "name", "eth0", "netns", self.guest, "address", MAC)
        ip("link", "set", "gvm1", "master", NAT.name, "up")
        ip("-6", "addr", "add", f"{HOST6}/64", "dev", NAT.name, "nodad")
        ip("-n", self.guest, "link", "set", "eth0", "up")
        ip("-n", self.guest, "addr", "add", f"{GUEST}/24", "dev", "eth0")
        ip("-n", self.guest, "-6", "addr", "add", f"{GUEST6}/64", "dev", "eth0", "nodad")
        ip("-n", self.guest, "route", "add", "default", "via", HOST)
        ip("link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", self.outside)
        ip("link", "set", "up0", "up")
        ip("addr", "add", f"{UPLINK}/24", "dev", "up0")
        ip("-n", self.outside, "link", "set", "eth0", "up")
        ip("-n", self.outside, "addr", "add", f"{OUTSIDE}/24", "dev", "eth0")

    def within(self, name: str, make: Callable[[], T]) -> T:
        """What ``make`` gives in the namespace ``name``: a socket stays where it was made."""
        made: list[T] = []

        def work() -> None:
            enter(f"/run/netns/{name}")
            made.append(make())

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return made[0]

    def socket(self, family: int, kind: int, bound: tuple[str, int] | None = None) -> socket.socket:
        """A socket in this thread's namespace, closed at the end."""
        one = socket.socket(family, kind)
        self._open.append(one)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.settimeout(5)
        if bound is not None:
            one.bind(bound)
            if kind == socket.SOCK_STREAM:
                one.listen()
        return one

    def call(self, family: int, target: tuple[str, int]) -> socket.socket:
        """A TCP connection that was begun."""
        one = self.socket(family, socket.SOCK_STREAM)
        one.setblocking(False)
        one.connect_ex(target)
        return one

    def close(self) -> None:
        for one in self._open:
            one.close()
        for name in (self.guest, self.outside):
            subprocess.run(["ip", "netns", "del", name], check=False)


@pytest.fixture
async def world(namespace: str) -> AsyncIterator[World]:
    one = World(namespace)
    try:
        await one.build()
        yield one
    finally:
        one.close()


def answered(listener: socket.socket) -> socket.socket:
    """The next connection to ``listener``."""
    connection, _ = listener.accept()
    return connection


def waiting(sockets: list[socket.socket]) -> list[int]:
    """The ports of those with something to take, now."""
    return sorted(one.getsockname()[1] for one in select.select(sockets, [], [], 0)[0])


FAMILIES = {"IPv4": (socket.AF_INET, HOST, (GUEST,)), "IPv6": (socket.AF_INET6, HOST6, ())}


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
async def test_a_guest_reaches_ordinary_ports_of_its_host_and_none_of_the_managements(
    world: World, family: str, guarded: bool
) -> None:
    kind, host, addresses = FAMILIES[family]
    if guarded:  # without, the same traffic passes: the wire can show a leak
        await NftFilter().apply((Guard("gvm1", MAC, addresses),))
    tcp = [world.socket(kind, socket.SOCK_STREAM, (host, port)) for port in CLOSED]
    udp = [world.socket(kind, socket.SOCK_DGRAM, (host, port)) for port in CLOSED_UDP]
    ordinary = [world.socket(kind, how, (host, ORDINARY)) for how in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]

    def knock() -> None:
        for port in CLOSED:
            world.call(kind, (host, port))
        sender = world.socket(kind, socket.SOCK_DGRAM)
        for port in (*CLOSED_UDP, ORDINARY):
            sender.sendto(b"x", (host, port))
        world.call(kind, (host, ORDINARY))

    world.within(world.guest, knock)
    assert ordinary[1].recv(10) == b"x"
    answered(ordinary[0]).close()  # it was sent last: what came before it has come by now, or never will
    assert waiting(tcp) == ([] if guarded else sorted(CLOSED))
    assert waiting(udp) == ([] if guarded else sorted(CLOSED_UDP))


async def test_the_hosts_own_connections_come_from_any_port_and_are_answered(world: World) -> None:
    await NftFilter().apply((Guard("gvm1", MAC, (GUEST,)),))
    server = world.within(world.guest, lambda: world.socket(socket.AF_INET, socket.SOCK_STREAM, (GUEST, 22)))
    for port in CLOSED:
        client = world.socket(socket.AF_INET, socket.SOCK_STREAM)
        client.bind((HOST, port))
        client.connect((GUEST, 22))
        with answered(server) as served:
            served.send(b"SSH-2.0")
            assert client.recv(10) == b"SSH-2.0"


async def test_nat_lets_a_guest_out_under_the_hosts_address_and_nothing_in_unasked(world: World) -> None:
    await NftFilter().apply((Guard("gvm1", MAC, (GUEST,)),))
    server = world.within(world.outside, lambda: world.socket(socket.AF_INET, socket.SOCK_DGRAM, (OUTSIDE, 53)))
    stranger = world.within(world.outside, lambda: world.socket(socket.AF_INET, socket.SOCK_DGRAM))
    ip("-n", world.outside, "route", "add", "192.0.2.0/24", "via", UPLINK)
    guest = world.within(world.guest, lambda: world.socket(socket.AF_INET, socket.SOCK_DGRAM, (GUEST, 4000)))
    guest.sendto(b"question", (OUTSIDE, 53))
    asked, peer = server.recvfrom(100)
    assert (asked, peer[0]) == (b"question", UPLINK)
    stranger.sendto(b"unasked", (GUEST, 4000))
    server.sendto(b"answer", peer)
    assert guest.recvfrom(100) == (b"answer", (OUTSIDE, 53))
    assert waiting([guest]) == []


async def test_nat_carries_a_connection_outward(world: World) -> None:
    await NftFilter().apply((Guard("gvm1", MAC, (GUEST,)),))
    server = world.within(world.outside, lambda: world.socket(socket.AF_INET, socket.SOCK_STREAM, (OUTSIDE, 80)))
    client = world.within(world.guest, lambda: world.call(socket.AF_INET, (OUTSIDE, 80)))
    with answered(server) as served:
        assert served.getpeername()[0] == UPLINK
        served.send(b"hello")
        client.settimeout(5)
        assert client.recv(10) == b"hello"


async def test_ipv6_of_a_guest_with_managed_addresses_is_dropped_whole(world: World) -> None:
    heard = world.socket(socket.AF_INET6, socket.SOCK_DGRAM, (HOST6, ORDINARY))
    sender = world.within(world.guest, lambda: world.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    sender.sendto(b"before", (HOST6, ORDINARY))
    assert heard.recv(10) == b"before"
    await NftFilter().apply((Guard("gvm1", MAC, (GUEST,)),))
    sender.sendto(b"after", (HOST6, ORDINARY))
    plain = world.socket(socket.AF_INET, socket.SOCK_DGRAM, (HOST, ORDINARY))
    world.within(world.guest, lambda: world.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (HOST, ORDINARY)))
    assert plain.recv(10) == b"x"
    assert waiting([heard]) == []
