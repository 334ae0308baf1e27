"""Sizes as operators type them."""

import pytest

from girginosvm.core.units import GIB, MIB, shown, size_in


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [("8192", MIB, 8192), ("8GiB", MIB, 8192), ("8G", MIB, 8192), ("80", GIB, 80), ("1TiB", GIB, 1024)],
)
def test_a_bare_number_is_in_the_flags_unit_and_a_suffix_wins(text: str, unit: int, value: int) -> None:
    assert size_in(text, unit) == value


@pytest.mark.parametrize("text", ["", "-1", "8 parsecs", "1.5G", "512M", "0x10"])
def test_what_is_no_whole_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        size_in(text, GIB)


def test_sizes_are_shown_in_the_largest_unit_that_fits() -> None:
    assert [shown(n) for n in (80 * GIB, 3 * GIB // 2, 512 * MIB, 12)] == ["80 GiB", "1.5 GiB", "512 MiB", "12 B"]
