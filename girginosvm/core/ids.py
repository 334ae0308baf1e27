"""Identities: UUIDv7 where time helps (RFC 9562 section 5.7), UUIDv5 where replicas must agree."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from typing import Final

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UUID7: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def uuid7(at_ms: int, chance: bytes) -> str:
    """A UUIDv7 of the wall clock in ms and 10 bytes of ``chance``."""
    if len(chance) != 10:
        raise ValueError("uuid7 wants 10 bytes of chance")
    value = (at_ms & (1 << 48) - 1) << 80 | int.from_bytes(chance)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return _written(f"{value:032x}")


def _written(digits: str) -> str:
    """32 hexadecimal digits as a UUID; ``uuid.UUID`` takes five times as long."""
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def uuid7_ms(text: str) -> int:
    """The time in a UUIDv7, in ms; ValueError when it is not one."""
    if _UUID7.fullmatch(text):
        return int(text[:8] + text[9:13], 16)
    value = uuid.UUID(text)
    if value.version != 7:
        raise ValueError(f"{text} is not a UUIDv7")
    return value.int >> 80


def derived(request_id: str, counter: int) -> str:
    """The id of the ``counter``-th thing that a request makes: equal on every replica. A UUIDv5 (RFC 9562 section 5.5),
    made here since each command makes several, and ``uuid`` takes five times as long."""
    space = bytes.fromhex(request_id.replace("-", ""))
    found = hashlib.sha1(space + str(counter).encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(found[16], 16) & 3]
    return f"{found[:8]}-{found[8:12]}-5{found[13:16]}-{variant}{found[17:20]}-{found[20:32]}"


def is_uuid(text: str) -> bool:
    """Text is a UUID as we write them: lower case, with dashes."""
    return _UUID.fullmatch(text) is not None


def member_uri(cluster: str, member: str) -> str:
    """What a certificate says of a node (RFC 5280 4.2.1.6): which member it is, and of which cluster."""
    return f"urn:girginosvm:{cluster}:member:{member}"


def member_of(certificate: Mapping[str, object] | None, cluster: str) -> str:
    """The member of ``cluster`` that a verified certificate (``SSLSocket.getpeercert``) names; empty when it names
    none, or more than one."""
    names = (certificate or {}).get("subjectAltName", ())
    uris = [value for kind, value in names if kind == "URI"] if isinstance(names, tuple) else []
    prefix = member_uri(cluster, "")
    return uris[0].removeprefix(prefix) if len(uris) == 1 and uris[0].startswith(prefix) else ""
