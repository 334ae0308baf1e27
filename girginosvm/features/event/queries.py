"""Reading events. Their rows belong to the state floor, which chains them."""

from typing import Annotated, Final

import msgspec

from girginosvm.core.action import Page, Query, Stream, Walk, action
from girginosvm.core.errors import HostFault, Invalid
from girginosvm.core.fields import field
from girginosvm.core.words import Said, read
from girginosvm.features.event.api import Retention, retention
from girginosvm.features.times import rfc3339
from girginosvm.state.history import Mark
from girginosvm.state.page import page
from girginosvm.state.reader import Reader


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of history. ``text_said`` is what ``text`` was made of, for whoever says it in another language; null
    where there is no such sentence."""

    id: str
    index: int
    at: str
    kind: str
    noun: str
    subject_id: str
    text: str
    text_said: Said | None
    actor: str
    why: str


class Events(msgspec.Struct, frozen=True):
    """A page of events."""

    items: list[Event]
    next: str
    applied_index: int


COLUMNS: Final = {name: name for name in ("id", "kind", "noun", "subject_id", "text", "why")} | {
    "index": "created_index",
    "at": "at_ms",
    "actor": "actor_name",
}


def shown(row: dict[str, object]) -> Event:
    """A row as its public form."""
    kind, text = str(row["kind"]), str(row["text"])
    return Event(
        id=str(row["id"]), index=int(str(row["log_index"])), at=rfc3339(int(str(row["at_ms"]))),
        kind=kind, noun=str(row["noun"]), subject_id=str(row["subject_id"]), text=text,
        text_said=read(text, f"event.{kind}"), actor=str(row["actor_name"]), why=str(row["why"]),
    )  # fmt: skip


def of_entry(reader: Reader, index: int, limit: int = 500) -> tuple[Event, ...]:
    """The events of one entry in their order: what the live stream carries."""
    sql = "SELECT * FROM event WHERE log_index = ? ORDER BY n LIMIT ?"
    return tuple(shown(row) for row in reader.all(sql, (index, limit)))


@action(
    "GET /v1/events", cli="event list", permission="event.read", summary="List events, oldest first", answers=Events
)
class ListEvents(Page, frozen=True, kw_only=True):
    """A page of events."""

    def fetch(self, reader: Reader) -> Events:
        found, following = page(reader, "SELECT *, log_index AS created_index FROM event", COLUMNS, self)
        return Events([shown(row) for row in found], following, reader.applied_index)


@action("GET /v1/events/stream", permission="event.read", summary="Follow what changes, as it changes (SSE)")
class FollowEvents(Stream, frozen=True, kw_only=True):
    """Server-Sent Events: one `change` per log entry, `ready` or `reset` first; resumes by Last-Event-ID."""

    since: Annotated[str, field("The id of the last event that was seen.", max_length=100)] = ""


@action(
    "GET /v1/retention", cli="retention show", permission="event.read",
    summary="Show how long the whole cluster keeps its history", answers=Retention,
)  # fmt: skip
class ShowRetention(Query, frozen=True, kw_only=True):
    """Days; 0 keeps for ever."""

    rows = (("retention", "one"),)

    def fetch(self, reader: Reader) -> Retention:
        return retention(reader)


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked. ``head`` is SHA-256 over all of it: written down elsewhere, it shows later that nothing of this
    was exchanged. ``pruned``: so many events were taken out before these because of their age; the chain goes on from
    the last of them, and says so itself."""

    events: int
    pruned: int
    last_index: int
    head: str
    next: str
    applied_index: int


@action(
    "GET /v1/events/verify",
    cli="event verify",
    permission="event.read",
    summary="Check that no event was changed, added or taken away",
    answers=Verified,
    examples=("girginosvm event verify",),
)
class VerifyEvents(Walk, frozen=True, kw_only=True):
    """Reads the whole history; a million events take some seconds. Fails with `history-broken` where it is not as it
    was written."""

    limit: Annotated[int, field("Events that one answer checks.", ge=1, le=20_000)] = 20_000

    def fetch(self, reader: Reader) -> Verified:
        done = reader.checked(_mark(self.after), self.limit)
        if done.broken is not None:
            raise HostFault(
                "history-broken", f"the history is not as it was written from entry {done.broken} on",
                hint=f"{done.mark.events:,} events before that are whole",
            )  # fmt: skip
        entry, number, chain, events = done.mark
        head = chain.hex()
        following = "" if done.whole else f"{entry}.{number}.{events}.{head}"
        return Verified(
            events=events,
            pruned=reader.pruned(),
            last_index=entry,
            head=head,
            next=following,
            applied_index=reader.applied_index,
        )


def _mark(text: str) -> Mark:
    if not text:
        return Mark()
    try:
        entry, number, events, head = text.split(".")
        mark = Mark(int(entry), int(number), bytes.fromhex(head), int(events))
    except ValueError as fault:
        raise Invalid("list-invalid", "`after` is no `next` of this list") from fault
    if not all(0 <= part < 2**63 for part in (mark.entry, mark.number, mark.events)):
        raise Invalid("list-invalid", "`after` is no `next` of this list")
    return mark
