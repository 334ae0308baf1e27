"""QEMU's group on this host: looked up, not assumed. Files at rest are root:<group> 0640."""

from __future__ import annotations

import contextlib
import grp
import os
from pathlib import Path
from typing import Final

_NAMES: Final = ("qemu", "libvirt-qemu", "kvm")  # EL, Debian, and what both have


def qemu_gid() -> int | None:
    """The first of the known groups that exists."""
    for name in _NAMES:
        with contextlib.suppress(KeyError):
            return grp.getgrnam(name).gr_gid
    return None


def give(path: Path, mode: int) -> None:
    """``root:<qemu>`` and ``mode``. Without root (the fake host) only the mode."""
    path.chmod(mode)
    group = qemu_gid()
    if os.geteuid() == 0 and group is not None:
        os.chown(path, 0, group)


def directory(path: Path, mode: int) -> None:
    """A directory of ours; its parents get 0751, so that QEMU may pass through."""
    missing = [path, *path.parents]
    for one in reversed([part for part in missing if not part.exists()]):
        one.mkdir(mode=0o751, exist_ok=True)
        one.chmod(0o751)
    give(path, mode)


def flush(path: Path) -> None:
    """Make a file's or a directory's content durable (fsync(2))."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
