"""What the library does to the whole process when it is imported is undone."""

import subprocess
import sys

import pytest

SEEN = """
import socket
import girginosvm.raft.{module}
assert socket.inet_ntop(socket.AF_INET, bytes([192, 0, 2, 1])) == "192.0.2.1"
assert socket.inet_pton(socket.AF_INET, "192.0.2.1") == bytes([192, 0, 2, 1])
"""


@pytest.mark.parametrize("module", ["log", "core", "seams", "node", "cluster"])
def test_addresses_can_still_be_printed(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SEEN.format(module=module)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
