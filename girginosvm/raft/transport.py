"""Lines between members over mutual TLS 1.3, on one thread's epoll(7).

Who a peer is says the URI in its certificate, which the cluster's own CA has signed. Not before that is a member's is
one byte of a frame looked at: plaintext, another CA, a member that was removed end in the handshake. A frame's length
is judged before room is made for it. To whom there is a line, and who dials, is ``mesh``'s to say.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import time
from collections.abc import Set
from typing import Final

from girginosvm.core.ids import member_of
from girginosvm.core.log import Log
from girginosvm.core.places import is_place
from girginosvm.raft import mesh
from girginosvm.raft.credentials import NOWHERE, Address, Credentials
from girginosvm.raft.lines import Down, Event, Heard, Up
from girginosvm.raft.membership import Roster
from girginosvm.raft.messages import FRAME_BYTES

_WRITE_BYTES: Final = 256 * 1024
_RECORD_BYTES: Final = 16 * 1024  # the most that TLS hands out at once (RFC 8446, section 5.1)
# Read from one line before the others have their turn: bytes, which a liar fills with parts of 3 bytes, and frames, of
# which a liar's can be 8 bytes each. A turn that takes 250 ms costs a leader its office.
_TURN_BYTES: Final = 512 * 1024
_TURN_FRAMES: Final = 256
_BACKLOG_BYTES: Final = 64 * 1024 * 1024
_HANDSHAKE_S: Final = 3.0
_STRANGERS: Final = 64  # connections that have not yet proved who they are
_ACCEPTS: Final = 64  # taken in one turn, before lines have theirs
_SAID_S: Final = 30.0
_SILENT_S: Final = 5  # what nothing gets through for so long is no line any more
_WANTS: Final = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)
_GONE: Final = (ConnectionError, ssl.SSLEOFError)  # the process at the other end is, most likely


class _Line:
    """One connection, from TCP's first packet on. ``peer`` is whom it was dialled for, or who it proved to be."""

    def __init__(self, sock: socket.socket, peer: str, until_s: float, *, dialled: bool, known: bool = True) -> None:
        self.known = known  # it comes from where a member listens
        self.sock = sock
        self.peer = peer
        self.until_s = until_s
        self.dialled = dialled
        self.mask = 0  # what is waited for, of epoll(7)
        self.proved = False
        self.heard = False  # a whole frame came
        self.room = 0  # so many more in this turn
        self.inward = bytearray()
        self.outward = bytearray()


def _set_options(sock: socket.socket) -> None:
    """What is sent leaves at once; and a peer whose kernel answers nothing any more ends the line (tcp(7)). Without
    that a cable that is out is noticed after a quarter of an hour, and whoever was cut off believes all that time that
    it reaches the others."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_NODELAY, 1), (socket.TCP_USER_TIMEOUT, 1000 * _SILENT_S), (socket.TCP_KEEPIDLE, 2),
        (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, _SILENT_S - 2),
    ):  # fmt: skip
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Transport:
    """The network of one member. All but ``wake`` belong to the thread that polls."""

    def __init__(
        self, member: str, listen: Address, credentials: Credentials, log: Log, *, handshake_s: float = _HANDSHAKE_S
    ) -> None:
        self._member = member
        self._handshake_s = handshake_s
        self._log = log
        self._members: dict[str, Address] = {}
        self._lines: dict[str, _Line] = {}  # proved, one per member
        self._dialling: dict[str, _Line] = {}
        self._strangers: dict[_Line, None] = {}  # the oldest first
        self._mesh = mesh.Mesh(member)
        self._refused: dict[str, float] = {}  # who was refused, and when that may be said again
        self._eager: set[_Line] = set()  # there may be more in what TLS has decrypted already
        self._events: list[Event] = []
        self._epoll = select.epoll()
        self._watched: dict[int, _Line] = {}  # by file descriptor
        self._cluster = credentials.cluster
        self.renew(credentials.context(server=True), credentials.context(server=False))
        family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        self._listener = socket.create_server((listen.host, listen.port), family=family, backlog=512)
        self._listener.setblocking(False)
        self._epoll.register(self._listener, select.EPOLLIN)
        self._waking, self._waker = os.pipe()
        self._woken = False
        for end in (self._waking, self._waker):
            os.set_blocking(end, False)
        self._epoll.register(self._waking, select.EPOLLIN)

    def fileno(self) -> int:
        """Readable when a poll would find something, for whoever waits for more than this."""
        return self._epoll.fileno()

    @property
    def eager(self) -> bool:
        """The next poll has something to say, though nothing comes any more."""
        return bool(self._eager or self._events)

    @property
    def port(self) -> int:
        """Where this member listens."""
        return int(self._listener.getsockname()[1])

    def renew(self, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
        """New certificates, for the connections from now on."""
        self._server, self._client = server, client

    def set_members(self, roster: Roster, electable: Set[str], guests: Set[str] = frozenset()) -> None:
        """Who belongs to the cluster. A line to anybody else is closed now, and refused from now on; one that this
        member dialled and that is of no use any more (``mesh``) is closed, too. ``guests`` are let in, and not
        dialled."""
        self._members = {
            one.id: Address.parse(one.address) if is_place(one.address) else NOWHERE
            for one in roster.members
            if one.id != self._member
        }
        # An address that is none is let in like any other: what is in the log must not end whoever reads it.
        alone = guests | {one for one, address in self._members.items() if address == NOWHERE}
        self._mesh.set_members(self._members, electable, {*self._lines, *self._dialling}, _now_ms(), alone)
        for peer in [peer for peer in self._lines if peer not in self._members]:
            self.drop(peer, "no member any more")
        dialled = [*self._dialling, *(peer for peer, line in self._lines.items() if line.dialled)]
        for peer in self._mesh.useless(dialled):
            for line in filter(None, (self._lines.get(peer), self._dialling.get(peer))):
                self._end(line, "neither of the two may lead")

    def wake(self) -> None:
        """End a poll, or the next one; from any thread."""
        if not self._woken:
            self._woken = True
            with contextlib.suppress(OSError):  # full: it is awake already; closed: nobody polls any more
                os.write(self._waker, b"x")

    def send(self, peer: str, frame: bytes) -> None:
        line = self._lines.get(peer)
        if line is None:
            return
        line.outward += len(frame).to_bytes(4) + frame
        if len(line.outward) > _BACKLOG_BYTES:
            self._end(line, f"{len(line.outward)} bytes wait to be sent")
        else:
            self._write(line)

    def drop(self, peer: str, reason: str) -> None:
        line = self._lines.get(peer)
        if line is not None:
            self._end(line, reason)

    def poll(self, timeout_s: float) -> list[Event]:
        """What has happened; waits for it no longer than this."""
        self._dial()
        if self._events or self._eager:
            timeout_s = 0.0
        eager, self._eager = self._eager, set()
        for file, mask in self._epoll.poll(max(0.0, timeout_s)):
            line = self._watched.get(file)
            if line is not None:
                eager.discard(line)
                self._ready(line, mask)
            elif file == self._waking:
                with contextlib.suppress(BlockingIOError):  # woken twice, read once
                    os.read(self._waking, 4096)
                self._woken = False  # before the caller looks at what it was woken for
            elif file == self._listener.fileno():
                self._accept()
        for line in eager:
            self._read(line)
        if self._strangers or self._dialling:
            self._forget_slow()
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Let go of everything."""
        for line in [*self._lines.values(), *self._dialling.values(), *self._strangers]:
            self._end(line, "this member stops")
        self._listener.close()
        self._epoll.close()
        os.close(self._waking)
        os.close(self._waker)

    def _watch(self, line: _Line, mask: int) -> None:
        """Wait for this of its socket from now on."""
        if line.mask == mask:
            return
        if line.mask:
            self._epoll.modify(line.sock, mask)
        else:
            self._watched[line.sock.fileno()] = line
            self._epoll.register(line.sock, mask)
        line.mask = mask

    def _forget(self, line: _Line) -> None:
        if line.mask:
            del self._watched[line.sock.fileno()]
            self._epoll.unregister(line.sock)
            line.mask = 0

    # Connections.

    def _dial(self) -> None:
        for peer in self._mesh.dial(_now_ms()):
            address = self._members[peer]
            sock = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET)
            sock.setblocking(False)
            _set_options(sock)
            line = _Line(sock, peer, time.monotonic() + self._handshake_s, dialled=True)
            sock.connect_ex((address.host, address.port))
            self._dialling[peer] = line
            self._watch(line, select.EPOLLOUT)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            try:
                sock, address = self._listener.accept()
            except OSError:  # nobody more, gone again, or no file handles left: the others go on
                return
            try:
                sock.setblocking(False)
                _set_options(sock)
                wrapped = self._server.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            except (OSError, ValueError):  # gone again already, with or without a word
                sock.close()
                continue
            if len(self._strangers) >= _STRANGERS:
                self._end(self._least(), "too many who do not say who they are")
            known = any(address[0] == member.host for member in self._members.values())
            line = _Line(wrapped, "", time.monotonic() + self._handshake_s, dialled=False, known=known)
            self._strangers[line] = None
            self._watch(line, select.EPOLLIN)

    def _least(self) -> _Line:
        """Which stranger has to make room: the oldest from somewhere else, or else the oldest. A member proves itself
        in a moment; whoever is still one after 64 others have come is in no hurry."""
        return next((line for line in self._strangers if not line.known), next(iter(self._strangers)))

    def _ready(self, line: _Line, mask: int) -> None:
        if not line.proved:
            self._shake(line)
            return
        if mask & ~select.EPOLLIN:
            self._write(line)
        if mask & ~select.EPOLLOUT and line.proved:
            self._read(line)

    def _shake(self, line: _Line) -> None:
        try:
            if not isinstance(line.sock, ssl.SSLSocket):  # TCP has connected, or not
                fault = line.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if fault:
                    raise OSError(fault, os.strerror(fault))
                self._forget(line)
                line.sock = self._client.wrap_socket(line.sock, do_handshake_on_connect=False)
                self._watch(line, select.EPOLLIN)
            line.sock.do_handshake()
        except ssl.SSLWantReadError:
            self._watch(line, select.EPOLLIN)
        except ssl.SSLWantWriteError:
            self._watch(line, select.EPOLLOUT)
        except (OSError, ValueError) as fault:
            self._end(line, f"no handshake: {fault}")
        else:
            self._admit(line, member_of(line.sock.getpeercert(), self._cluster))

    def _admit(self, line: _Line, name: str) -> None:
        if name not in self._members or (line.dialled and name != line.peer):
            now = time.monotonic()
            if now >= self._refused.get(name, now):
                self._refused[name] = now + _SAID_S
                self._log.warning("raft.refused-peer", member=name or "?", dialled=line.peer)
            self._end(line, "no member")
            return
        if not self._replaces(name, line):
            self._end(line, "there is a line already")
            return
        self._strangers.pop(line, None)
        self._dialling.pop(name, None)
        line.peer, line.proved = name, True
        self._lines[name] = line
        self._mesh.up(name)
        self._watch(line, select.EPOLLIN)
        self._events.append(Up(name))
        self._eager.add(line)

    def _replaces(self, name: str, line: _Line) -> bool:
        """``line`` becomes the one to ``name``; what was there before, or on its way, is ended."""
        old, trying = self._lines.get(name), self._dialling.get(name)
        if old is not None:
            stays = not mesh.replaces(self._member, name, old_dialled=old.dialled, new_dialled=line.dialled)
            if stays:
                return False
            self._end(old, "a newer connection took its place")
        if trying is not None and trying is not line:
            self._end(trying, "it was quicker")
        return True

    def _forget_slow(self) -> None:
        now = time.monotonic()
        for line in [*self._strangers, *self._dialling.values()]:
            if now >= line.until_s:
                self._end(line, "no handshake in time")

    def _end(self, line: _Line, reason: str, *, reset: bool = False) -> None:
        self._forget(line)
        line.sock.close()
        self._eager.discard(line)
        self._strangers.pop(line, None)
        if self._dialling.get(line.peer) is line:
            del self._dialling[line.peer]
            if line.peer not in self._lines:
                self._mesh.lost(line.peer, _now_ms())
        if line.proved and self._lines.get(line.peer) is line:
            del self._lines[line.peer]
            self._mesh.lost(line.peer, _now_ms(), mute=not line.heard)
            if line.heard:
                self._log.info("raft.line-ended", member=line.peer, reason=reason)
            self._events.append(Down(line.peer, reset))
        line.proved = False

    # Bytes.

    def _write(self, line: _Line) -> None:
        try:
            while line.outward:
                sent = line.sock.send(memoryview(line.outward)[:_WRITE_BYTES])
                del line.outward[:sent]
        except _WANTS:
            pass  # the rest when there is room for it: see what is watched below
        except OSError as fault:
            if line.proved:
                self._read(line)  # the last that it said, before it closed the line
            self._end(line, f"cannot send: {fault}", reset=isinstance(fault, _GONE))
            return
        self._watch(line, select.EPOLLIN | (select.EPOLLOUT if line.outward else 0))

    def _read(self, line: _Line) -> None:
        taken = 0
        line.room = _TURN_FRAMES
        try:
            if not self._frames(line):  # what the turn before has left
                return
            while taken < _TURN_BYTES and line.room:
                data = line.sock.recv(_RECORD_BYTES)
                if not data:
                    self._end(line, "the other side has closed it", reset=True)
                    return
                taken += len(data)
                line.inward += data
                if not self._frames(line):
                    return
                pending = isinstance(line.sock, ssl.SSLSocket) and line.sock.pending()
                if len(data) < _RECORD_BYTES and not pending and line.room:
                    return  # most likely all there was: asking again costs more than the next poll does
            self._eager.add(line)
        except _WANTS:
            pass  # nothing more has come: the next poll hears of it
        except OSError as fault:
            self._end(line, f"cannot receive: {fault}", reset=isinstance(fault, _GONE))

    def _frames(self, line: _Line) -> bool:
        """Whole frames become events. False: the line was closed for a length that no frame of ours has."""
        at, inward = 0, line.inward
        while len(inward) - at >= 4 and line.room:
            length = int.from_bytes(inward[at : at + 4])
            if length > FRAME_BYTES:
                self._end(line, f"a frame of {length} bytes")
                return False
            if len(inward) - at - 4 < length:
                break
            if not line.heard:
                line.heard = True
                self._mesh.heard(line.peer)
            self._events.append(Heard(line.peer, bytes(inward[at + 4 : at + 4 + length])))
            line.room -= 1
            at += 4 + length
        del inward[:at]
        return True
