"""The door of events: whether enough of the history is too old."""

from __future__ import annotations

from typing import Final

from girginosvm.state.reader import Reader

# So many go with one entry of the log: a few milliseconds of applying.
BATCH: Final = 500
DAY_MS: Final = 24 * 3600 * 1000
# Nothing younger goes, whatever is asked: outcomes of requests are remembered for a day and name their operation.
LEAST_MS: Final = 2 * DAY_MS


def due(reader: Reader, before_ms: int) -> bool:
    """A whole batch of events is from before ``before_ms``: taking out each one as it grows old would write one for
    each that goes."""
    row = reader.one("SELECT at_ms FROM event ORDER BY log_index, n LIMIT 1 OFFSET ?", (BATCH - 1,))
    return row is not None and row["at_ms"] < before_ms
