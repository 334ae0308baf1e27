"""What the tests of this floor share."""

from __future__ import annotations

import pysyncobj.syncobj
import pytest
from floors.raft.book import FakeClock
from floors.raft.stand import Stand


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """One time for the member and the core."""
    one = FakeClock()
    one.mono = 10_000
    monkeypatch.setattr(pysyncobj.syncobj, "monotonicTime", lambda: one.mono / 1000)
    return one


@pytest.fixture
def stand(clock: FakeClock) -> Stand:
    """One of three members, on that time."""
    return Stand(clock=clock)
