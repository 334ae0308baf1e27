"""Logs: one event, one line. JSON to stderr, human on a terminal. Never a secret."""

from __future__ import annotations

import sys
import time
from typing import Final, TextIO

import msgspec

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_COLOURS: Final = {"debug": "2", "info": "0", "warning": "33", "error": "31"}


class Log:
    """Writes lines of ``event`` and fields, each with what it was bound to."""

    def __init__(self, out: TextIO | None = None, *, level: str = "info", bound: dict[str, object] | None = None):
        self._out = out
        self._level = level
        self._bound = bound or {}

    def bind(self, **fields: object) -> Log:
        """The same log, each line with ``fields`` too."""
        return Log(self._out, level=self._level, bound={**self._bound, **fields})

    def debug(self, event: str, **fields: object) -> None:
        self._write("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        if _LEVELS[level] < _LEVELS[self._level]:
            return
        out = self._out or sys.stderr
        now = time.time()
        if out.isatty():
            rest = " ".join(f"{name}={value}" for name, value in {**self._bound, **fields}.items())
            stamp = time.strftime("%H:%M:%S", time.gmtime(now))
            line = f"\x1b[2m{stamp}\x1b[0m \x1b[{_COLOURS[level]}m{event}\x1b[0m {rest}"
        else:
            row = {"at_ms": int(now * 1000), "level": level, "event": event, **self._bound, **fields}
            line = msgspec.json.encode(row, enc_hook=str).decode()
        out.write(line + "\n")
        out.flush()
