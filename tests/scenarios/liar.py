"""A member whose certificate and key are in somebody else's hands, as the others' Raft ports meet it."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any, Self

import msgspec

from girginosvm.core import codec
from girginosvm.core.access import Actor, Role
from girginosvm.core.clock import SystemChance, SystemClock, new_request_id
from girginosvm.raft import messages
from girginosvm.raft.messages import Body, Frame

PATIENCE_S = 20.0
SOMEBODY = Actor(kind="user", id="local", name="root", role=Role.ADMIN, address="local")


def command(name: str, body: Any, **words: Any) -> bytes:
    """A command as no node of ours has said it, in an administrator's name."""
    given = {"version": 1, "level": 1} | words
    raw = msgspec.Raw(msgspec.msgpack.encode(body))
    return codec.encode(
        codec.Envelope(new_request_id(SystemClock(), SystemChance()), SOMEBODY, "", name, body=raw, **given)
    )


class Liar:
    """A line to ``port`` with what the node under ``root`` shows."""

    def __init__(self, root: Path, port: int) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(root / "var/lib/girginosvm/pki/server.pem")
        self._line = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def say(self, term: int, body: Body) -> None:
        data = messages.encode(term, body)
        self._line.sendall(len(data).to_bytes(4) + data)

    def hear(self) -> Frame | None:
        """The next frame; None when the line has ended. AssertionError when neither comes."""
        try:
            head = self._exactly(4)
            data = self._exactly(int.from_bytes(head))
        except TimeoutError as fault:
            raise AssertionError("the line stays, and nothing comes") from fault
        except OSError:
            return None
        return messages.decode(data)

    def ends(self) -> None:
        """Hear until the line has ended; a leader says something ten times a second."""
        with contextlib.suppress(OSError):
            for _ in range(1000):
                if self.hear() is None:
                    return
        raise AssertionError("the line stays")

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._line.recv(count - len(data))
            if not piece:
                raise ConnectionResetError
            data += piece
        return data
