"""One conversation with an agent: its Unix socket, or TLS with a pinned CA. Standard library only."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import IO, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from girginosvm.cli.trouble import Trouble, trouble_of

# Where a CA bundle lies on EL, whatever the machine that compiled us had (OpenSSL's default path is built in).
_SYSTEM_CA: Final = "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
_TRIES: Final = 4
_DEADLINE_S: Final = 60.0


class Reply:
    """An answer: ``value`` is the decoded JSON, or None."""

    def __init__(self, status: int, headers: dict[str, str], value: Any) -> None:
        self.status = status
        self.headers = headers
        self.value = value


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Client:
    """Asks one agent. ``url`` empty: the Unix socket at ``socket_path``, where root needs no token.

    ``ca``: the only one to trust. Without it the system's are, and ``own_ca``, the CA of the node we run on.
    """

    def __init__(
        self,
        socket_path: str,
        *,
        url: str = "",
        token: str = "",
        ca: str = "",
        own_ca: str = "",
        deadline_s: float = _DEADLINE_S,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._socket_path = socket_path
        self._url = url.rstrip("/")
        self._token = token
        self._ca = ca
        self._own_ca = own_ca
        self._deadline_s = deadline_s
        self._pause = pause

    @property
    def where(self) -> str:
        """What is asked, for messages."""
        return self._url or self._socket_path

    def get(self, path: str, query: dict[str, Any] | None = None) -> Reply:
        """A read; sent again once when the connection broke."""
        return self._ask("GET", with_query(path, query or {}), None, {})

    def send(self, method: str, path: str, body: dict[str, Any], key: str, why: str = "") -> Reply:
        """A write under ``key``: when the outcome is unknown the same request goes out again, which is safe. "": it has
        none, and is sent once."""
        return self._ask(method, path, body, _manners(key, why), tries=_TRIES if key else 1)

    def stream(self, path: str, query: dict[str, Any]) -> Iterator[bytes]:
        """The body of an endless answer, as it comes; no deadline between pieces."""
        connection, answer = self._open("GET", with_query(path, query), None, {}, timeout=None)
        try:
            if answer.status >= 400:
                raise trouble_of(answer.status, _decoded(answer.read()))
            while piece := answer.read1(65536):
                yield piece
        finally:
            connection.close()

    def upload(self, method: str, path: str, file: IO[bytes], key: str, why: str = "") -> Reply:
        """A file as the body; not repeated by itself."""
        size = os.fstat(file.fileno()).st_size
        head = {**_manners(key, why), "Content-Type": "application/octet-stream", "Content-Length": str(size)}
        connection, answer = self._open(method, path, file, head, timeout=3600.0)
        return _finish(connection, answer)

    def _ask(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str], *, tries: int = _TRIES
    ) -> Reply:
        data = None if body is None else json.dumps(body).encode()
        head = headers if data is None else {**headers, "Content-Type": "application/json"}
        for tried in range(1, tries + 1):
            try:
                connection, answer = self._open(method, path, data, head, timeout=self._deadline_s)
                return _finish(connection, answer)
            except Trouble as trouble:
                if trouble.family != "Unknown" or tried == tries:
                    raise
            self._pause(0.25 * 2**tried)
        raise AssertionError("the last try returns or raises")

    def _open(
        self, method: str, path: str, data: Any, headers: dict[str, str], *, timeout: float | None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = self._connection(timeout)
        try:
            connection.connect()
        except OSError as fault:
            raise self._unreachable(fault) from fault
        head = {"Accept": "application/json", "User-Agent": "girginosvm", **headers}
        if self._token:
            head["Authorization"] = f"Bearer {self._token}"
        try:
            connection.request(method, path, body=data, headers=head)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as fault:
            connection.close()
            raise _lost(fault) from fault

    def _connection(self, timeout: float | None) -> http.client.HTTPConnection:
        if not self._url:
            return _Unix(self._socket_path, timeout or 1e6)
        parts = urlsplit(self._url)
        if not parts.hostname or parts.scheme not in ("https", "http"):
            raise Trouble(
                "Invalid", "url-invalid", f"{self._url!r} is no https address", hint="--url https://node:1996"
            )
        if parts.scheme == "http":
            detail = f"{self._url}: no node answers without TLS, and a token is never sent without it"
            raise Trouble("Unsafe", "url-not-encrypted", detail, hint=f"use https: --url https{self._url[4:]}")
        import ssl

        file = self._ca or (_SYSTEM_CA if os.path.exists(_SYSTEM_CA) else None)
        try:
            context = ssl.create_default_context(cafile=file)
            if not self._ca and self._own_ca and os.path.exists(self._own_ca):
                context.load_verify_locations(self._own_ca)
        except (OSError, ssl.SSLError) as fault:
            raise Trouble("Invalid", "ca-unreadable", f"cannot read the CA file {file}: {fault}") from fault
        return http.client.HTTPSConnection(parts.hostname, parts.port or 1996, timeout=timeout, context=context)

    def _unreachable(self, fault: OSError) -> Trouble:
        if isinstance(fault, PermissionError):
            return Trouble("Forbidden", "socket-forbidden", f"{self.where} is for root: {fault.strerror}", hint="sudo")
        if "CERTIFICATE_VERIFY_FAILED" in str(fault):
            hint = "give the cluster's CA: --ca FILE or GIRGINOSVM_API_CA"
            if "mismatch" in str(fault):  # it is trusted, and another's
                hint = "ask it by a name or an address of its own: girginosvm node show NODE, on a node"
            return Trouble("Unauthenticated", "certificate-untrusted", f"{self.where}: {fault}", hint=hint)
        here = "is the agent running? systemctl status girginosvm; if it was started with --root DIR, give the same"
        hint = "check the address and port" if self._url else here
        return Trouble(
            "Busy", "agent-unreachable", f"no agent answers at {self.where}: {fault.strerror or fault}", hint=hint
        )


def _finish(connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> Reply:
    try:
        value = _decoded(answer.read())
    except (OSError, http.client.HTTPException) as fault:
        raise _lost(fault) from fault
    finally:
        connection.close()
    if answer.status >= 400:
        raise trouble_of(answer.status, value)
    return Reply(answer.status, {name.lower(): text for name, text in answer.getheaders()}, value)


def _lost(fault: Exception) -> Trouble:
    why = str(fault) or type(fault).__name__
    return Trouble("Unknown", "connection-lost", f"the connection broke before the answer came: {why}")


def _decoded(data: bytes) -> Any:
    try:
        return json.loads(data) if data else None
    except ValueError:
        return None


def with_query(path: str, query: dict[str, Any]) -> str:
    """``path?a=1&b=true``; what is None stays out."""
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one is not None:
                pairs.append((name, str(one).lower() if isinstance(one, bool) else str(one)))
    return f"{path}?{urlencode(pairs, quote_via=quote)}" if pairs else path


def _manners(key: str, why: str) -> dict[str, str]:
    for name, text in (("--key", key), ("--why", why)):
        if not text.isascii() or not text.isprintable() or len(text) > 200:
            raise Trouble("Invalid", "", f"{name} takes up to 200 printable ASCII characters")
    return {**({"Idempotency-Key": key} if key else {}), **({"X-Why": why} if why else {})}


def new_key() -> str:
    """A fresh Idempotency-Key (a random UUID, RFC 9562 5.4, without importing uuid)."""
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
