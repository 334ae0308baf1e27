"""Serial logs: QEMU appends to them without an end, so the node keeps them to a bound."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

from girginosvm.core.units import MIB

MOST_BYTES: Final = 8 * MIB


def earlier(log: Path) -> Path:
    """Where the bytes before the last turn are."""
    return log.with_name(log.name + ".1")


def turn(log: Path, *, most_bytes: int = MOST_BYTES) -> bool:
    """When the log is larger than ``most_bytes``: its last half that many bytes become ``<log>.1``, and it starts
    over. QEMU has it open for appending (open(2), O_APPEND), so it goes on at the new end; who follows starts over
    with it. What is written in between is lost; a full disk loses the earlier bytes, never the bound."""
    with contextlib.suppress(FileNotFoundError):  # this machine has not started yet, or is being destroyed
        size = log.stat().st_size
        if size <= most_bytes:
            return False
        with contextlib.suppress(OSError), open(log, "rb") as whole, open(earlier(log), "wb") as kept:
            os.fchmod(kept.fileno(), 0o600)
            whole.seek(size - most_bytes // 2)
            shutil.copyfileobj(whole, kept)
        os.truncate(log, 0)
        return True
    return False
