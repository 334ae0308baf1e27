"""Waiting for an operation: one live line on a terminal, a plain line per step in a pipe. Talk goes to stderr."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import IO, Any, Final

from girginosvm.cli.client import Client
from girginosvm.cli.render import visible
from girginosvm.cli.trouble import StillRunning, Trouble, trouble_of

_FIRST_S: Final = 0.1
_LONGEST_S: Final = 2.0
# An agent that restarts under a running operation comes back; so long it may be away.
_AWAY_S: Final = 60.0
# Nobody need wait for a node that is not there: it is looked at when nothing has moved for so long.
_STILL_S: Final = 5.0
# What ends it where a guest does not do as it is asked.
_FORCED: Final = {"vm.stop": "vm stop {name} --force cuts its power", "vm.reboot": "vm reboot {name} --force resets it"}


class Teller:
    """Says how far it is. On a terminal the line is overwritten; elsewhere only what changed is printed."""

    def __init__(self, out: IO[str], terminal: bool) -> None:
        self._out = out
        self._terminal = terminal
        self._last = ""

    def tell(self, operation: dict[str, Any]) -> None:
        """Show the operation's step and progress."""
        step = str(operation.get("step") or operation.get("state") or "")
        progress = operation.get("progress")
        parts = (operation.get("kind"), operation.get("subject_name"), step)
        line = visible(" ".join(str(part) for part in parts if part))
        if self._terminal:
            full = line if progress is None else f"{line} {_bar(int(progress))}"
            self._out.write(f"\r\x1b[K{full}")
            self._out.flush()
        elif line != self._last:
            self._out.write(line + "\n")
            self._out.flush()
        self._last = line

    def note(self, line: str) -> None:
        """A line that stays."""
        self._out.write(("\r\x1b[K" if self._terminal else "") + visible(line) + "\n")
        self._out.flush()

    def end(self) -> None:
        """Clear the live line."""
        if self._terminal and self._last:
            self._out.write("\r\x1b[K")
            self._out.flush()


def _bar(percent: int) -> str:
    filled = max(0, min(20, percent // 5))
    return f"[{'#' * filled}{'.' * (20 - filled)}] {percent} %"


def until_done(
    client: Client, operation: str, teller: Teller, *, timeout_s: float | None = None,
    now: Callable[[], float] = time.monotonic, pause: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:  # fmt: skip
    """The finished operation. StillRunning after ``timeout_s``, or when its node is not there; Trouble when it failed,
    with the host's words."""
    began, step_s = now(), _FIRST_S
    watched = _Watched(client, operation, teller, now)
    try:
        while True:
            value = watched.look()
            state = value.get("state", "running")
            if state == "done":
                return value
            if state == "failed":
                raise _failed(value)
            left = None if timeout_s is None else timeout_s - (now() - began)
            if left is not None and left <= 0:
                raise StillRunning(operation)
            pause(step_s if left is None else min(step_s, left))
            step_s = min(step_s * 1.5, _LONGEST_S)
    finally:
        teller.end()


class _Watched:
    """One operation, and when it was last heard of and last moved."""

    def __init__(self, client: Client, operation: str, teller: Teller, now: Callable[[], float]) -> None:
        self._client = client
        self._operation = operation
        self._teller = teller
        self._now = now
        self._heard_s = self._moved_s = now()
        self._seen: tuple[Any, ...] = ()
        self._noted = False

    def look(self) -> dict[str, Any]:
        """How it stands, said to whoever waits; empty while nobody answers, and for so long that is borne."""
        try:
            value: dict[str, Any] = self._client.get(f"/v1/operations/{self._operation}").value
        except Trouble as trouble:
            if trouble.family not in ("Busy", "Unknown", "NoQuorum") or self._now() - self._heard_s > _AWAY_S:
                raise
            return {}
        self._heard_s = self._now()
        self._teller.tell(value)
        seen = (value.get("step"), value.get("progress"))
        if seen != self._seen:
            self._seen, self._moved_s = seen, self._heard_s
        elif value.get("state") == "running" and self._heard_s - self._moved_s >= _STILL_S:
            self._moved_s = self._heard_s
            _look_at(self._client, self._operation, str(value.get("node") or ""))
            self._say_once(_FORCED.get(str(value.get("kind")), ""), str(value.get("subject_name") or ""))
        return value

    def _say_once(self, forced: str, name: str) -> None:
        """A guest that is busy, or heeds no power button, is waited for without end: whoever waits knows what else."""
        if forced and not self._noted:
            self._noted = True
            self._teller.note(f"the guest has not done it yet; girginosvm {forced.format(name=name)}")


def _look_at(client: Client, operation: str, node: str) -> None:
    """StillRunning when the node that does the work is not there."""
    with contextlib.suppress(Trouble):  # nobody says: the operation itself is asked again, and tells what is wrong
        found = client.get(f"/v1/nodes/{node}").value if node else {}
        if found.get("state") == "silent":
            why = f"node {node} is not reached (it last reported at {found['seen_at']}), and ends this when it is back"
            raise StillRunning(operation, why)


def _failed(operation: dict[str, Any]) -> Trouble:
    problem = operation.get("problem")
    said = problem if isinstance(problem, dict) else {"detail": str(problem or "the operation failed")}
    return trouble_of(502, {"code": "operation-failed", **said})
