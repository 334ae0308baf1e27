"""A fresh engine for each test."""

from collections.abc import Iterator

import pytest
from features.engine import Engine


@pytest.fixture
def engine() -> Iterator[Engine]:
    one = Engine()
    yield one
    one.close()
