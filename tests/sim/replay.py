"""A seed, told again by other processes: what a run hangs on, beside its seed, would show."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def traces(code: str) -> list[str]:
    """What ``code`` prints, in a process each under another hash seed."""
    path = os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "tests")))
    return [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True,
            env={"PYTHONPATH": path, "PYTHONHASHSEED": seed},
        ).stdout.removesuffix("\n")
        for seed in ("1", "2")
    ]  # fmt: skip
