"""Members reach each other; nobody else gets as far as one byte of a frame."""

from __future__ import annotations

import os
import pickle
import socket
import ssl
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from floors.raft.book import LOG

from girginosvm.raft.credentials import Address, Credentials
from girginosvm.raft.lines import Down, Event, Heard, Up
from girginosvm.raft.membership import founded
from girginosvm.raft.messages import FRAME_BYTES
from girginosvm.raft.transport import Transport
from tests.floors.raft.pki import Authority
from tests.floors.raft.ring import PATIENCE_S, Ring, authority, closed, dial, lines, pair, ring, roster
from tests.ports import free_port

__all__ = ["authority", "pair", "ring"]


def test_every_member_hears_every_other_in_order(ring: Ring) -> None:
    ring.up()
    for number in range(100):
        for name, end in ring.ends.items():
            for peer in ring.ends:
                end.send(peer, f"{name} {number}".encode() * 100)
    ring.until(lambda: all(len(seen) == 202 for seen in ring.events.values()))
    for name, seen in ring.events.items():
        for peer in {"n1", "n2", "n3"} - {name}:
            heard = [one.data for one in seen if isinstance(one, Heard) and one.peer == peer]
            assert heard == [f"{peer} {number}".encode() * 100 for number in range(100)]


def test_the_largest_frame_passes_and_many_of_them(ring: Ring) -> None:
    ring.up()
    for _ in range(4):
        ring.ends["n1"].send("n2", bytes(FRAME_BYTES))
    ring.until(lambda: sum(isinstance(one, Heard) for one in ring.events["n2"]) == 4)
    heard = [one for one in ring.events["n2"] if isinstance(one, Heard)]
    assert all(one == Heard("n1", bytes(FRAME_BYTES)) for one in heard)


def test_a_member_that_dies_is_known_to_be_gone_and_comes_back(ring: Ring, authority: Authority) -> None:
    ring.up()
    port = ring.ends["n1"].port
    ring.ends.pop("n1").close()
    ring.until(lambda: all(Down("n1", True) in ring.events[name] for name in ("n2", "n3")))
    again = Transport("n1", Address("127.0.0.1", port), authority.credentials("n1"), LOG)
    ring.ends["n1"], ring.events = again, {name: [] for name in ("n1", "n2", "n3")}
    again.set_members(*roster({name: Address("127.0.0.1", end.port) for name, end in ring.ends.items()}))
    ring.until(lambda: all(Up("n1") in ring.events[name] for name in ("n2", "n3")))
    again.send("n2", b"back")
    ring.until(lambda: Heard("n1", b"back") in ring.events["n2"])
    assert lines(ring) == {frozenset(pair) for pair in (("n1", "n2"), ("n1", "n3"))}  # the third has stood all along


def test_a_removed_member_loses_its_line_and_gets_no_other(ring: Ring) -> None:
    ring.up()
    first = ring.ends["n1"]
    first.set_members(*roster({"n2": Address("127.0.0.1", ring.ends["n2"].port)}))
    ring.until(lambda: Down("n3") in ring.events["n1"])
    ring.events["n1"] = []
    end_s = time.monotonic() + 0.5
    ring.until(lambda: time.monotonic() > end_s)
    ring.ends["n3"].send("n1", b"still here")
    assert ring.events["n1"] == []


def test_the_last_word_before_a_line_was_closed_is_heard_by_who_was_just_about_to_speak(ring: Ring) -> None:
    ring.up()
    first, second = ring.ends["n1"], ring.ends["n2"]
    second.send("n1", b"nobody reads this")
    first.send("n2", b"you are no member any more")
    first.drop("n2", "no member any more")
    del ring.ends["n1"]
    for _ in range(3):  # the first is answered with a reset
        second.send("n1", b"and I?")
    ring.until(lambda: any(isinstance(one, Down) for one in ring.events["n2"]))
    heard = [one for one in ring.events["n2"] if one.peer == "n1"]
    assert heard == [Up("n1"), Heard("n1", b"you are no member any more"), Down("n1", True)]
    first.close()


PICKLED = pickle.dumps(print)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        len(PICKLED).to_bytes(4) + PICKLED,
        bytes(4096),
        b"\xff" * 4096,
        b"\x16\x03\x01\xff\xff",
    ],
)
def test_plaintext_ends_in_the_handshake(pair: Ring, garbage: bytes) -> None:
    sock = socket.create_connection(("127.0.0.1", pair.ends["n1"].port))
    sock.sendall(garbage + bytes(70_000))
    assert closed(pair, sock)
    assert pair.events["n1"] == []


STRANGERS: dict[str, Callable[[Authority, Path], Credentials | None]] = {
    "nobody": lambda ours, folder: None,
    "a foreign CA": lambda ours, folder: Authority(folder, "foreign").credentials("n2"),
    "an unknown member": lambda ours, folder: ours.credentials("n9"),
    "this member itself": lambda ours, folder: ours.credentials("n1"),
    "no member's name": lambda ours, folder: ours.credentials(),
    "two members at once": lambda ours, folder: ours.credentials("n2", "n3"),
    "another kind of name": lambda ours, folder: ours.credentials("n2", uri="urn:girginosvm:panel:"),
    "a bare name": lambda ours, folder: ours.credentials("n2", uri=""),
    "a name with more in it": lambda ours, folder: ours.credentials("n2.n3"),
}


@pytest.mark.parametrize("who", sorted(STRANGERS))
def test_a_stranger_is_closed_before_a_byte_is_parsed(
    pair: Ring, authority: Authority, tmp_path: Path, who: str
) -> None:
    try:
        sock: socket.socket = dial(pair, STRANGERS[who](authority, tmp_path))
        sock.sendall((5).to_bytes(4) + b"hello")
    except OSError:
        return  # TLS itself has said no
    assert closed(pair, sock)
    assert pair.events["n1"] == []


def test_tls_older_than_1_3_is_refused(pair: Ring, authority: Authority) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        dial(pair, authority.credentials("n2"), maximum_version=ssl.TLSVersion.TLSv1_2).getpeercert()
    assert pair.events["n1"] == []


def test_a_member_is_let_in_by_the_same_way(pair: Ring, authority: Authority) -> None:
    sock = dial(pair, authority.credentials("n2"))
    sock.sendall((5).to_bytes(4) + b"hello")
    pair.until(lambda: len(pair.events["n1"]) >= 2)
    assert pair.events["n1"] == [Up("n2"), Heard("n2", b"hello")]
    sock.close()


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_is_wrong_keeps_no_member_out(authority: Authority, days: int) -> None:
    """A host that was two hours ahead renewed its certificate, and was let in no more; of two nodes, both stopped."""
    ring = Ring(authority, "n1", "n2")
    ring.ends["n2"].close()
    again = Transport("n2", Address("127.0.0.1", 0), authority.credentials("n2", days=days), LOG, handshake_s=0.5)
    ring.ends["n2"] = again
    for end in ring.ends.values():
        end.set_members(*roster({name: Address("127.0.0.1", one.port) for name, one in ring.ends.items()}))
    ring.up()
    assert lines(ring) == {frozenset(("n1", "n2"))}
    ring.close()


@pytest.mark.parametrize("place", ["999.1.1.1:80", "[:::]:80", "127.0.0.1:99999", "nowhere"])
def test_a_member_whose_address_is_none_is_dialled_by_nobody_and_ends_nobody(authority: Authority, place: str) -> None:
    """It is in the log already; the thread that elects ended with it, on every member."""
    ring = Ring(authority, "n1", "n2")
    at = {name: f"127.0.0.1:{end.port}" for name, end in ring.ends.items()} | {"x": place}
    for end in ring.ends.values():
        end.set_members(founded(at, {"n1", "n2"}), frozenset({"n1", "n2"}))
    ring.up()
    end_s = time.monotonic() + 1.2  # by then it would have been dialled
    ring.until(lambda: time.monotonic() > end_s)
    assert not any(isinstance(one, Down) for one in ring.events["n1"])
    ring.close()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.parametrize("length", [0xFFFFFFFF, FRAME_BYTES + 1])
def test_a_length_beyond_any_frame_costs_the_line_and_no_memory(pair: Ring, authority: Authority, length: int) -> None:
    sock = dial(pair, authority.credentials("n2"))
    before = resident_bytes()
    sock.sendall(length.to_bytes(4))
    assert closed(pair, sock)
    assert resident_bytes() - before < 8 * 1024 * 1024
    assert pair.events["n1"] == [Up("n2"), Down("n2")]


def test_a_dialled_member_that_is_somebody_else_is_refused(authority: Authority) -> None:
    ring = Ring(authority, "n1", "n3")
    nowhere = Address("127.0.0.1", free_port())
    ring.ends["n3"].set_members(*roster({"n1": nowhere, "n2": Address("127.0.0.1", ring.ends["n1"].port)}))
    end_s = time.monotonic() + 0.5
    ring.until(lambda: time.monotonic() > end_s)
    assert not any(isinstance(one, Up) for one in ring.events["n3"])
    ring.close()


@pytest.mark.parametrize("word", [b"", b"hello"])
def test_who_is_gone_again_before_it_was_looked_at_costs_nobody_anything(
    pair: Ring, authority: Authority, word: bytes
) -> None:
    """A port scanner's reset ended the member: TLS says so where the connection is taken, and not in the handshake."""
    silent = [socket.create_connection(("127.0.0.1", pair.ends["n1"].port)) for _ in range(3)]
    for _ in range(100):
        gone = socket.create_connection(("127.0.0.1", pair.ends["n1"].port))
        gone.sendall(word)
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset (socket(7))
        gone.close()
    pair.events["n1"] += pair.ends["n1"].poll(0.05)
    sock = dial(pair, authority.credentials("n2"))
    pair.until(lambda: len(pair.events["n1"]) > 0)
    assert pair.events["n1"] == [Up("n2")]  # and of those who are gone there is nothing to tell
    for one in (sock, *silent):
        one.close()


def test_silent_connections_keep_no_member_out_and_are_ended(pair: Ring, authority: Authority) -> None:
    port = pair.ends["n1"].port
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
    pair.events["n1"] += pair.ends["n1"].poll(0.01)
    sock = dial(pair, authority.credentials("n2"))
    pair.until(lambda: Up("n2") in pair.events["n1"])
    assert closed(pair, silent[0])
    for one in silent:
        one.close()
    sock.close()


def test_a_peer_that_reads_nothing_costs_a_bounded_backlog(pair: Ring, authority: Authority) -> None:
    sock = dial(pair, authority.credentials("n2"))
    pair.until(lambda: Up("n2") in pair.events["n1"])
    for _ in range(40):
        pair.ends["n1"].send("n2", bytes(FRAME_BYTES))
    pair.until(lambda: Down("n2") in pair.events["n1"])
    assert pair.events["n1"] == [Up("n2"), Down("n2")]
    sock.close()


def test_new_certificates_count_from_the_next_connection_on(pair: Ring, authority: Authority) -> None:
    first = dial(pair, authority.credentials("n2"))
    pair.until(lambda: Up("n2") in pair.events["n1"])
    anew = authority.credentials("n1")
    pair.ends["n1"].renew(anew.context(server=True), anew.context(server=False))
    second = dial(pair, authority.credentials("n2"))
    pair.until(lambda: pair.events["n1"] == [Up("n2"), Down("n2"), Up("n2")])
    assert closed(pair, first)
    second.close()


def test_frames_without_end_from_one_member_leave_the_others_their_turn(pair: Ring, authority: Authority) -> None:
    """A turn takes a little of what one line has: a leader that was busy with it for 250 ms lost its office."""
    sock = dial(pair, authority.credentials("n2"))
    count, tiny = 8000, (1).to_bytes(4) + b"!"
    sock.sendall(tiny * count)
    heard: list[Event] = []
    most = 0
    end_s = time.monotonic() + PATIENCE_S
    while sum(isinstance(one, Heard) for one in heard) < count:
        assert time.monotonic() < end_s, len(heard)
        came = pair.ends["n1"].poll(0.01)
        most = max(most, len(came))
        heard += came
    assert most <= 257  # and that the line is up
    assert {one.data for one in heard if isinstance(one, Heard)} == {b"!"}
    sock.close()
