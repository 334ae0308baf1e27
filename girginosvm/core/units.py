"""Sizes: bytes inside; MiB and GiB in flags as bare numbers, with suffixes accepted."""

from __future__ import annotations

import re
from typing import Final

KIB: Final = 1024
MIB: Final = 1024**2
GIB: Final = 1024**3
TIB: Final = 1024**4

_FACTORS: Final = {
    "": 0, "b": 1, "k": KIB, "kb": KIB, "kib": KIB, "m": MIB, "mb": MIB, "mib": MIB,
    "g": GIB, "gb": GIB, "gib": GIB, "t": TIB, "tb": TIB, "tib": TIB,
}  # fmt: skip
_SIZE: Final = re.compile(r"\s*([0-9]+)\s*([a-zA-Z]*)\s*")


def size_in(text: str, unit: int) -> int:
    """``text`` as a whole number of ``unit``: ``size_in("8GiB", MIB) == 8192``, ``size_in("8192", MIB) == 8192``.

    Suffixes are binary (an operator who types 8G for a machine's memory means 8 GiB).
    ValueError when it is no size or no whole number of units.
    """
    found = _SIZE.fullmatch(text)
    factor = _FACTORS.get(found[2].lower()) if found else None
    if found is None or factor is None:
        raise ValueError(f"{text!r} is no size; try 8192, 8GiB or 512M")
    total = int(found[1]) * (factor or unit)
    if total % unit:
        raise ValueError(f"{text!r} is not a whole number of {shown(unit)}")
    return total // unit


def shown(size: int) -> str:
    """Bytes for a person: ``80 GiB``, ``1.5 GiB``, ``512 MiB``."""
    for unit, name in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if abs(size) >= unit:
            value = size / unit
            return f"{value:,.0f} {name}" if value == int(value) else f"{value:,.1f} {name}"
    return f"{size} B"
