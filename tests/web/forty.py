"""Forty machines on three nodes, for tests of nodes: each begins with nodes that reach each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def daemon(running: Any) -> Iterator[Any]:
    with running(40) as one:
        yield one


@pytest.fixture(autouse=True)
def whole(daemon: Any) -> Iterator[None]:
    """Each test begins with three nodes that reach each other, and leaves them so."""
    stand, nodes = daemon.stand, dict(daemon.stand.world["nodes"])
    yield
    stand.world["nodes"] = nodes
    stand.centers, stand.away, stand.drained, stand.deeds, stand.asked = {}, set(), set(), [], []
    stand.lone = stand.witness = False
