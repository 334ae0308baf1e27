"""Attacks on the port of real members at work: closed, nothing parsed, memory flat, nobody disturbed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from girginosvm.core.entries import Change
from girginosvm.core.errors import Problem
from girginosvm.raft import messages
from girginosvm.raft.credentials import Credentials
from girginosvm.raft.messages import FRAME_BYTES, Ack, Append, AskVote, Body, Newer, PreVote, TimeoutNow, Vote
from tests.floors.raft.pki import Authority
from tests.floors.raft.trio import Trio

PATIENCE_S = 20.0
FLAT_BYTES = 12 * 1024 * 1024
PICKLED = pickle.dumps(print)


class Siege:
    """Three members at work, and one of them under attack: its leader."""

    def __init__(self, trio: Trio, authority: Authority) -> None:
        self.trio = trio
        self.authority = authority
        self.target = ""
        self.done = 0

    @property
    def port(self) -> int:
        return self.trio.port(self.target)

    async def work(self) -> None:
        """One write after the other, by a member that is not under attack."""
        other = next(name for name in self.trio.names if name != self.target)
        while True:
            with contextlib.suppress(Problem):
                await self.trio.clients[other].propose(b"work")
                self.done += 1

    def resident_bytes(self) -> int:
        row = Path(f"/proc/{self.trio.processes[self.target].pid}/statm").read_text()
        return int(row.split()[1]) * os.sysconf("SC_PAGESIZE")

    async def goes_on(self, count: int = 20) -> None:
        """So many writes more are acknowledged, and all members are sound."""
        wanted = self.done + count
        async with asyncio.timeout(PATIENCE_S):
            while self.done < wanted:  # noqa: ASYNC110 - a bounded look
                await asyncio.sleep(0.005)
        for name in self.trio.names:
            status = await self.trio.status(name)
            assert status is None or not status.halted

    async def hit(self, attack: Callable[[], Awaitable[None]]) -> None:
        """Writes go on during the attack and after it, and it leaves no memory behind."""
        before = self.resident_bytes()
        task = asyncio.create_task(attack())
        await self.goes_on()
        await task
        await self.goes_on()
        assert self.resident_bytes() - before < FLAT_BYTES

    async def link(self, credentials: Credentials | None = None) -> Link:
        """A TLS connection to the member under attack."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if credentials is not None:
            context.load_cert_chain(credentials.own)
        return Link(*await asyncio.open_connection("127.0.0.1", self.port, ssl=context))

    async def plain(self) -> Link:
        return Link(*await asyncio.open_connection("127.0.0.1", self.port))


class Link:
    """An attacker's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def frame(self, data: bytes) -> None:
        self.writer.write(len(data).to_bytes(4) + data)

    def say(self, term: int, body: Body) -> None:
        self.frame(messages.encode(term, body))

    async def closed(self) -> bool:
        """The member ends it."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while await self.reader.read(65536):
                    pass
        except TimeoutError:
            return False
        except OSError:
            pass  # a reset is an end, too
        self.writer.close()
        return True


@pytest.fixture
async def siege(tmp_path: Path) -> AsyncIterator[Siege]:
    authority = Authority(tmp_path)
    trio = Trio(authority, tmp_path)
    async with trio.running():
        for name in trio.names:
            await trio.rejoined(name)
        one = Siege(trio, authority)
        one.target = await trio.leader()
        work = asyncio.create_task(one.work())
        yield one
        work.cancel()


async def learner(siege: Siege, name: str = "o1") -> Credentials:
    """A member without a vote, which the attacker plays."""
    await changed(siege, Change("add", name, "127.0.0.1:1"))
    return siege.authority.credentials(name)


async def changed(siege: Siege, change: Change) -> None:
    """By whoever leads; said again while it cannot be yet."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(Problem):
                await siege.trio.clients[await siege.trio.leader()].change(change)
                return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", len(PICKLED).to_bytes(4) + PICKLED, b"\xff" * 4096])
async def test_who_speaks_no_tls_is_closed(siege: Siege, garbage: bytes) -> None:
    async def attack() -> None:
        for _ in range(20):
            link = await siege.plain()
            link.writer.write(garbage + bytes(70_000))
            assert await link.closed()

    await siege.hit(attack)


async def test_tls_1_2_gets_nowhere(siege: Siege) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(siege.authority.credentials("n9").own)

    async def attack() -> None:
        for _ in range(20):
            with pytest.raises(OSError):
                await asyncio.open_connection("127.0.0.1", siege.port, ssl=context)

    await siege.hit(attack)


@pytest.mark.parametrize("who", ["nobody", "a foreign CA", "an unknown member"])
async def test_a_stranger_with_tls_is_closed_and_what_it_says_is_not_looked_at(
    siege: Siege, who: str, tmp_path: Path
) -> None:
    credentials = {
        "nobody": lambda: None,
        "a foreign CA": lambda: Authority(tmp_path, "foreign").credentials("n1"),
        "an unknown member": lambda: siege.authority.credentials("n9"),
    }[who]()

    async def attack() -> None:
        for _ in range(20):
            try:
                link = await siege.link(credentials)
                link.frame(b"\xdd\xff\xff\xff\xff" * 1000)
            except OSError:
                continue  # refused in the handshake
            assert await link.closed()

    await siege.hit(attack)


async def test_a_removed_member_is_let_in_no_more(siege: Siege) -> None:
    credentials = await learner(siege)
    link = await siege.link(credentials)
    link.say(0, PreVote(1))
    await changed(siege, Change("remove", "o1"))
    assert await link.closed()

    async def attack() -> None:
        for _ in range(20):
            with contextlib.suppress(OSError):
                again = await siege.link(credentials)
                again.say(10**6, Vote(10**6))
                assert await again.closed()

    await siege.hit(attack)


async def test_a_learner_that_votes_leads_and_acknowledges_moves_nobody(siege: Siege) -> None:
    credentials = await learner(siege)
    status = await siege.trio.status(siege.target)
    assert status is not None
    term, last = status.term, status.last_index

    async def attack() -> None:
        link = await siege.link(credentials)
        for _ in range(50):
            for ahead in (0, 1, 1000):
                say = term + ahead
                for body in (
                    Vote(say), AskVote(say, 2**40, say), AskVote(say, 2**40, say, True), Ack(last + 1000, True, False),
                    Append(say, last, term, last + 1000, ()), Newer(), TimeoutNow(say), PreVote(1),
                ):  # fmt: skip
                    link.say(say, body)
            await asyncio.sleep(0.005)
        link.writer.close()

    await siege.hit(attack)
    after = await siege.trio.status(siege.target)
    assert after is not None
    assert after.term < term + 1000  # nobody has believed it; a busy machine may have had an election of its own


BOMBS = {
    "nested": b"\x91" * 1_000_000,
    "nested, as a frame": b"\x92\x01" + b"\x91" * 1_000_000,
    "four thousand million elements": b"\x92\x01\xdd\xff\xff\xff\xff",
    "four gigabytes of text": b"\x92\x01\x92\x0b\xdb\xff\xff\xff\xff",
    "a forward of two million commands": b"\x92\x01\x96\x0b\x01\x01\x01\xdd\x00\x1e\x84\x80" + b"\xc4\x00" * 2_000_000,
    "an append of two million items": b"\x92\x01\x96\x01\x01\x01\x01\x01\xdd\x00\x1e\x84\x80" + b"\x92\x00" * 1_000_000,
    "a pickle": PICKLED,
    "a map": b"\xdf\xff\xff\xff\xff" + b"\x01\x01" * 1_000_000,
}


@pytest.mark.parametrize("bomb", sorted(BOMBS))
async def test_a_bomb_from_a_member_costs_its_line_and_no_memory(siege: Siege, bomb: str) -> None:
    credentials = await learner(siege)
    data = BOMBS[bomb][:FRAME_BYTES]

    async def attack() -> None:
        for _ in range(5):
            link = await siege.link(credentials)
            link.frame(data)
            assert await link.closed()

    await siege.hit(attack)


@pytest.mark.parametrize("length", [0xFFFFFFFF, FRAME_BYTES + 1])
async def test_a_length_of_four_gigabytes_from_a_member_costs_its_line_and_no_memory(siege: Siege, length: int) -> None:
    credentials = await learner(siege)

    async def attack() -> None:
        for _ in range(10):
            link = await siege.link(credentials)
            link.writer.write(length.to_bytes(4) + bytes(100_000))
            assert await link.closed()

    await siege.hit(attack)


async def test_a_thousand_idle_connections_and_ever_new_ones_keep_no_member_out(siege: Siege) -> None:
    siege.target = min(siege.trio.names)  # of two members the one with the greater name dials
    silent: deque[socket.socket] = deque()

    async def press() -> None:
        while True:
            sock = socket.socket()
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(("127.0.0.1", siege.port))
            silent.append(sock)
            if len(silent) > 1000:
                silent.popleft().close()
                await asyncio.sleep(0.001)

    async def attack() -> None:
        other = max(siege.trio.names)
        task = asyncio.create_task(press())
        try:
            async with asyncio.timeout(PATIENCE_S):
                while len(silent) < 1000:  # noqa: ASYNC110 - a bounded look
                    await asyncio.sleep(0.01)
            siege.trio.kill(other)
            siege.trio.start(other)
            # Its start, and a moment. While strangers had to be waited for it was 3 s for each round of them.
            async with asyncio.timeout(5):
                status = await siege.trio.rejoined(other)
            assert siege.target in status.reached
        finally:
            task.cancel()
            for sock in silent:
                sock.close()

    await siege.hit(attack)


async def test_handshakes_that_trickle_are_ended_and_hold_nobody_up(siege: Siege) -> None:
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"

    async def trickle() -> None:
        link = await siege.plain()
        with contextlib.suppress(OSError):
            for byte in hello:
                link.writer.write(bytes((byte,)))
                await asyncio.sleep(0.4)
        assert await link.closed()

    async def attack() -> None:
        await asyncio.gather(*(trickle() for _ in range(60)))

    await siege.hit(attack)
