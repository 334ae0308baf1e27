"""The command line as a process of its own, for what only a process can do: end early, or be interrupted."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

# What a shell starts in the background ignores SIGINT, and so would all that a test run there starts.
HEEDS_CTRL_C = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, "-m", "girginosvm", *sys.argv[1:]])
"""


def spoken(agent: Any, *words: str, together: bool = False) -> "subprocess.Popen[bytes]":
    """A process of its own. ``together``: what it says comes in the same pipe as what it answers."""
    environment = {**os.environ, "GIRGINOSVM_SOCKET": agent.socket_path}
    # Tests started in the background of a shell ignore SIGINT, and so would their children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(
        [sys.executable, "-c", HEEDS_CTRL_C, *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT if together else subprocess.PIPE, env=environment,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
