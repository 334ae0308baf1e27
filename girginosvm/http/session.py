"""Who is at the desk: a bearer token in the header, or root at the Unix socket. No cookies, so nothing that a
browser would send along by itself; nothing that a proxy header claims is believed."""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import Final

from aiohttp import web

from girginosvm.core.access import Actor, Role
from girginosvm.core.errors import Forbidden, Problem, Unauthenticated
from girginosvm.http.desk import Caller, Desk
from girginosvm.http.peers import ACTOR, actor_of, certificate

_UCRED: Final = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED
_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_MAX_TOKEN: Final = 256


def local_uid(request: web.Request) -> int | None:
    """The uid at the other end of a Unix socket, None for TCP."""
    end = request.transport.get_extra_info("socket") if request.transport else None
    if end is None or end.family != socket.AF_UNIX:
        return None
    _, uid, _ = _UCRED.unpack(end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)


def address(request: web.Request) -> str:
    """The peer's address as the kernel says it; X-Forwarded-For is nobody's word."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return str(peer[0]) if isinstance(peer, tuple) else "local"


def bearer(request: web.Request) -> str:
    """The bearer token, "" when there is none (RFC 6750 section 2.1; no query parameter, no form)."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip()[: _MAX_TOKEN + 1] if scheme.lower() == "bearer" else ""


def same_origin(request: web.Request) -> None:
    """Forbidden ``cross-origin`` when a browser says that another site's page makes this change."""
    if request.method in _SAFE:
        return
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site")
    scheme = "https" if request.secure else "http"
    if (origin is not None and origin != f"{scheme}://{request.host}") or site not in (None, "same-origin", "none"):
        raise Forbidden("cross-origin", "a page of another site asked for this; only our own pages may")


async def who(request: web.Request, desk: Desk, *, public: bool, permission: str) -> Caller:
    """The caller of an action; Unauthenticated without a valid token, unless the action is public."""
    same_origin(request)
    token = bearer(request)
    if public:
        return Caller(token=token, address=address(request))
    if ACTOR in request.headers and request.method in _SAFE:
        await desk.member(certificate(request))
        person = actor_of(request.headers[ACTOR])
        return Caller(actor=person, address=person.address, by_node=True)
    if not token:
        uid = local_uid(request)
        if uid is not None and uid in (0, os.geteuid()):
            return Caller(actor=Actor("local", "local", "root", Role.ADMIN, "local"), address="local")
        raise Unauthenticated(
            "sign-in-needed", "this needs a bearer token", hint="as root on a node: girginosvm token create NAME"
        )
    if len(token) > _MAX_TOKEN:
        raise Unauthenticated("token-invalid", "this token is not valid here, or no longer")
    caller = await desk.caller(token, address(request))
    if caller.must_change and not permission.startswith("self."):
        raise Forbidden("password-must-change", "choose a password of your own first: POST /v1/auth/password")
    return caller


class Welcome:
    """May the caller of an answer without an end still have it? Asked of the desk again every ``every_s``, however
    much or little there is to tell: a session that was ended hears nothing that happens later than that, nor does a
    node that was removed, which asks in a person's name."""

    def __init__(self, request: web.Request, caller: Caller, desk: Desk, *, every_s: float) -> None:
        self._shown = certificate(request) if caller.by_node else None
        self._caller = caller
        self._desk = desk
        self._every_s = every_s
        self._asked = time.monotonic()

    async def lasts(self) -> bool:
        """False once the token, or the node's certificate, is known to be good for nothing. A desk that cannot say
        leaves it as it was."""
        known = self._caller.token or self._caller.by_node
        if not known or time.monotonic() - self._asked < self._every_s:
            return True
        try:
            if self._caller.by_node:
                await self._desk.member(self._shown)
            else:
                await self._desk.caller(self._caller.token, self._caller.address)
        except Unauthenticated:
            return False
        except Problem as problem:
            return not (self._caller.by_node and isinstance(problem, Forbidden))
        self._asked = time.monotonic()
        return True
