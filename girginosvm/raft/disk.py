"""The few things the journal asks of a disk, as an argument: the real one, and in tests one that loses power."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    """Files by name in one directory. OSError says what the kernel said."""

    def names(self) -> list[str]:
        """The files there, sorted."""
        ...

    def read(self, name: str) -> bytes:
        """A whole file."""
        ...

    def size(self, name: str) -> int:
        """A file's length in bytes."""
        ...

    def piece(self, name: str, offset: int, length: int) -> bytes:
        """Some of a file; fewer bytes at its end."""
        ...

    def create(self, name: str, size: int) -> None:
        """A file of ``size`` zeroes, its room really taken, its name durable."""
        ...

    def write(self, name: str, offset: int, data: bytes) -> None:
        """Bytes at an offset; durable after ``flush`` only."""
        ...

    def flush(self, name: str) -> None:
        """What was written to a file is durable (fdatasync(2))."""
        ...

    def remove(self, name: str) -> None:
        """Gone, durably."""
        ...

    def close(self) -> None:
        """Let go of handles."""
        ...


class RealDisk:
    """A directory, locked (flock(2)) so that two processes never write one journal."""

    def __init__(self, directory: Path) -> None:
        import fcntl

        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = directory
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._handles: dict[str, int] = {}
        try:
            fcntl.flock(self._directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._directory)
            raise
        # A process that died while it made a file left a name that a power loss could still take.
        os.fsync(self._directory)
        _sync_directory(directory.parent)

    def names(self) -> list[str]:
        return sorted(os.listdir(self._path))

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()

    def size(self, name: str) -> int:
        return os.fstat(self._handle(name)).st_size

    def piece(self, name: str, offset: int, length: int) -> bytes:
        return os.pread(self._handle(name), length, offset)

    def create(self, name: str, size: int) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        handle = os.open(name, flags, 0o600, dir_fd=self._directory)
        try:
            os.posix_fallocate(handle, 0, size)
            os.fsync(handle)
            os.fsync(self._directory)
        except OSError:
            os.close(handle)
            os.unlink(name, dir_fd=self._directory)
            raise
        self._handles[name] = handle

    def write(self, name: str, offset: int, data: bytes) -> None:
        handle = self._handle(name)
        while data:
            written = os.pwrite(handle, data, offset)
            data, offset = data[written:], offset + written

    def flush(self, name: str) -> None:
        os.fdatasync(self._handle(name))

    def remove(self, name: str) -> None:
        handle = self._handles.pop(name, None)
        if handle is not None:
            os.close(handle)
        os.unlink(name, dir_fd=self._directory)
        os.fsync(self._directory)

    def close(self) -> None:
        for handle in self._handles.values():
            os.close(handle)
        self._handles.clear()
        os.close(self._directory)

    def _handle(self, name: str) -> int:
        if name not in self._handles:
            self._handles[name] = os.open(name, os.O_RDWR | os.O_CLOEXEC, dir_fd=self._directory)
        return self._handles[name]


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
