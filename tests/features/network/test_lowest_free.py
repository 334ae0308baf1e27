"""Which address is free: the same as looking at one after the other."""

from hypothesis import given
from hypothesis import strategies as st

from girginosvm.features.network.addresses import Leased, lowest_free


@given(st.integers(0, 40), st.integers(0, 40), st.sets(st.integers(0, 90)))
def test_it_is_the_one_that_is_found_by_trying_one_after_the_other(first: int, more: int, taken: set[int]) -> None:
    def leased(low: int, high: int) -> Leased:
        between = {one for one in taken if low <= one <= high}
        return Leased(len(between), max(between, default=None))

    last = first + more
    tried = next((one for one in range(first, last + 1) if one not in taken), None)
    assert lowest_free(first, last, leased) == tried
