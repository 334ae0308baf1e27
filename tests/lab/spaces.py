"""A process 1 in namespaces of its own, and all that lives and dies with it.

The end of process 1 is the end of everything in its pid namespace; the kernel takes mounts and network devices with the
last process that sees them. Process 1 ends when its owner does (also by SIGKILL), unless it is ``kept``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

INIT = Path(__file__).with_name("init.py")

T = TypeVar("T")


class LabFault(Exception):
    """The lab could not do what was asked; the text says what it saw."""


def until(look: Callable[[], T | None], seconds: float, what: str) -> T:
    """Look every 50 ms until there is something (nothing empty); LabFault with ``what`` after ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise LabFault(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.05)


def start_ticks(pid: int) -> str:
    """When a process started, so that a recycled pid is never taken for it; empty when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def ran(argv: list[str], check: bool, timeout: float, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with ``given`` on its standard input; LabFault with its words when it fails and ``check``."""
    done = subprocess.run(
        argv, text=True, capture_output=True, input=given or "", cwd="/", timeout=timeout, check=False
    )
    if check and done.returncode:
        raise LabFault(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
    return done


class Spaces:
    """One set of namespaces. ``state`` has ``init.pid`` and ``console.log``; it belongs to the caller."""

    def __init__(self, state: Path, *, kept: bool = False) -> None:
        self.state = state
        self.kept = kept
        self.pid = 0
        self._unshare: subprocess.Popen[bytes] | None = None

    def start(self, kinds: tuple[str, ...], *words: str) -> None:
        """Run ``init.py`` with ``words`` as process 1 of new namespaces of these ``kinds`` (unshare(1))."""
        flags = [f"--{kind}" for kind in (*kinds, "pid")]
        end = "keep" if self.kept else "watch"
        with (self.state / "console.log").open("ab") as log:
            self._unshare = subprocess.Popen(
                ["unshare", *flags, "--fork", "--kill-child", sys.executable, str(INIT), *words, end],
                stdin=subprocess.DEVNULL if self.kept else subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        self.pid = int(until(lambda: next(iter(children.read_text().split()), None), 10, f"process 1 of {self.state}"))
        (self.state / "init.pid").write_text(f"{self.pid} {start_ticks(self.pid)}\n")

    def find(self) -> bool:
        """Take over those that were kept under ``state``; whether they still run."""
        try:
            pid, ticks = (self.state / "init.pid").read_text().split()
        except (OSError, ValueError):
            return False
        if start_ticks(int(pid)) != ticks:
            return False
        self.pid = int(pid)
        return True

    def alive(self) -> None:
        """LabFault with its last words when process 1 has ended by itself."""
        if self._unshare is not None and self._unshare.poll() is not None:
            raise LabFault(f"{self.state} died:\n{(self.state / 'console.log').read_text()}")

    def end(self) -> None:
        """SIGKILL for everything in it. May be called again."""
        if self.pid and start_ticks(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        if self._unshare is not None:
            if not self.pid:
                self._unshare.kill()
            self._unshare.wait(timeout=30)
            if self._unshare.stdin:
                self._unshare.stdin.close()
            self._unshare = None
        elif self.pid:
            until(lambda: not start_ticks(self.pid), 30, f"the end of {self.state}")
        self.pid = 0

    def processes(self) -> list[int]:
        """The pids, as seen from outside, of everything in it."""
        mine = os.readlink(f"/proc/{self.pid}/ns/pid")
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and os.readlink(entry / "ns/pid") == mine:
                    found.append(int(entry.name))
        return found
