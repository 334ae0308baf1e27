"""From a cluster of one into another cluster: what was prepared takes the place of what was, part by part.

A node that is to join writes everything that it will need under ``join/`` (``prepare``), last of all ``join/ready``.
From then on it has joined: ``finish``, at the start of each life of the raft process, moves the old parts into an
archive and the new ones to where they belong. Every step finds out whether it was done, so a crash between any two is
finished by the next start; a crash before ``ready`` leaves the node as it was.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from girginosvm.core.errors import HostFault, disk_fault
from girginosvm.core.log import Log
from girginosvm.core.points import reach
from girginosvm.core.units import MIB, shown
from girginosvm.daemon.durable import flush, write

# In this order: the journal's folder has the identity in it, and goes last of those that a start looks at.
_PARTS: Final = ("pki", "db", "raft")
_ROOM_BYTES: Final = 64 * MIB  # a journal's first segment is 16 MiB
_turn: Final = threading.Lock()  # who joins and leaves at once does one after the other


class Ready(msgspec.Struct, frozen=True):
    """The last file of a preparation: where the old parts go, below ``archive/``."""

    archive: str


def check(home: Path) -> None:
    """Could the parts take each other's places, and is there room for new ones? Asked before anybody is told of it:
    HostFault ``parts-apart``, ``disk-full``."""
    device = home.stat().st_dev
    for part in (home / name for name in _PARTS):
        if part.exists() and part.lstat().st_dev != device:  # a link to elsewhere is moved as what it is
            raise HostFault(
                "parts-apart", f"{part} is a file system of its own: its folder cannot be moved away, nor another one "
                "into its place",
                hint=f"systemctl stop girginosvm girginosvm-raft; put what is in {part} into a folder of {home}",
            )  # fmt: skip
    room = os.statvfs(home)
    if room.f_bavail * room.f_frsize < _ROOM_BYTES:
        raise HostFault("disk-full", f"{home} has {shown(room.f_bavail * room.f_frsize)} left: that is not enough")


def prepare(home: Path, files: Mapping[str, bytes], *, archive: str) -> None:
    """Write ``files`` (paths below ``join/``) durably, then say that they are whole. What an attempt before left there
    is thrown away. HostFault ``disk-full``, ``join-unfinished``: nothing has changed."""

    def fill(folder: Path) -> None:
        for name, data in sorted(files.items()):
            write(folder / name, data)

    _prepare(home, fill, archive)


def go_back(home: Path, before: str, *, archive: str) -> None:
    """As ``prepare``, with what lies in the archive ``before``."""

    def fill(folder: Path) -> None:
        for part in _PARTS:
            shutil.copytree(home / "archive" / before / part, folder / part, dirs_exist_ok=True)
            for at, _, names in os.walk(folder / part):
                for name in names:
                    flush(Path(at, name))
                flush(Path(at))

    _prepare(home, fill, archive)


def _prepare(home: Path, fill: Callable[[Path], None], archive: str) -> None:
    try:
        with _turn:
            _prepared(home, fill, archive)
    except OSError as fault:
        raise disk_fault("join-unfinished", f"{home / 'join'} could not be written", fault) from fault


def _prepared(home: Path, fill: Callable[[Path], None], archive: str) -> None:
    folder = home / "join"
    if (folder / "ready").exists():
        raise HostFault("joining-already", f"{folder} holds a preparation that the next start of this node finishes")
    shutil.rmtree(folder, ignore_errors=True)
    for part in _PARTS:
        (folder / part).mkdir(parents=True, mode=0o700)
    fill(folder)
    for part in _PARTS:
        flush(folder / part)
    flush(folder)
    reach("join.ready:before")
    write(folder / "ready", msgspec.json.encode(Ready(archive)))
    flush(folder)
    flush(home)
    reach("join.ready:after")


def finish(home: Path, log: Log) -> bool:
    """Bring a preparation to its end, if there is a whole one; answers whether there was."""
    folder = home / "join"
    ready = folder / "ready"
    if not ready.exists():
        return False
    try:
        archive = home / "archive" / msgspec.json.decode(ready.read_bytes(), type=Ready).archive
        archive.mkdir(parents=True, exist_ok=True, mode=0o700)
        for part in _PARTS:
            if not (folder / part).exists():
                continue  # it took its place before
            if (home / part).exists():
                reach(f"join.archive-{part}:before")
                os.rename(home / part, archive / part)
                flush(archive)
            reach(f"join.place-{part}:before")
            os.rename(folder / part, home / part)
            flush(home)
        (archive / "raft" / "bring").unlink(missing_ok=True)  # secrets in clear, for a cluster that never got them
        reach("join.done:before")
        shutil.rmtree(folder)
        flush(home)
    except (OSError, msgspec.MsgspecError) as fault:
        raise HostFault("join-unfinished", f"{folder} cannot take the place of what was: {fault}") from fault
    log.info("join.finished", archive=str(archive))
    return True
