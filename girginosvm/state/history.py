"""Checking the history: each event's chain is SHA-256 of the one before and itself (``tx.record``).

What is too old is taken out at the beginning (``tx.prune_events``). Where that happened is kept as an anchor, and said
in an event of the chain: a beginning that somebody else took away shows, also when the anchor was made to fit.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import apsw
import msgspec

from girginosvm.state import db as dbs
from girginosvm.state.tx import link

# The event that says up to where the history was taken out; its fields are the anchor.
PRUNED: Final = "event.pruned"


class Mark(NamedTuple):
    """How far the history was checked: the last event's place (its entry, its number in it) and chain, and how many
    events there were up to it."""

    entry: int = 0
    number: int = -1
    chain: bytes = b""
    events: int = 0


class Checked(NamedTuple):
    """``mark``: up to where all is as it was written; ``whole``: that is the end; ``broken``: the entry of the first
    event that is not (of the last one that is there, when the end is missing), or None."""

    mark: Mark
    whole: bool
    broken: int | None


def anchor(db: apsw.Connection) -> Mark:
    """The last event that was taken out, with how many there were up to it; an empty mark when none ever was."""
    if not dbs.rows(db, "SELECT 1 FROM sqlite_schema WHERE name = 'event_anchor'"):  # before its migration
        return Mark()
    found = dbs.rows(db, "SELECT log_index, n, chain, events FROM event_anchor")
    return Mark(*found[0].values()) if found else Mark()


def _attested(db: apsw.Connection, base: Mark) -> bool:
    """The chain itself says that the history begins after ``base``."""
    if not base.entry:
        return True
    said = dbs.rows(
        db, "SELECT fields FROM event WHERE noun = 'event' AND subject_id = '' AND kind = ? "
        "ORDER BY log_index DESC, n DESC LIMIT 1", (PRUNED,),
    )  # fmt: skip
    wanted = {"entry": base.entry, "number": base.number, "chain": base.chain.hex(), "events": base.events}
    return bool(said) and msgspec.json.decode(said[0]["fields"]) == wanted


def check(db: apsw.Connection, since: Mark, limit: int) -> Checked:
    """Go on from ``since`` over at most ``limit`` events (200,000 take about a second); from the anchor when what came
    after ``since`` was taken out meanwhile."""
    base = anchor(db)
    if (since.entry, since.number) < (base.entry, base.number):
        since = base._replace(events=since.events)
    entry, number, head, events = since
    rows = db.execute(
        "SELECT * FROM event WHERE (log_index, n) > (?, ?) ORDER BY log_index, n LIMIT ?", (entry, number, limit)
    )
    seen = 0
    for row in rows:
        following = link(head, tuple(row[:14]))
        if following != row[14]:
            return Checked(Mark(entry, number, head, events + seen), whole=False, broken=int(row[0]))
        entry, number, head, seen = int(row[0]), int(row[1]), following, seen + 1
    mark = Mark(entry, number, head, events + seen)
    if seen == limit:
        return Checked(mark, whole=False, broken=None)
    kept = dbs.rows(db, "SELECT event_chain FROM machine_state")
    if not _attested(db, base):
        return Checked(mark, whole=False, broken=base.entry)
    whole = bool(kept) and kept[0]["event_chain"] == head
    return Checked(mark, whole, None if whole else entry)


def check_end(db: apsw.Connection, limit: int) -> Checked:
    """As ``check``, of the last ``limit`` events only, taking the one before them for what it says it is."""
    before = db.execute(
        "SELECT log_index, n, chain FROM event ORDER BY log_index DESC, n DESC LIMIT 1 OFFSET ?", (limit,)
    ).fetchone()
    since = Mark() if before is None else Mark(int(before[0]), int(before[1]), before[2])
    return check(db, since, limit + 1)


def verify(db: apsw.Connection, *, limit: int = 20_000) -> int | None:
    """The log index of the first event whose chain is broken, or None. A missing end is told by the last event that
    is there (0: none is)."""
    found = Checked(Mark(), whole=False, broken=None)
    while not found.whole and found.broken is None:
        found = check(db, found.mark, limit)
    return found.broken
