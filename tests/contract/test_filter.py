"""The ``PacketFilter`` contract, on the fake and in a namespace of the real kernel; then real frames."""

from __future__ import annotations

import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from itertools import pairwise
from pathlib import Path

import pytest

from girginosvm.core.host import BridgeSpec, Guard
from girginosvm.hypervisor.fake.rest import FakeFilter
from girginosvm.hypervisor.fake.state import State
from girginosvm.hypervisor.net.bridges import NetlinkBridges
from girginosvm.hypervisor.net.filter import NftFilter
from girginosvm.hypervisor.ports import PacketFilter
from girginosvm.hypervisor.run import demand

MAC, IP, OTHER_MAC, OTHER_IP, ALL = "52:54:00:00:00:01", "192.0.2.10", "52:54:00:00:00:99", "192.0.2.99", "ff" * 6
ONE = Guard("gvm1", MAC, (IP,))
TWO = Guard("gvm2", "52:54:00:00:00:02", ())


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.host)])
def packet_filter(request: pytest.FixtureRequest, tmp_path: Path) -> PacketFilter:
    if request.param == "fake":
        return FakeFilter(State(tmp_path / "host.json"))
    request.getfixturevalue("namespace")
    return NftFilter()


async def test_exactly_the_applied_guards_are_in_force(packet_filter: PacketFilter) -> None:
    assert await packet_filter.observe() == ()
    for wanted in ((ONE, TWO), (TWO,), ()):
        await packet_filter.apply(wanted)
        assert await packet_filter.observe() == wanted


@pytest.mark.host
async def test_two_thousand_guards_are_in_force_and_seen(namespace: str, capsys: pytest.CaptureFixture[str]) -> None:
    packet_filter, marks = NftFilter(), [time.monotonic()]
    many = tuple(Guard(f"gvm{n:05}", f"52:54:00:00:{n >> 8:02x}:{n & 255:02x}", (f"10.0.{n >> 8}.{n & 255}",))
                 for n in range(2000))  # fmt: skip
    for wanted in (many[:-1], many):  # into an empty table, and one more
        await packet_filter.apply(wanted)
        marks.append(time.monotonic())
    assert await packet_filter.observe() == many
    marks.append(time.monotonic())
    with capsys.disabled():
        first, more, seen = (f"{after - before:.2f}" for before, after in pairwise(marks))
        print(f"\n2,000 guards: applied in {first} s, one more in {more} s, seen in {seen} s")


def ether(source: str, kind: int, body: bytes, target: str = ALL) -> bytes:
    return bytes.fromhex(target + source.replace(":", "")) + struct.pack(">H", kind) + body


def arp(sender_mac: str, sender_ip: str, target_ip: str = "192.0.2.1") -> bytes:
    head = struct.pack(">HHBBH", 1, 0x800, 6, 4, 1) + bytes.fromhex(sender_mac.replace(":", ""))
    return head + IPv4Address(sender_ip).packed + bytes(6) + IPv4Address(target_ip).packed


def udp(source: str, target: str, sport: int, dport: int, said: bytes = b"") -> bytes:
    body = struct.pack(">HHHH", sport, dport, 8 + len(said), 0) + said
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, 17, 0) + IPv4Address(source).packed
    head += IPv4Address(target).packed
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack(">H", ~(total + (total >> 16)) & 0xFFFF) + head[12:] + body


def dhcp(client: str) -> bytes:
    """The fixed part of a message, RFC 2131 2."""
    return bytes([1, 1, 6, 0]) + bytes(24) + bytes.fromhex(client.replace(":", "")) + bytes(202)


def ip6(header: int, body: bytes) -> bytes:
    """To all nodes, from a link-local address."""
    ends = bytes.fromhex("fe80" + "00" * 13 + "01" + "ff02" + "00" * 13 + "01")
    return struct.pack(">IHBB", 0x60000000, len(body), header, 255) + ends + body


ADVERTISED = bytes.fromhex("8600000040000708") + bytes(8)
RA = ip6(58, ADVERTISED)
FORBIDDEN = {
    "a spoofed MAC": ether(OTHER_MAC, 0x800, udp(IP, OTHER_IP, 9, 9)),
    "a spoofed address": ether(MAC, 0x800, udp(OTHER_IP, IP, 9, 9)),
    "a spoofed ARP sender address": ether(MAC, 0x806, arp(MAC, OTHER_IP)),
    "a spoofed ARP sender MAC": ether(MAC, 0x806, arp(OTHER_MAC, IP)),
    "a gratuitous ARP for another": ether(MAC, 0x806, arp(MAC, OTHER_IP, OTHER_IP)),
    "a router advertisement": ether(MAC, 0x86DD, RA),
    "a DHCP server's answer": ether(MAC, 0x800, udp(IP, "255.255.255.255", 67, 68)),
    "a DHCP answer from another port": ether(MAC, 0x800, udp(IP, "255.255.255.255", 1067, 68)),
    "a lease for another": ether(MAC, 0x800, udp("0.0.0.0", "255.255.255.255", 68, 67, dhcp(OTHER_MAC))),
    "a lease for another, from an address": ether(MAC, 0x800, udp(IP, "192.0.2.1", 68, 67, dhcp(OTHER_MAC))),
    "a VLAN tag": ether(MAC, 0x8100, struct.pack(">HH", 5, 0x800) + udp(OTHER_IP, IP, 9, 9)),
    "an unknown protocol": ether(MAC, 0x88B5, b"x" * 46),
}
ALLOWED = {
    "its own address": ether(MAC, 0x800, udp(IP, OTHER_IP, 9, 9)),
    "ARP for itself": ether(MAC, 0x806, arp(MAC, IP)),
    "an ARP probe": ether(MAC, 0x806, arp(MAC, "0.0.0.0", IP)),
    "its own gratuitous ARP": ether(MAC, 0x806, arp(MAC, IP, IP)),
    "a DHCP discover": ether(MAC, 0x800, udp("0.0.0.0", "255.255.255.255", 68, 67)),
    "a lease for itself": ether(MAC, 0x800, udp("0.0.0.0", "255.255.255.255", 68, 67, dhcp(MAC))),
}
# Where addresses come from elsewhere, IPv6 passes: these do not. The fragments are pieces of router advertisements.
FORBIDDEN_UNMANAGED = {
    "a router advertisement": ether(MAC, 0x86DD, RA),
    "one behind an option": ether(MAC, 0x86DD, ip6(60, bytes([58, 0, 1, 4, 0, 0, 0, 0]) + ADVERTISED)),
    "its first piece": ether(MAC, 0x86DD, ip6(44, bytes([58, 0, 0, 1, 0, 0, 0, 1]) + ADVERTISED)),
    "its second piece": ether(MAC, 0x86DD, ip6(44, bytes([58, 0, 0, 8, 0, 0, 0, 1]) + ADVERTISED)),
    "a first piece that ends before it": ether(
        MAC, 0x86DD, ip6(44, bytes([60, 0, 0, 1, 0, 0, 0, 1, 58, 1, 1, 12, 0, 0, 0, 0]))
    ),
    "a DHCPv6 server's answer": ether(MAC, 0x86DD, ip6(17, struct.pack(">HHHH", 547, 546, 8, 0))),
    "one from another port": ether(MAC, 0x86DD, ip6(17, struct.pack(">HHHH", 1547, 546, 8, 0))),
    "a DHCP answer from another port": FORBIDDEN["a DHCP answer from another port"],
    "a lease for another": FORBIDDEN["a lease for another"],
}
ALLOWED_UNMANAGED = {
    "a piece of a datagram": ether(MAC, 0x86DD, ip6(44, bytes([17, 0, 0, 8, 0, 0, 0, 1]) + bytes(16))),
    "a neighbour's question": ether(MAC, 0x86DD, ip6(58, bytes([135]) + bytes(23))),
}
# Reserved by IEEE 802.1Q 8.6.3: spanning tree, slow protocols, port authentication, LLDP.
KEPT_BY_BRIDGES = ("0180c2000000", "0180c2000002", "0180c2000003", "0180c200000e")
SENTINEL = ether(MAC, 0x800, udp(IP, OTHER_IP, 7, 7))


class Wire:
    """A guest's end at one port of a bridge, and a listener at another."""

    def __init__(self) -> None:
        self.guest = self._open("guest1")
        self.listener = self._open("guest2")
        self.sentinel = SENTINEL

    @staticmethod
    def _open(device: str) -> socket.socket:
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        raw.bind((device, 0))
        raw.settimeout(5)
        return raw

    def passes(self, frame: bytes) -> bool:
        """``frame`` came through before the sentinel that was sent behind it."""
        self.guest.send(frame)
        self.guest.send(self.sentinel)
        seen = False
        while True:
            got = self.listener.recv(2048)
            if got.startswith(self.sentinel):
                return seen
            seen = seen or got[: len(frame)] == frame or (got[6:12] == frame[6:12] and frame[20:] in got)

    def hears(self, frame: bytes) -> bool:
        """``frame`` came before the wire fell silent."""
        try:
            while not self.listener.recv(2048).startswith(frame):
                pass
        except TimeoutError:
            return False
        return True


@pytest.fixture
def wire(namespace: str) -> Iterator[Wire]:
    lines = ["add br0 type bridge stp_state 0 forward_delay 0", "set br0 up"]
    for n in (1, 2):
        lines += [f"add gvm{n} type veth peer name guest{n}", f"set gvm{n} master br0", f"set gvm{n} up"]
        lines += [f"set guest{n} up"]
    for line in lines:
        subprocess.run(["ip", "link", *line.split()], check=True)
    for n in (1, 2):
        end = time.monotonic() + 5
        while "state forwarding" not in _port(n) and time.monotonic() < end:
            continue
    opened = Wire()
    yield opened
    opened.guest.close()
    opened.listener.close()


def _port(n: int) -> str:
    return subprocess.run(
        ["bridge", "link", "show", "dev", f"gvm{n}"], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.host
async def test_without_guards_every_frame_passes_so_the_wire_can_show_a_leak(wire: Wire) -> None:
    assert [name for name, frame in FORBIDDEN.items() if not wire.passes(frame)] == []


@pytest.mark.host
async def test_a_guest_speaks_as_itself_only_also_after_the_rules_are_put_anew(wire: Wire) -> None:
    packet_filter = NftFilter()
    for _ in range(2):
        await packet_filter.apply((ONE, TWO))
        assert [name for name, frame in FORBIDDEN.items() if wire.passes(frame)] == []
        assert [name for name, frame in ALLOWED.items() if not wire.passes(frame)] == []


@pytest.mark.host
async def test_a_guest_whose_addresses_are_not_managed_is_no_router_and_no_server(wire: Wire) -> None:
    assert [name for name, frame in FORBIDDEN_UNMANAGED.items() if not wire.passes(frame)] == []  # the wire shows it
    await NftFilter().apply((Guard("gvm1", MAC, ()),))
    assert [name for name, frame in FORBIDDEN_UNMANAGED.items() if wire.passes(frame)] == []
    assert [name for name, frame in ALLOWED_UNMANAGED.items() if not wire.passes(frame)] == []


def places_of(mac: str) -> str:
    """Where the bridge believes ``mac`` to be."""
    listed = subprocess.run(["bridge", "fdb", "show", "br", "br0"], check=True, capture_output=True, text=True).stdout
    return "\n".join(line for line in listed.splitlines() if line.startswith(mac))


@pytest.mark.host
async def test_a_guest_takes_nobodys_place_on_the_bridge_by_frames_that_pass_no_filter(wire: Wire) -> None:
    lie = [ether(OTHER_MAC, 0x88CC, bytes(46), target) for target in KEPT_BY_BRIDGES]
    for frame in lie:
        wire.guest.send(frame)
    assert places_of(OTHER_MAC) != ""  # the bridge can be lied to
    await demand("bridge", "fdb", "del", OTHER_MAC, "dev", "gvm1", "master")
    await NetlinkBridges().ensure(BridgeSpec("br0"))
    await NftFilter().apply((ONE, TWO))
    for frame in lie:
        wire.guest.send(frame)
    assert wire.passes(ALLOWED["its own address"])
    assert places_of(OTHER_MAC) == ""


@pytest.mark.host
async def test_a_tap_without_a_guard_says_nothing(wire: Wire) -> None:
    await NftFilter().apply((TWO,))
    wire.guest.send(SENTINEL)
    wire.listener.settimeout(0.5)
    assert not wire.hears(SENTINEL)


@pytest.mark.host
@pytest.mark.parametrize(
    "harm",
    [
        "flush chain bridge girginosvm tap_gvm1", "delete table inet girginosvm", "flush chain inet girginosvm input",
        "flush map bridge girginosvm taps", "flush chain bridge girginosvm prerouting",
        "flush chain bridge girginosvm input",
        "insert rule bridge girginosvm guests accept", 'add element bridge girginosvm taps { "gvm7" : accept }',
        "add chain bridge girginosvm tap_gvm9",
    ],
)  # fmt: skip
async def test_rules_that_somebody_harmed_are_put_right(wire: Wire, harm: str) -> None:
    packet_filter = NftFilter()
    await packet_filter.apply((ONE, TWO))
    await demand("nft", *harm.split())
    assert await packet_filter.observe() == ()
    await packet_filter.apply((ONE, TWO))
    assert await packet_filter.observe() == (ONE, TWO)
    assert [name for name, frame in FORBIDDEN.items() if wire.passes(frame)] == []
    listed = await demand("nft", "list", "ruleset")
    assert "gvm7" not in listed
    assert "gvm9" not in listed
    assert "1995-1998" in listed


@pytest.mark.host
async def test_a_guard_that_changes_while_the_tap_is_there_holds_at_once(wire: Wire) -> None:
    packet_filter = NftFilter()
    mine, theirs = (ether(MAC, 0x800, udp(source, "192.0.2.1", 9, 9)) for source in (IP, OTHER_IP))
    for address, passing in ((IP, (True, False)), (OTHER_IP, (False, True))):
        await packet_filter.apply((Guard("gvm1", MAC, (address,)), TWO))
        wire.sentinel = ether(MAC, 0x800, udp(address, "192.0.2.1", 7, 7))
        assert (wire.passes(mine), wire.passes(theirs)) == passing


@pytest.mark.host
async def test_no_spoofed_frame_passes_and_every_honest_one_does_while_the_rules_are_replaced(wire: Wire) -> None:
    packet_filter = NftFilter()
    await packet_filter.apply((ONE, TWO))
    others = (Guard("gvm18", OTHER_MAC, (OTHER_IP,)), Guard("gvm19", OTHER_MAC, ()))
    stop, spoofed, leaks, rounds = threading.Event(), FORBIDDEN["a spoofed address"], [0], [0]

    def flood() -> None:
        """Thirty spoofed frames, then an honest one that has to come through before the next thirty."""
        while not stop.is_set():
            for _ in range(30):
                wire.guest.send(spoofed)
            wire.guest.send(SENTINEL)
            while not (got := wire.listener.recv(2048)).startswith(SENTINEL):
                leaks[0] += got.startswith(spoofed)
            rounds[0] += 1

    sender = threading.Thread(target=flood)
    sender.start()
    try:
        for n in range(200):
            await packet_filter.apply((ONE, *others[: n % 3], TWO))
    finally:
        stop.set()
        sender.join()
    assert leaks == [0]
    assert rounds[0] > 200  # it did not stand still: a lost honest frame ends the thread with a timeout
