"""What processes hold and use, from /proc: memory, processor, TCP connections."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.bench.start import ticks

IDLE_S = 5.0
_ESTABLISHED = "01"  # include/net/tcp_states.h


def resident_mb(pid: int) -> float:
    row = next(row for row in Path(f"/proc/{pid}/status").read_text().splitlines() if row.startswith("VmRSS"))
    return int(row.split()[1]) / 1024


def busy(pids: Sequence[int], seconds: float = IDLE_S) -> list[float]:
    """% of a core that each uses, over a while from now on."""
    before = [ticks(Path(f"/proc/{pid}/stat")) for pid in pids]
    time.sleep(seconds)
    return [(ticks(Path(f"/proc/{pid}/stat")) - was) / seconds for pid, was in zip(pids, before, strict=True)]


class Meter:
    """User and system time of processes, ms, over all spans from a ``begin`` to its ``end``."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = pids
        self._began: list[int] = []
        self.ms = [0.0] * len(pids)

    def _now(self) -> list[int]:
        return [ticks(Path(f"/proc/{pid}/stat")) for pid in self._pids]

    def begin(self) -> None:
        self._began = self._now()

    def end(self) -> None:
        spans = zip(self.ms, self._now(), self._began, strict=True)
        self.ms = [so_far + 10.0 * (now - began) for so_far, now, began in spans]

    def each(self, writes: int) -> list[float]:
        """What each process spent for one of so many writes, ms."""
        return [one / writes for one in self.ms]


def connections(pid: int) -> int:
    """TCP connections that are up (IPv4)."""
    rows = (row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:])
    up = {f"socket:[{row[9]}]" for row in rows if row[3] == _ESTABLISHED}
    return sum(place in up for place in _open(Path(f"/proc/{pid}/fd")))


def _open(folder: Path) -> Iterable[str]:
    for one in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield str(one.readlink())
