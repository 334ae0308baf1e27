"""The state of a fake host: one JSON file that several processes may share.

Sections are dicts of their port's own making (``domains``, ``volumes``, ...). Two sections belong to the tests:
``faults`` (method -> code, detail, times) and ``delays`` (method -> milliseconds), see ``State.visit``.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from girginosvm.core.errors import HostFault

Sections = dict[str, Any]


def _sections(data: bytes) -> Sections:
    return msgspec.json.decode(data, type=Sections)


class State:
    """The file at ``path``; made when first written. Writers exclude each other by ``<path>.lock``."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.waiting: list[str] = []  # methods whose delay is running, in this process

    def read(self) -> Sections:
        """Everything, as it is now; a missing file is an empty host."""
        return _sections(self._data())

    def _data(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b"{}"

    def section(self, name: str) -> Sections:
        """One section; empty when it was never written."""
        found: Sections = self.read().get(name, {})
        return found

    @contextmanager
    def edit(self, name: str) -> Iterator[Sections]:
        """One section to change; saved whole when the block ends well and something is another, not at all when it
        raises."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(f"{self.path}.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = self._data()
            sections = _sections(before)
            yield sections.setdefault(name, {})
            after = msgspec.json.format(msgspec.json.encode(sections, order="sorted"), indent=1)
            if after != before:
                fresh = Path(f"{self.path}.new")
                fresh.write_bytes(after)
                os.replace(fresh, self.path)

    def fail(self, method: str, code: str, detail: str, *, times: int = 1) -> None:
        """The next ``times`` calls of ``method`` (``domains.start``) end in this HostFault, without effect."""
        with self.edit("faults") as faults:
            faults[method] = {"code": code, "detail": detail, "times": times}

    def delay(self, method: str, delay_ms: int) -> None:
        """Every call of ``method`` takes this long before its effect; 0 ends that."""
        with self.edit("delays") as delays:
            delays[method] = delay_ms

    async def visit(self, method: str) -> None:
        """What each method of a fake port does first: wait as told, then fail as told."""
        sections = self.read()
        delay_ms = sections.get("delays", {}).get(method, 0)
        if delay_ms:
            self.waiting.append(method)
            try:
                await asyncio.sleep(delay_ms / 1000)
            finally:
                self.waiting.remove(method)
        if method not in sections.get("faults", {}):
            return
        with self.edit("faults") as faults:
            fault = faults.pop(method, None)
            if fault and fault["times"] > 1:
                faults[method] = {**fault, "times": fault["times"] - 1}
        if fault:
            raise HostFault(fault["code"], fault["detail"])
