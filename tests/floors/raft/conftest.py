"""What the tests of this floor share."""

from __future__ import annotations

import pysyncobj.syncobj
import pytest
from floors.raft.book import FakeClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """One time for the member and the core."""
    one = FakeClock()
    one.mono = 10_000
    monkeypatch.setattr(pysyncobj.syncobj, "monotonicTime", lambda: one.mono / 1000)
    return one
