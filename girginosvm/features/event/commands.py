"""How long history is kept, and taking out of it what is too old."""

from typing import Annotated

import msgspec

from girginosvm.core.action import Command, action
from girginosvm.core.fields import field
from girginosvm.features.event import api
from girginosvm.features.operation import api as operations
from girginosvm.features.times import rfc3339
from girginosvm.state.history import PRUNED
from girginosvm.state.tx import Tx


@action(
    "POST /v1/events/prune", permission="event.report", summary="Take the oldest events and operations out",
    audit="took old history out", answers=dict[str, int],
)  # fmt: skip
class PruneHistory(Command, frozen=True, kw_only=True):
    """A batch of events from the beginning, and one of operations that have ended. Said by whoever leads; nothing of
    the last two days goes."""

    events_before_ms: Annotated[int, field("Events from before then, ms UTC; 0: none.", ge=0)] = 0
    operations_before_ms: Annotated[int, field("Operations that ended before then, ms UTC; 0: none.", ge=0)] = 0

    def apply(self, tx: Tx) -> dict[str, int]:
        latest = tx.at_ms - api.LEAST_MS
        old = tx.prune_events(min(self.events_before_ms, latest), api.BATCH)
        if old is not None:
            text = f"{old.gone} events up to {rfc3339(old.at_ms)} were taken out because of their age"
            tx.event(PRUNED, "event", "", text, entry=old.entry, number=old.number, chain=old.chain, events=old.events)
        ended = operations.prune(tx, min(self.operations_before_ms, latest), api.BATCH)
        if ended:
            text = f"{ended} operations that ended long ago were taken out"
            tx.event("operation.pruned", "operation", "", text)
        return {"events": old.gone if old else 0, "operations": ended}


@action(
    "POST /v1/retention", cli="retention set", permission="event.retain",
    summary="Say how long the whole cluster keeps its history", audit="changed how long history is kept",
    answers=api.Retention, destroys=True, foresees="/v1/retention",
    examples=("girginosvm retention set --event-days 730", "girginosvm retention set --operation-days 30 --yes"),
)  # fmt: skip
class SetRetention(Command, frozen=True, kw_only=True):
    """What is older goes for good, on every node, a batch a second; nothing of the last two days does. What is not
    named stays as it is."""

    event_days: api.EventDays | None = None
    operation_days: api.OperationDays | None = None

    def apply(self, tx: Tx) -> api.Retention:
        before = api.retention(tx)
        said = {"event_days": self.event_days, "operation_days": self.operation_days}
        now = msgspec.structs.replace(before, **{name: days for name, days in said.items() if days is not None})
        if now != before:
            api.retain(tx, now)
            text = f"events are kept {_days(now.event_days)}, operations that ended {_days(now.operation_days)}"
            was = f"before: {_days(before.event_days)} and {_days(before.operation_days)}"
            tx.event("event.retention", "event", "", f"{text}; {was}", **msgspec.structs.asdict(now))
        return now


def _days(count: int) -> str:
    return f"{count} days" if count else "for ever"
