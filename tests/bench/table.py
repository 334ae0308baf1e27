"""The table that ``make bench`` prints: what, ours, what it is compared with. Medians; printed, never asserted."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path


def line(what: str, ours: str, beside: str = "") -> None:
    """One row."""
    print(f"{what:<50} {ours:>22}   {beside}", flush=True)


def ratio(ours: float, other: float) -> str:
    return f"{ours / other:.2f}x" if other else "-"


def median_ms(deed: Callable[[], object], runs: int = 20) -> float:
    """Median wall time of ``runs`` calls."""
    took = []
    for _ in range(runs):
        began = time.perf_counter()
        deed()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def spread(values: Iterable[float], unit: str) -> str:
    """Median, and the least and the most."""
    found = sorted(values)
    return f"{statistics.median(found):,.1f} {unit} ({found[0]:,.1f}-{found[-1]:,.1f})"


def times(took: Iterable[float]) -> str:
    """Median and 99th percentile of what writes took, ms."""
    found = sorted(took)
    return f"p50 {found[len(found) // 2]:.1f} ms, p99 {found[int(len(found) * 0.99)]:.1f} ms"


def file_system(path: Path) -> str:
    """Device and type of the file system that ``path`` lies on (proc(5), mountinfo)."""
    best, kind = "", "?"
    for row in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = row.partition(" - ")
        place = before.split()[4]
        if os.path.commonpath([place, path.resolve()]) == place and len(place) >= len(best):
            best, kind = place, f"{after.split()[0]} on {after.split()[1]}"
    return kind


def machine(folder: Path) -> None:
    """What of this machine the figures depend on."""
    model = next(
        (
            row.partition(":")[2].strip()
            for row in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in row
        ),
        platform.machine(),
    )
    print(
        f"{len(os.sched_getaffinity(0))} cores of {model}, load {os.getloadavg()[0]:.1f}; "
        f"{folder} is {file_system(folder)}"
    )
    print(f"kernel {platform.release()}, Python {sys.version.split()[0]}; clients and servers share the cores")
    line("what", "ours", "beside")
