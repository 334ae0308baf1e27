"""What came of each request, for a day: one that is sent again is answered, not executed again."""

from __future__ import annotations

from typing import Final

import apsw
import msgspec

from girginosvm.core import codec, ids
from girginosvm.core.codec import Envelope, Outcome
from girginosvm.core.errors import Invalid, Problem, Stale
from girginosvm.state import db as dbs

OUTCOME_MS: Final = 24 * 3600 * 1000


def known(db: apsw.Connection, envelope: Envelope, index: int) -> Outcome | None:
    """What came of this request, or of the one of the same actor with the same key; a problem when that one had another
    body. None: it is a new one. ``index``: the entry that it comes with."""
    found = dbs.rows(db, "SELECT * FROM request WHERE request_id = ?", (envelope.request_id,))
    if not found and envelope.key:
        found = dbs.rows(db, "SELECT * FROM request WHERE actor = ? AND key = ?", (envelope.actor.id, envelope.key))
    if not found:
        return None
    row = found[0]
    if row["actor"] != envelope.actor.id or row["digest"] != envelope.digest:
        detail = "this Idempotency-Key was used with another body; a new request wants a new key"
        return Outcome(index, problem=Invalid("idempotency-mismatch", detail).body())
    return msgspec.structs.replace(codec.outcome(row["outcome"]), repeated=True)


def unfit(request_id: str, at_ms: int) -> Problem | None:
    """Why a request with this id is not executed at ``at_ms``, although nothing is known of it."""
    try:
        born_ms = ids.uuid7_ms(request_id)
    except ValueError as fault:
        return Invalid("request-id-invalid", str(fault))
    if not ids.is_uuid(request_id):  # another spelling of one id would be a second request
        return Invalid("request-id-invalid", f"{request_id} is no UUID in lower case with dashes")
    if born_ms < at_ms - OUTCOME_MS:
        detail = "this request is older than 24 h: its outcome is no longer known, so it is not executed"
        return Stale("stale-request", detail)
    return None


def record(db: apsw.Connection, envelope: Envelope, outcome: bytes, at_ms: int) -> None:
    """Keep what came of it. ConstraintError: it was known."""
    # An id from a clock that is ahead is kept until it is stale, so that it can never be executed twice.
    until_ms = max(at_ms, ids.uuid7_ms(envelope.request_id))
    db.execute(
        "INSERT INTO request VALUES (?, ?, ?, ?, ?, ?)",
        (envelope.request_id, envelope.actor.id, envelope.key or None, envelope.digest, outcome, until_ms),
    )


def forget(db: apsw.Connection, at_ms: int) -> None:
    """Those that are too old by now to be executed."""
    db.execute("DELETE FROM request WHERE at_ms < ?", (at_ms - OUTCOME_MS,))


def replayed(db: apsw.Connection, request_id: str) -> bytes | None:
    """The outcome of a request in an entry that was applied before."""
    found = dbs.rows(db, "SELECT outcome FROM request WHERE request_id = ?", (request_id,))
    return bytes(found[0]["outcome"]) if found else None
