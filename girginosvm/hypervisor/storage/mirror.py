"""Where images may come from, and the one connection to get there.

A name is looked up once; every address it has is looked at; the connection goes to one of those very addresses. So a
name that answers differently the second time (DNS rebinding) leads nowhere. Redirects are not followed.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import ipaddress
import os
import re
import socket
import ssl
import stat
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

from girginosvm.core.errors import HostFault, Invalid, Unsafe

_TIMEOUT_S: Final = 30.0
# A mirror that sends a byte now and then would hold a thread for ever: this much has to come in this time.
_WINDOW_S: Final = 60.0
_WINDOW_BYTES: Final = 64 * 1024
# What clouds answer with passwords to whoever asks from inside: refused whatever the settings say.
_METADATA: Final = (ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200"))
_URL: Final = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~%/-]*)?")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[Any]]  # as socket.getaddrinfo answers


def is_url(source: str) -> bool:
    """It is fetched, not read."""
    return source.startswith(("http://", "https://"))


def checked(source: str) -> str:
    """``source``, when it is an http(s) URL without anything clever in it or an absolute directory; else Invalid."""
    odd = "/../" in f"{source}/" or "/./" in f"{source}/" or "%2e" in source.lower() or "\0" in source
    if odd or not (_URL.fullmatch(source) if is_url(source) else source.startswith("/")):
        detail = f"{source!r} is neither an http(s) address nor an absolute directory"
        raise Invalid("source-invalid", detail)
    return source


def is_inside(source: str, trusted: Sequence[str]) -> bool:
    """``source`` is one of ``trusted`` or lies below one. Directories are compared by where they really are."""
    for one in filter(None, trusted):
        if is_url(source) != is_url(one):
            continue
        mine, theirs = (source, one) if is_url(source) else (os.path.realpath(source), os.path.realpath(one))
        if mine.rstrip("/") == theirs.rstrip("/") or mine.startswith(theirs.rstrip("/") + "/"):
            return True
    return False


def obstacle(address: Address, *, inside: bool) -> str:
    """Why a node is not sent to ``address``, "" when it may go. ``inside``: the node's own settings name the place.

    Pure. An IPv4 address in IPv6's clothes (RFC 4291 2.5.5.2, RFC 3056, RFC 6052) counts as what it leads to.
    """
    address = _plain(address)
    if address in _METADATA or address.is_link_local:
        return "link-local, where clouds keep their metadata"
    if address.is_multicast or address.is_unspecified or address in ipaddress.ip_network("0.0.0.0/8"):
        return "no address of one machine"
    return "this node itself" if address.is_loopback and not inside else ""


def _plain(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def look_up(host: str, port: int, *, inside: bool, resolve: Resolve) -> list[Any]:
    """Every address of ``host``; Unsafe ``mirror-address`` when one of them is not to be gone to."""
    found = list(resolve(host, port))
    for _, _, _, _, place in found:
        address = ipaddress.ip_address(place[0].partition("%")[0])
        why = obstacle(address, inside=inside)
        if why:
            raise Unsafe("mirror-address", f"{host} is {address}: {why}; a node does not fetch images from there")
    return found


def _system(host: str, port: int) -> Sequence[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def opened(path: str) -> BinaryIO:
    """A file of a directory mirror; OSError also for what is none: opening a FIFO would wait for its other end."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no regular file")
    return os.fdopen(handle, "rb")


class Patience:
    """Cuts a connection over which less than 64 KiB came in ``window_s``. ``came`` tells of what did; 0 to
    begin with. After a cut the connection looks ended: ``lost`` says that it was cut."""

    def __init__(self, end: socket.socket, *, window_s: float = _WINDOW_S) -> None:
        self._end = end
        self._window_s = window_s
        self._came = 0
        self._began = time.monotonic()
        self.lost = False
        self._arm()

    def came(self, count: int) -> None:
        """So many bytes more; enough of them, and a new window begins (a timer is a thread: not for every piece)."""
        self._came += count
        if self._came >= _WINDOW_BYTES and time.monotonic() - self._began > self._window_s / 4:
            self.stop()
            self._came, self._began = 0, time.monotonic()
            self._arm()

    def stop(self) -> None:
        """Enough."""
        self._timer.cancel()

    def _arm(self) -> None:
        self._timer = threading.Timer(self._window_s, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def _cut(self) -> None:
        self.lost = True
        with contextlib.suppress(OSError):  # closed meanwhile
            socket.socket.shutdown(self._end, socket.SHUT_RDWR)  # below TLS, whose state is the reader's


class Response:
    """What a mirror answers: its status, and its bytes by ``read``, all of it bound by one patience."""

    def __init__(self, source: str, answer: http.client.HTTPResponse, patience: Patience) -> None:
        self._source = source
        self._answer = answer
        self._patience = patience
        self.status = answer.status

    def read(self, most_bytes: int) -> bytes:
        """What has come, up to ``most_bytes``; empty at the end. HostFault ``mirror-away``."""
        try:
            piece = self._answer.read1(most_bytes)
        except (OSError, ValueError, http.client.HTTPException) as fault:
            raise HostFault("mirror-away", f"{self._source}: {self._slow or fault}") from fault
        self._patience.came(len(piece))
        if not piece and self._patience.lost:
            raise HostFault("mirror-away", f"{self._source}: {self._slow}")
        return piece

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        self._patience.stop()
        self._answer.close()

    @property
    def _slow(self) -> str:
        return "it sends too slowly to wait for" if self._patience.lost else ""


class _Pinned(http.client.HTTPConnection):
    """To an address that was looked at, and no other."""

    def __init__(self, host: str, port: int, places: list[Any], context: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=_TIMEOUT_S)
        self._places = places
        self._tls = context

    def connect(self) -> None:
        """The first of the addresses that answers; the certificate is that of the name."""
        fault: OSError = OSError("the name has no address")
        for family, kind, protocol, _, place in self._places:
            end = socket.socket(family, kind, protocol)
            end.settimeout(_TIMEOUT_S)
            try:
                end.connect(place)
                self.sock = self._tls.wrap_socket(end, server_hostname=self.host) if self._tls else end
                return
            except OSError as found:
                end.close()
                fault = found
        raise fault


def http_response(
    source: str,
    headers: dict[str, str],
    *,
    trusted: Sequence[str] = (),
    resolve: Resolve = _system,
    window_s: float = _WINDOW_S,
) -> Response:
    """GET ``source``; the response closes its connection. HostFault ``mirror-away``, ``mirror-refused``; Unsafe
    ``mirror-address``."""
    place = urlsplit(checked(source))
    host, secure = place.hostname or "", place.scheme == "https"
    patience: Patience | None = None
    try:
        port = place.port or (443 if secure else 80)
        places = look_up(host, port, inside=is_inside(source, trusted), resolve=resolve)
        link = _Pinned(host, port, places, ssl.create_default_context() if secure else None)
        link.connect()
        patience = Patience(link.sock, window_s=window_s)
        link.request("GET", place.path or "/", headers={**headers, "Connection": "close"})
        answer = link.getresponse()
    except (OSError, ValueError, http.client.HTTPException) as fault:
        if patience is not None:
            patience.stop()
        raise HostFault("mirror-away", f"{source}: {fault}") from fault
    if answer.status not in (200, 206):
        patience.stop()
        link.close()
        raise HostFault("mirror-refused", f"{source}: the mirror answered {answer.status} {answer.reason[:100]}")
    return Response(source, answer, patience)
