"""How long a person waits for the command line; and what the processes take when nobody asks anything."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.table import line, median_ms
from tests.scenarios.node import REPO, Node

COMPILED = REPO / "dist/girginosvm.dist/girginosvm.bin"


def command(*argv: str) -> Callable[[], object]:
    return lambda: subprocess.run(argv, check=True, capture_output=True, cwd=REPO)


def measure(node: Node) -> None:
    """``--version`` and ``vm list``, plain and compiled; idle memory and processor."""
    nothing = median_ms(command(sys.executable, "-c", "pass"))
    words = {"--version": ["--version"], "vm list": ["--root", str(node.root), "vm", "list"]}
    for name, rest in words.items():
        line(f"{name}, plain", f"{median_ms(command(sys.executable, '-m', 'girginosvm', *rest)):.0f} ms",
             f"python -c pass: {nothing:.0f} ms")  # fmt: skip
        if COMPILED.exists():
            line(
                f"{name}, compiled",
                f"{median_ms(command(str(COMPILED), *rest)):.0f} ms",
                f"aim: {60 if name == '--version' else 150} ms",
            )
        else:
            line(f"{name}, compiled", "not built", "make exe builds it")
    for process in ("raft", "agent"):
        idle(process, node.pid(process))


def idle(name: str, pid: int, seconds: float = 5.0) -> None:
    stat = Path(f"/proc/{pid}/stat")
    before = ticks(stat)
    time.sleep(seconds)
    spent = ticks(stat) - before
    kib = next(
        int(row.split()[1]) for row in Path(f"/proc/{pid}/status").read_text().splitlines() if row.startswith("VmRSS")
    )
    line(
        f"idle: {name}",
        f"{kib / 1024:.0f} MiB, {spent / seconds:.1f} % CPU",
        "aim: raft 70, agent 100 MB, 3 % together",
    )


def ticks(stat: Path) -> int:
    """User and system time, 1/100 s (proc(5))."""
    return sum(int(part) for part in stat.read_text().rsplit(")", 1)[1].split()[11:13])
