"""How old the node's certificates are, read from their files; a key in the same file is not looked at."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography import x509


class Age(msgspec.Struct, frozen=True):
    """``problem`` says why a file cannot be read; the days are 0 then."""

    path: str
    age_days: int
    days_left: int
    problem: str = ""


def age_of(path: Path, *, now: datetime | None = None) -> Age:
    """Of the first certificate in a PEM file: the one that is used."""
    now = now or datetime.now(UTC)
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as fault:
        return Age(str(path), 0, 0, str(fault) or type(fault).__name__)
    return Age(str(path), (now - found.not_valid_before_utc).days, (found.not_valid_after_utc - now).days)
