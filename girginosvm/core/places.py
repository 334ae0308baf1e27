"""Where somebody listens: ``192.0.2.1:1995`` or ``[2001:db8::1]:1995``. An IP address: a name could take seconds to
resolve, in the thread that elects."""

from __future__ import annotations

import ipaddress


def place_of(text: str) -> tuple[str, int]:
    """IP address and port; ValueError when it is none."""
    host, _, port = text.rpartition(":")
    found = str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16):
        raise ValueError(f"{port!r} is no port")
    return found, int(port)


def is_place(text: str) -> bool:
    """It is one."""
    try:
        place_of(text)
    except ValueError:
        return False
    return True
