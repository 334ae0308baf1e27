"""Fixtures of the lab: a host for each module of tests, and the guests' images."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import debian as debian_guest
from tests.lab import guest
from tests.lab.host import LabHost


@pytest.fixture(scope="session")
def tiny() -> Path:
    """The tiny guest's disk image."""
    return guest.tiny()


@pytest.fixture(scope="session")
def debian() -> Path:
    """A real Debian's disk image, with cloud-init."""
    return debian_guest.debian()


@pytest.fixture(scope="module")
def host() -> Iterator[LabHost]:
    """A host of its own for the tests of one module."""
    with LabHost() as one:
        yield one
