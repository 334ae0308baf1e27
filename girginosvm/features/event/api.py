"""The door of events: how long the history is kept, and whether enough of it is too old."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from girginosvm.core.fields import field
from girginosvm.state.reader import Reader
from girginosvm.state.tx import Tx

# So many go with one entry of the log: a few milliseconds of applying.
BATCH: Final = 500
DAY_MS: Final = 24 * 3600 * 1000
# Nothing younger goes, whatever is asked: outcomes of requests are remembered for a day and name their operation.
LEAST_MS: Final = 2 * DAY_MS
EventDays = Annotated[int, field("Days that events are kept; 0: for ever.", ge=0, le=36_500)]
OperationDays = Annotated[int, field("Days that operations are kept once they ended; 0: for ever.", ge=0, le=36_500)]


class Retention(msgspec.Struct, frozen=True):
    """How many days events, and operations that have ended, are kept on every node; 0: for ever."""

    event_days: int = 400
    operation_days: int = 90


def retention(db: Reader | Tx) -> Retention:
    """As the cluster was founded with, or as somebody has changed it since."""
    row = db.one("SELECT event_days, operation_days FROM retention")
    return Retention(**row) if row else Retention()


def retain(tx: Tx, wanted: Retention) -> None:
    """From here on."""
    tx.run("DELETE FROM retention")
    tx.insert("retention", one=1, event_days=wanted.event_days, operation_days=wanted.operation_days)


def due(reader: Reader, before_ms: int) -> bool:
    """A whole batch of events is from before ``before_ms``: taking out each one as it grows old would write one for
    each that goes."""
    row = reader.one("SELECT at_ms FROM event ORDER BY log_index, n LIMIT 1 OFFSET ?", (BATCH - 1,))
    return row is not None and row["at_ms"] < before_ms
