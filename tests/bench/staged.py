"""A process of a node that notes when a write passes its stages: ``python -m tests.bench.staged raft|agent ...``, for
``stages``. The notes (stage, nanoseconds of the host's monotonic clock) are written to ``STAGES``/PID at the end."""

from __future__ import annotations

import atexit
import functools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from girginosvm.__main__ import main

_notes: list[tuple[str, int]] = []


def note(stage: str) -> None:
    _notes.append((stage, time.monotonic_ns()))


def begins(owner: Any, method: str, stage: str, *, when: Callable[..., bool] = lambda *_: True) -> None:
    """Note each call of ``owner.method``."""
    done = getattr(owner, method)

    @functools.wraps(done)
    def noted(*args: Any, **words: Any) -> Any:
        if when(*args):
            note(stage)
        return done(*args, **words)

    setattr(owner, method, noted)


def ends(owner: Any, method: str, stage: str) -> None:
    """Note each return of ``owner.method``."""
    done = getattr(owner, method)

    @functools.wraps(done)
    def noted(*args: Any, **words: Any) -> Any:
        try:
            return done(*args, **words)
        finally:
            note(stage)

    setattr(owner, method, noted)


def of_raft() -> None:
    from girginosvm.raft import apply, cluster, flush, node, proposals, serve

    begins(cluster.Cluster, "submit", "raft: from the socket")
    begins(node.Node, "propose", "raft: in the node")
    begins(flush.ThreadFlusher, "begin", "flush: handed over", when=_has_entries)
    begins(flush, "write", "flush: begun", when=lambda _, records: _has_entries(None, 0, records))
    ends(flush, "write", "flush: done")
    begins(apply.ThreadApplier, "submit", "apply: handed over")
    begins(apply.ThreadApplier, "_do", "apply: begun")
    ends(apply.ThreadApplier, "_do", "apply: done")
    begins(proposals.Proposals, "applied", "raft: applied")
    begins(serve._Served, "_outcome", "raft: answered")


def _has_entries(_: Any, __: int, records: Any) -> bool:
    from girginosvm.raft.flush import Add

    return any(isinstance(record, Add) for record in records)


def of_agent() -> None:
    from girginosvm.http import api
    from girginosvm.raft import client, ipc

    begins(api.Api, "_stream", "agent: request parsed")
    begins(client.Client, "propose", "agent: proposed")
    begins(client.Client, "_heard", "agent: outcome heard", when=lambda _, said: isinstance(said, ipc.Answer))
    begins(api, "shown", "agent: answered")


def _keep() -> None:
    (Path(os.environ["STAGES"]) / str(os.getpid())).write_text(json.dumps(_notes))


if __name__ == "__main__":
    {"raft": of_raft, "agent": of_agent}[sys.argv[1]]()
    atexit.register(_keep)
    sys.exit(main())
