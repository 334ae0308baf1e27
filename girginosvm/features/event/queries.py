"""Reading events. Their rows belong to the state floor, which chains them."""

from typing import Annotated, Final

import msgspec

from girginosvm.core.action import Page, Stream, action
from girginosvm.core.fields import field
from girginosvm.features.times import rfc3339
from girginosvm.state.page import page
from girginosvm.state.reader import Reader


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of history."""

    id: str
    index: int
    at: str
    kind: str
    noun: str
    subject_id: str
    text: str
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
    return Event(
        id=str(row["id"]), index=int(str(row["log_index"])), at=rfc3339(int(str(row["at_ms"]))),
        kind=str(row["kind"]), noun=str(row["noun"]), subject_id=str(row["subject_id"]), text=str(row["text"]),
        actor=str(row["actor_name"]), why=str(row["why"]),
    )  # fmt: skip


def since(reader: Reader, index: int, limit: int = 500) -> list[Event]:
    """Events of entries after ``index``, oldest first: what the live stream carries."""
    sql = "SELECT * FROM event WHERE log_index > ? ORDER BY log_index, n LIMIT ?"
    return [shown(row) for row in reader.all(sql, (index, limit))]


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
