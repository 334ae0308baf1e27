"""What the contract suites share: a network namespace that this process enters and leaves."""

from __future__ import annotations

import ctypes
import os
import secrets
import subprocess
from collections.abc import Iterator

import pytest

_CLONE_NEWNET = 0x40000000


def enter(path: str) -> None:
    """This thread, and those that it starts from now on, live in the namespace at ``path``."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(descriptor)


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace of the test's own, entered; gone at the end."""
    name = f"contract-{secrets.token_hex(4)}"
    home = f"/proc/{os.getpid()}/ns/net"
    held = os.open(home, os.O_RDONLY)
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        enter(f"/run/netns/{name}")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield name
    finally:
        enter(f"/proc/self/fd/{held}")
        os.close(held)
        subprocess.run(["ip", "netns", "del", name], check=True)
