"""Files of this node that are there whole or not at all, whenever the power goes (fsync(2), rename(2))."""

from __future__ import annotations

import os
from pathlib import Path

from girginosvm.core.points import reach


def write(path: Path, data: bytes) -> None:
    """The content, for us alone (0600). The name outlives the power once the folder is flushed, too."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def replace(path: Path, data: bytes, *, point: str) -> None:
    """This content instead of what was there: written aside, flushed, renamed. ``point`` names the two kill points
    around the moment at which it becomes so."""
    aside = path.with_suffix(".new")
    write(aside, data)
    reach(f"{point}:before")
    os.rename(aside, path)
    flush(path.parent)
    reach(f"{point}:after")


def flush(path: Path) -> None:
    """Which files a folder has, or what is in a file that somebody else has written."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
