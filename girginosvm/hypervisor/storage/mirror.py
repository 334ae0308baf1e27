"""Where images may come from, and the one connection to get there.

A name is looked up once; every address it has is looked at; the connection goes to one of those very addresses. So a
name that answers differently the second time (DNS rebinding) leads nowhere. Redirects are not followed.
"""

from __future__ import annotations

import http.client
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from girginosvm.core.errors import HostFault, Invalid, Unsafe

_TIMEOUT_S: Final = 30.0
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
    source: str, headers: dict[str, str], *, trusted: Sequence[str] = (), resolve: Resolve = _system
) -> http.client.HTTPResponse:
    """GET ``source``; the response closes its connection. HostFault ``mirror-away``, ``mirror-refused``; Unsafe
    ``mirror-address``."""
    place = urlsplit(checked(source))
    host, secure = place.hostname or "", place.scheme == "https"
    try:
        port = place.port or (443 if secure else 80)
        places = look_up(host, port, inside=is_inside(source, trusted), resolve=resolve)
        link = _Pinned(host, port, places, ssl.create_default_context() if secure else None)
        link.request("GET", place.path or "/", headers={**headers, "Connection": "close"})
        answer = link.getresponse()
    except (OSError, ValueError, http.client.HTTPException) as fault:
        raise HostFault("mirror-away", f"{source}: {fault}") from fault
    if answer.status not in (200, 206):
        link.close()
        raise HostFault("mirror-refused", f"{source}: the mirror answered {answer.status} {answer.reason}")
    return answer
