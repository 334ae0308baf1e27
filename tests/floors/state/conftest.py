"""A bench with toys, fresh for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.floors.state.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    one = Bench(tmp_path / "db/state.db")
    yield one
    one.close()
