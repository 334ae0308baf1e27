"""Replay a recorded log: ``python -m tests.features.replay FILE`` prints a fingerprint a line, as the golden file has
them. A program, so that it can run under a hash seed of its own."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from girginosvm.core import codec
from girginosvm.core.entries import Entry
from girginosvm.core.log import Log
from girginosvm.features.registry import REGISTRY
from girginosvm.state import db as dbs
from girginosvm.state.fingerprint import fingerprint
from girginosvm.state.machine import Machine


def read(path: Path) -> tuple[Entry, ...]:
    """The entries of a recorded log."""
    return msgspec.msgpack.decode(path.read_bytes(), type=tuple[Entry, ...])


def replay(entries: tuple[Entry, ...]) -> Iterator[str]:
    """Entry by entry: index, what was said, how it ended, and the fingerprint behind it."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "state.db")
        machine = Machine(path, REGISTRY, Log(), incarnation="test")
        reader = dbs.open_reader(path)
        for entry in entries:
            applied = machine.apply(entry)
            said = " ".join(codec.envelope(command).name for command in entry.commands)
            ends = [codec.outcome(outcome).problem for outcome in applied.outcomes]
            ended = " ".join(problem.code if problem else "done" for problem in ends)
            yield f"{entry.index} {said} {ended} {fingerprint(reader).digest}"
        reader.close()
        machine.close()


if __name__ == "__main__":
    for line in replay(read(Path(sys.argv[1]))):
        sys.stdout.write(line + "\n")
