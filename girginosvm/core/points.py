"""Kill points: the places where a process may die with the world half changed.

Each await that leaves the process is surrounded by ``reach("<port>.<method>:before")`` and ``:after``. Without
``GIRGINOSVM_POINTS_*`` in the environment ``reach`` is a no-op. The crash tests list the points from the code,
run the deed once per point with ``GIRGINOSVM_POINTS_KILL=<process>/<name>[#n]`` (SIGKILL to itself at the n-th
visit) and fail when one is not covered; ``GIRGINOSVM_POINTS_LOG=FILE`` appends each visited point to a file. With
``GIRGINOSVM_POINTS_FUSE=FILE`` a process dies at the point whose name that file holds, and takes the file along: the
test writes it when the deed begins, and it burns once, so that one node lives through many deaths.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Final

_seen: dict[str, int] = {}
_process = "?"


def _burnt(fuse: str, point: str) -> bool:
    """Whether the fuse was lit for this point; then it is gone."""
    try:
        with open(fuse, encoding="utf-8") as file:
            if file.read() != point:
                return False
        os.unlink(fuse)
    except FileNotFoundError:
        return False
    return True


def _watch(log: str, kill: str, fuse: str) -> Callable[[str], None]:
    wanted, _, nth = kill.partition("#")

    def reach(name: str) -> None:
        point = f"{_process}/{name}"
        _seen[point] = _seen.get(point, 0) + 1
        if log:
            with open(log, "a", encoding="utf-8") as out:
                out.write(point + "\n")
        if (fuse and _burnt(fuse, point)) or (point == wanted and _seen[point] == int(nth or 1)):
            os.kill(os.getpid(), signal.SIGKILL)

    return reach


def _nothing(name: str) -> None:
    """Production: no watcher, no cost."""


_LOG: Final = os.environ.get("GIRGINOSVM_POINTS_LOG", "")
_KILL: Final = os.environ.get("GIRGINOSVM_POINTS_KILL", "")
_FUSE: Final = os.environ.get("GIRGINOSVM_POINTS_FUSE", "")
reach: Final = _watch(_LOG, _KILL, _FUSE) if _LOG or _KILL or _FUSE else _nothing


def name_process(name: str) -> None:
    """Say which process this is (``raft``, ``agent``): the first half of a point's name."""
    global _process  # noqa: PLW0603 - one process has one name
    _process = name
