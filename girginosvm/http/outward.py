"""Asking another node: TLS 1.3, its CA known beforehand, answers bounded, problems raised as what they are.

A node that joins knows the cluster by one thing only, the fingerprint of its CA in the token: the certificate is
fetched first, over a line that proves nothing, and is trusted when it is the one that the token names.
"""

from __future__ import annotations

import os
import ssl
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from girginosvm.core.errors import Busy, HostFault, Invalid, ProblemBody, Unknown, problem_of
from girginosvm.core.timeless import timeless

T = TypeVar("T")
_LIMIT_BYTES: Final = 4 * 1024 * 1024
_CONNECT_S: Final = 5.0
_LOOK: Final = "is that its address and its port? does girginosvm run there, and does a firewall let the port through?"


def unproved() -> ssl.SSLContext:
    """Encrypted, and nobody's word: for what is compared with something known before it is used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def trusting(authority: str) -> ssl.SSLContext:
    """Only nodes whose certificate this CA (PEM) has signed. Their addresses may be any: it signs for nodes only."""
    context = timeless(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    try:
        context.load_verify_locations(cadata=authority)
    except ssl.SSLError as fault:
        raise Invalid("certificate-unreadable", f"no certificate of a CA: {fault}") from fault
    return context


async def ask(
    base: str, method: str, path: str, answers: type[T], *, context: ssl.SSLContext, body: object = None,
    deadline_s: float = 15.0,
) -> T:  # fmt: skip
    """One request to the node at ``base`` (https://HOST:PORT). The problem that it answers is raised; Busy
    ``node-unreachable``: surely not done; Unknown ``node-silent``: perhaps."""
    timeout = aiohttp.ClientTimeout(total=deadline_s, sock_connect=_CONNECT_S)
    data = None if body is None else msgspec.json.encode(body)
    headers = {"Content-Type": "application/json"} if data is not None else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.request(
                method, base.rstrip("/") + path, data=data, headers=headers, ssl=context, allow_redirects=False
            ) as answer,
        ):
            raw = await answer.content.read(_LIMIT_BYTES + 1)
            while len(raw) <= _LIMIT_BYTES and (piece := await answer.content.read(_LIMIT_BYTES)):
                raw += piece
            status = answer.status
    except aiohttp.ClientSSLError as fault:
        raise HostFault("node-strange", f"{base} shows no certificate that is trusted here: {fault}") from fault
    except aiohttp.ClientConnectorError as fault:
        raise Busy("node-unreachable", f"{base} is not reached: {_why(fault)}", hint=_LOOK, retry_after_s=2) from fault
    except (aiohttp.InvalidURL, UnicodeError) as fault:  # a label of a name may be longer than 63, or empty
        raise Invalid("url-invalid", f"{base!r} is no address of a node, as https://192.0.2.10:1997") from fault
    except (aiohttp.ClientError, TimeoutError) as fault:
        raise Unknown("node-silent", f"{base} gave no answer: {fault or type(fault).__name__}") from fault
    return _decoded(base, status, raw, answers)


async def date_of(base: str, *, context: ssl.SSLContext, deadline_s: float = 2.0) -> int:
    """The wall clock of the node at ``base``, as whatever it answers is dated (RFC 9110 6.6.1): ms UTC, the middle of
    the second. Busy ``node-unreachable`` when it does not answer so."""
    timeout = aiohttp.ClientTimeout(total=deadline_s)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.head(base.rstrip("/") + "/v1/health", ssl=context, allow_redirects=False) as answer,
        ):
            return round(parsedate_to_datetime(answer.headers["Date"]).timestamp() * 1000) + 500
    except (aiohttp.ClientError, TimeoutError, KeyError, ValueError) as fault:
        raise Busy("node-unreachable", f"{base} does not say its time: {fault or type(fault).__name__}") from fault


def _why(fault: aiohttp.ClientConnectorError) -> str:
    """In the system's words, and not in those of the library that asked."""
    number = fault.os_error.errno
    return os.strerror(number) if number and number > 0 else str(fault.os_error or fault)


def _decoded(base: str, status: int, raw: bytes, answers: type[T]) -> T:
    if len(raw) > _LIMIT_BYTES:
        raise HostFault("node-strange", f"{base} answers with more than {_LIMIT_BYTES:,} bytes")
    try:
        if status >= 400:
            found: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
            raise problem_of(_problem(found))
        return msgspec.json.decode(raw, type=answers)
    except msgspec.MsgspecError as fault:
        raise HostFault("node-strange", f"{base} answers {status}, and not as a node of ours does: {fault}") from fault


def _problem(found: dict[str, Any]) -> ProblemBody:
    code = str(found.get("type", "")).rpartition("/")[2]
    return msgspec.convert({"code": code, "retry_after_s": 0, **found}, ProblemBody, strict=False)
