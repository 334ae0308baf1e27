"""A node whose agent has a wall clock an hour ahead of the log: ``python -m tests.scenarios.agent_ahead raft|agent``.
So it is on a host whose clock has jumped, since the log's time follows by a tenth."""

from __future__ import annotations

import sys
import time

from girginosvm.core.clock import SystemClock

AHEAD_MS = 3_600_000


def _wall_ms(self: SystemClock) -> int:
    return time.time_ns() // 1_000_000 + AHEAD_MS


if __name__ == "__main__":
    if sys.argv[1] == "agent":
        SystemClock.wall_ms = _wall_ms  # type: ignore[method-assign]
    from girginosvm.__main__ import main

    sys.exit(main())
