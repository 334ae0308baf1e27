"""Uploads at the same time share the room that there is."""

import contextlib
import os
from pathlib import Path

import pytest

from girginosvm.core.errors import HostFault, Invalid, Problem
from girginosvm.core.units import GIB, MIB
from girginosvm.daemon.arrivals import Arrivals


def free(folder: Path) -> int:
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize


def test_however_many_come_together_they_are_promised_less_than_there_is(tmp_path: Path) -> None:
    arrivals, before, promised = Arrivals(), free(tmp_path), 0
    with contextlib.ExitStack() as running:
        with contextlib.suppress(HostFault):
            for _ in range(100):
                promised += running.enter_context(arrivals.room(tmp_path, None, most=2**62))[1]
        with pytest.raises(HostFault, match="no image fits"):
            running.enter_context(arrivals.room(tmp_path, 1, most=GIB))
    assert promised < before


def test_two_that_fit_only_one_by_one_do_not_come_together(tmp_path: Path) -> None:
    arrivals, size = Arrivals(), free(tmp_path) * 2 // 5
    with contextlib.ExitStack() as running:
        running.enter_context(arrivals.room(tmp_path, size, most=2**62))
        with pytest.raises(Invalid, match="are accepted"):
            running.enter_context(arrivals.room(tmp_path, size, most=2**62))
    with arrivals.room(tmp_path, size, most=2**62) as (_, limit):
        assert limit == size


def test_what_has_arrived_is_not_counted_twice_and_an_ended_upload_gives_its_room_back(tmp_path: Path) -> None:
    arrivals = Arrivals()
    with arrivals.room(tmp_path, 64 * MIB, most=GIB) as (path, limit):
        assert limit == 64 * MIB
        assert arrivals._missing(path, limit) == limit
        path.write_bytes(b"a" * MIB)
        assert arrivals._missing(path, limit) == limit - MIB
    assert arrivals._promised == {}


def test_a_file_that_is_said_to_be_too_large_is_refused_before_a_byte_of_it(tmp_path: Path) -> None:
    with pytest.raises(Problem) as refused, Arrivals().room(tmp_path, 2 * MIB, most=MIB):
        pass
    assert isinstance(refused.value, Invalid)
    assert refused.value.code == "body-too-large"
