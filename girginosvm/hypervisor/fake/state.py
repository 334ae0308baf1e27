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
from typing import Any, Final

import msgspec

from girginosvm.core.errors import HostFault

Sections = dict[str, Any]
_PARTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NOTHING: Final = msgspec.Raw(b"{}")


def _section(parts: dict[str, msgspec.Raw], name: str) -> Sections:
    return msgspec.json.decode(parts.get(name, _NOTHING), type=Sections)


class State:
    """The file at ``path``; made when first written. Writers exclude each other by ``<path>.lock``."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.waiting: list[str] = []  # methods whose delay is running, in this process

    def read(self) -> Sections:
        """Everything, as it is now; a missing file is an empty host."""
        return msgspec.json.decode(self._data(), type=Sections)

    def _parts(self) -> dict[str, msgspec.Raw]:
        """Everything, not yet decoded: a host with many machines is asked for one section again and again."""
        return _PARTS.decode(self._data())

    def _data(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b"{}"

    def section(self, name: str) -> Sections:
        """One section; empty when it was never written."""
        return _section(self._parts(), name)

    @contextmanager
    def edit(self, name: str) -> Iterator[Sections]:
        """One section to change; saved whole when the block ends well and something is another, not at all when it
        raises."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(f"{self.path}.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            parts = self._parts()
            section = _section(parts, name)
            before = msgspec.json.encode(section, order="sorted")
            yield section
            after = msgspec.json.encode(section, order="sorted")
            if after != before or name not in parts:
                parts[name] = msgspec.Raw(after)
                fresh = Path(f"{self.path}.new")
                fresh.write_bytes(msgspec.json.format(msgspec.json.encode(parts, order="sorted"), indent=1))
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
        parts = self._parts()
        delay_ms = _section(parts, "delays").get(method, 0)
        if delay_ms:
            self.waiting.append(method)
            try:
                await asyncio.sleep(delay_ms / 1000)
            finally:
                self.waiting.remove(method)
        if method not in _section(parts, "faults"):
            return
        with self.edit("faults") as faults:
            fault = faults.pop(method, None)
            if fault and fault["times"] > 1:
                faults[method] = {**fault, "times": fault["times"] - 1}
        if fault:
            raise HostFault(fault["code"], fault["detail"])
