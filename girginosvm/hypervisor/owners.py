"""Who QEMU is on this host: what libvirt says, and until it has said it the distribution's group. Files at rest are
root:<group> 0640."""

from __future__ import annotations

import contextlib
import grp
import os
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

_NAMES: Final = ("qemu", "libvirt-qemu", "kvm")  # EL, Debian, and what both have
_learned: tuple[int, int] | None = None


def learn(capabilities: str) -> tuple[int, int]:
    """User and group of QEMU out of libvirt's capabilities (what qemu.conf says, or its default), kept for the life of
    this process; our own when libvirt has no DAC label."""
    global _learned  # noqa: PLW0603 - a host has one QEMU user
    _learned = _dac_label(capabilities)
    return _learned or (os.getuid(), os.getgid())


def _dac_label(capabilities: str) -> tuple[int, int] | None:
    """The base label of the DAC model, as ``+64055:+107`` (formatcaps.html)."""
    for model in ET.fromstring(capabilities).iterfind("host/secmodel"):
        if model.findtext("model") == "dac":
            user, _, group = model.findtext("baselabel", "").replace("+", "").partition(":")
            if user.isdigit() and group.isdigit():
                return int(user), int(group)
    return None


def qemu_gid() -> int | None:
    """QEMU's group: learned, else the first of the known ones that exists."""
    if _learned is not None:
        return _learned[1]
    for name in _NAMES:
        with contextlib.suppress(KeyError):  # a distribution has one of them
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
