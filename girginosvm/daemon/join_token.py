"""The token that a node joins with: a secret, and which cluster it is for."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from girginosvm.core.errors import Invalid

SECRET_BYTES: Final = 16
_PREFIX: Final = "ops-"


def token_of(secret: bytes, fingerprint: str) -> str:
    """A token to join with: 16 bytes of chance, and the SHA-256 of the cluster's CA."""
    return _PREFIX + base64.urlsafe_b64encode(secret + bytes.fromhex(fingerprint)).decode()


def fingerprint_in(token: str) -> str:
    """The fingerprint that a token carries; Invalid ``join-token-unreadable``."""
    try:
        raw = base64.urlsafe_b64decode(token.removeprefix(_PREFIX))
    except ValueError:
        raw = b""
    if not token.startswith(_PREFIX) or len(raw) != SECRET_BYTES + 32:
        raise Invalid("join-token-unreadable", "this is no token of `membership token create`: it is not whole")
    return raw[SECRET_BYTES:].hex()


def digest(token: str) -> str:
    """What is stored of a token: it has 128 bits of chance, so a plain SHA-256 is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
