"""Ids are what the standard library makes of the same numbers."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from girginosvm.core import ids

TIMES = st.integers(0, (1 << 48) - 1)
CHANCE = st.binary(min_size=10, max_size=10)


@given(TIMES, CHANCE, st.integers(1, 10**6))
def test_a_derived_id_is_the_uuid5_of_request_and_counter(at_ms: int, chance: bytes, counter: int) -> None:
    request = ids.uuid7(at_ms, chance)
    assert ids.derived(request, counter) == str(uuid.uuid5(uuid.UUID(request), str(counter)))


@given(TIMES, CHANCE)
def test_the_time_of_an_id_is_read_in_every_spelling(at_ms: int, chance: bytes) -> None:
    made = ids.uuid7(at_ms, chance)
    for spelled in (made, made.upper(), f"{{{made}}}", made.replace("-", "")):
        assert ids.uuid7_ms(spelled) == at_ms


@given(st.uuids().map(str))
def test_an_id_of_another_version_has_no_time(other: str) -> None:
    if uuid.UUID(other).version != 7:
        with pytest.raises(ValueError, match="not a UUIDv7"):
            ids.uuid7_ms(other)
