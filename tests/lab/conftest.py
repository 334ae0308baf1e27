"""Fixtures of the lab: a host for each module of tests, and the tiny guest's image."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import guest
from tests.lab.host import LabHost


@pytest.fixture(scope="session")
def tiny() -> Path:
    """The tiny guest's disk image."""
    return guest.tiny()


@pytest.fixture(scope="module")
def host() -> Iterator[LabHost]:
    """A host of its own for the tests of one module."""
    with LabHost() as one:
        yield one
