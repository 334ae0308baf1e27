"""Members' transports on the loopback in one process, polled by turns, and connections to them that the test plays."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator

import pytest
from floors.raft.book import LOG

from girginosvm.raft.credentials import Address, Credentials
from girginosvm.raft.lines import Down, Event, Up
from girginosvm.raft.membership import Roster, founded
from girginosvm.raft.transport import Transport
from tests.floors.raft.pki import Authority

PATIENCE_S = 5.0


def roster(addresses: dict[str, Address], *voters: str) -> tuple[Roster, frozenset[str]]:
    """Everybody votes, if nothing else is said."""
    found = founded({name: f"{one.host}:{one.port}" for name, one in addresses.items()}, frozenset(voters or addresses))
    return found, found.electable


class Ring:
    """Members on the loopback, polled by turns."""

    def __init__(self, authority: Authority, *members: str) -> None:
        self.ends = {
            name: Transport(name, Address("127.0.0.1", 0), authority.credentials(name), LOG, handshake_s=0.5)
            for name in members
        }
        self.events: dict[str, list[Event]] = {name: [] for name in members}
        addresses = {name: Address("127.0.0.1", end.port) for name, end in self.ends.items()}
        for end in self.ends.values():
            end.set_members(*roster(addresses))

    def until(self, done: Callable[[], bool]) -> None:
        """Poll until ``done``, or fail."""
        end_s = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < end_s, self.events
            for name, end in self.ends.items():
                self.events[name] += end.poll(0.002)

    def up(self) -> None:
        """All lines up."""
        want = len(self.ends) - 1
        self.until(
            lambda: all(len([1 for one in seen if isinstance(one, Up)]) >= want for seen in self.events.values())
        )

    def close(self) -> None:
        for end in self.ends.values():
            end.close()


def lines(ring: Ring) -> set[frozenset[str]]:
    """Those that both ends have heard to be up, and not to be down."""
    up = set()
    for name, seen in ring.events.items():
        for one in seen:
            match one:
                case Up(peer):
                    up.add((name, peer))
                case Down(peer):
                    up.discard((name, peer))
    return {frozenset(pair) for pair in up if pair[::-1] in up}


def dial(ring: Ring, credentials: Credentials | None = None, **limits: ssl.TLSVersion) -> ssl.SSLSocket:
    """A connection to n1, as far as TLS lets it come."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if credentials is not None:
        context.load_cert_chain(credentials.own)
    for name, version in limits.items():
        setattr(context, name, version)
    sock = context.wrap_socket(
        socket.create_connection(("127.0.0.1", ring.ends["n1"].port)), do_handshake_on_connect=False
    )
    sock.setblocking(False)
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        try:
            sock.do_handshake()
            break
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            ring.events["n1"] += ring.ends["n1"].poll(0.01)
    return sock


def closed(ring: Ring, sock: socket.socket) -> bool:
    """The other side has ended this connection."""
    sock.setblocking(False)
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        ring.events["n1"] += ring.ends["n1"].poll(0.01)
        try:
            if sock.recv(65536) == b"":
                return True
        except (ssl.SSLWantReadError, BlockingIOError):
            continue
        except OSError:
            return True
    return False


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def ring(authority: Authority) -> Iterator[Ring]:
    one = Ring(authority, "n1", "n2", "n3")
    yield one
    one.close()


@pytest.fixture
def pair(authority: Authority) -> Iterator[Ring]:
    """n1 listens for n2, which the test plays."""
    one = Ring(authority, "n1")
    one.ends["n1"].set_members(*roster({"n1": Address("127.0.0.1", 1), "n2": Address("127.0.0.1", 1)}))
    yield one
    one.close()
