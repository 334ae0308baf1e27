"""Request ids under clocks that are set back, forward, or both: a fresh one is never too old for the log."""

from girginosvm.core import ids
from girginosvm.core.clock import new_request_id

DAY_MS = 24 * 3600 * 1000
LOG_MS = 1_800_000_000_000


class Clock:
    def __init__(self, wall_ms: int) -> None:
        self.wall = wall_ms

    def wall_ms(self) -> int:
        return self.wall

    def monotonic_ms(self) -> int:
        return 0


class Counted:
    """Chance that counts, so that ids can be told apart."""

    def __init__(self) -> None:
        self._next = 0

    def take(self, count: int) -> bytes:
        self._next += 1
        return self._next.to_bytes(count)


def test_an_id_made_under_a_clock_set_back_by_days_has_the_time_of_the_log() -> None:
    made = new_request_id(Clock(LOG_MS - 3 * DAY_MS), Counted(), not_before_ms=LOG_MS)
    assert ids.uuid7_ms(made) == LOG_MS


def test_an_id_made_under_a_clock_that_is_right_or_ahead_has_the_time_of_the_clock() -> None:
    for ahead_ms in (0, 1, DAY_MS):
        made = new_request_id(Clock(LOG_MS + ahead_ms), Counted(), not_before_ms=LOG_MS)
        assert ids.uuid7_ms(made) == LOG_MS + ahead_ms


def test_ids_made_while_the_clock_goes_back_and_forth_are_all_different() -> None:
    clock, chance = Clock(LOG_MS), Counted()
    made = set()
    for step_ms in (0, -DAY_MS, 0, DAY_MS, -2 * DAY_MS, 0):
        clock.wall = LOG_MS + step_ms
        made |= {new_request_id(clock, chance, not_before_ms=LOG_MS) for _ in range(10)}
    assert len(made) == 60
    assert all(ids.is_uuid(one) and ids.uuid7_ms(one) >= LOG_MS for one in made)
