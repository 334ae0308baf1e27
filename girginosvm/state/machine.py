"""The state machine: entries of the log, in order, into SQLite. One transaction per entry.

* An entry at or below ``applied_index`` is skipped; ``applied_index`` commits with the data.
* A known request id, or the same key of the same actor, gets its recorded outcome, not a second execution.
* A ``Problem`` rolls back to the savepoint and is recorded. Any other exception is a bug of ours: recorded as
  ``internal-error``, so that it can never wedge the log. What would differ between replicas (memory, the disk, an
  unknown command version) is a ``Halt``: nothing advances, the node stops applying, visibly.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import apsw
import msgspec

from girginosvm.core import codec, ids
from girginosvm.core.action import Command
from girginosvm.core.codec import Envelope, Outcome
from girginosvm.core.entries import Applied, Entry, Halt
from girginosvm.core.errors import Bug, Conflict, Invalid, Problem, Stale
from girginosvm.core.log import Log
from girginosvm.core.manifest import Registry
from girginosvm.state import db as dbs
from girginosvm.state import schema
from girginosvm.state import tx as txs
from girginosvm.state.migrate import migrate

__all__ = ["Applied", "Entry", "Halt", "Machine"]

OUTCOME_MS: Final = 24 * 3600 * 1000


class Machine:
    """The only writer of the state database."""

    def __init__(self, path: Path, registry: Registry, log: Log, *, incarnation: str) -> None:
        self._registry = registry
        self._log = log
        self._db = dbs.open_writer(path)
        self._tables: set[str] = set()
        migrate(self._db, (schema.MANIFEST, *registry.rooms))
        with self._db:
            self._db.execute(
                "INSERT INTO machine_state VALUES (1, 0, 0, 0, ?, 1) ON CONFLICT DO NOTHING", (incarnation,)
            )
        state = dbs.rows(self._db, "SELECT * FROM machine_state")[0]
        self._applied = int(state["applied_index"])
        self._stamp = int(state["at_ms"])
        self._decoders = {name: msgspec.msgpack.Decoder(kind) for name, kind in registry.commands.items()}
        self._db.preupdate_hook(self._changed)

    def applied_index(self) -> int:
        """The last entry in the database."""
        return self._applied

    def last_stamp_ms(self) -> int:
        """The last entry's stamp."""
        return self._stamp

    def checkpoint(self) -> int:
        """Make everything applied durable; the log up to the answered index may go."""
        self._db.execute("pragma synchronous=full")
        try:
            busy, _, _ = self._db.execute("pragma wal_checkpoint(full)").fetchall()[0]
        finally:
            self._db.execute("pragma synchronous=normal")
        return 0 if busy else self._applied

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()

    def apply(self, entry: Entry) -> Applied:
        """Apply one entry; Halt, and nothing else, may leave it."""
        if entry.index <= self._applied:
            return Applied(tuple(self._replayed(command) for command in entry.commands))
        self._tables.clear()
        try:
            with self._db:
                outcomes = self._batch(entry)
                self._db.execute("DELETE FROM request WHERE at_ms < ?", (entry.at_ms - OUTCOME_MS,))
                self._db.execute(
                    "UPDATE machine_state SET applied_index = ?, applied_term = ?, at_ms = ?",
                    (entry.index, entry.term, entry.at_ms),
                )
        except (apsw.Error, MemoryError, RecursionError) as fault:
            raise Halt(f"entry {entry.index} could not be applied: {type(fault).__name__}: {fault}") from fault
        self._applied, self._stamp = entry.index, entry.at_ms
        self._tables -= {"machine_state", "request"}
        return Applied(outcomes, tuple(sorted(self._tables)))

    def _batch(self, entry: Entry) -> tuple[bytes, ...]:
        head = dbs.rows(self._db, "SELECT chain FROM event ORDER BY log_index DESC, n DESC LIMIT 1")
        chain: bytes = head[0]["chain"] if head else b""
        number = 0
        outcomes = []
        for data in entry.commands:
            try:
                envelope = codec.envelope(data)
            except msgspec.MsgspecError as fault:
                problem = Invalid("envelope-invalid", f"no command of ours: {fault}").body()
                outcomes.append(codec.encode(Outcome(entry.index, problem=problem)))
                continue
            outcome, tx = self._command(envelope, entry)
            if tx is not None:
                number, chain = txs.record(self._db, tx, number, chain)
            outcomes.append(outcome)
        return tuple(outcomes)

    def _command(self, envelope: Envelope, entry: Entry) -> tuple[bytes, txs.Tx | None]:
        known = self._known(envelope, entry)
        if known is not None:
            return codec.encode(known), None
        tx: txs.Tx | None = txs.Tx(self._db, envelope, index=entry.index, at_ms=entry.at_ms, node=entry.node)
        assert tx is not None
        self._db.execute("SAVEPOINT command")
        try:
            value = self._decoded(envelope).apply(tx)
            outcome = Outcome(entry.index, value=codec.encode(value))
        except Problem as problem:
            self._db.execute("ROLLBACK TO command")
            outcome, tx = Outcome(entry.index, problem=problem.body()), None
        except (Halt, MemoryError, RecursionError):
            raise
        except apsw.ConstraintError as fault:
            outcome, tx = self._bug(envelope, entry, fault), None
        except apsw.Error:
            raise
        except Exception as fault:
            outcome, tx = self._bug(envelope, entry, fault), None
        self._db.execute("RELEASE command")
        data = codec.encode(outcome)
        self._db.execute(
            "INSERT INTO request VALUES (?, ?, ?, ?, ?, ?)",
            (envelope.request_id, envelope.actor.id, envelope.key or None, envelope.digest, data, entry.at_ms),
        )
        return data, tx

    def _decoded(self, envelope: Envelope) -> Command:
        kind = self._registry.commands.get(envelope.name)
        if kind is None or envelope.version > kind.action.version:
            raise Halt(f"this release does not know {envelope.name} version {envelope.version}: upgrade this node")
        try:
            return self._decoders[envelope.name].decode(envelope.body)
        except msgspec.MsgspecError as fault:
            raise Invalid("body-invalid", f"{envelope.name}: {fault}") from fault

    def _bug(self, envelope: Envelope, entry: Entry, fault: Exception) -> Outcome:
        self._db.execute("ROLLBACK TO command")
        self._log.error("apply.bug", command=envelope.name, index=entry.index, fault=repr(fault))
        problem = Bug("internal-error", f"a fault of ours, reference {entry.index}; nothing was changed")
        return Outcome(entry.index, problem=problem.body())

    def _known(self, envelope: Envelope, entry: Entry) -> Outcome | None:
        found = dbs.rows(self._db, "SELECT * FROM request WHERE request_id = ?", (envelope.request_id,))
        if not found and envelope.key:
            found = dbs.rows(
                self._db, "SELECT * FROM request WHERE actor = ? AND key = ?", (envelope.actor.id, envelope.key)
            )
        if found:
            row = found[0]
            if row["actor"] != envelope.actor.id or row["digest"] != envelope.digest:
                detail = "this Idempotency-Key was used with another body; a new request wants a new key"
                return Outcome(entry.index, problem=Invalid("idempotency-mismatch", detail).body())
            return msgspec.structs.replace(codec.outcome(row["outcome"]), repeated=True)
        try:
            born_ms = ids.uuid7_ms(envelope.request_id)
        except ValueError as fault:
            return Outcome(entry.index, problem=Invalid("request-id-invalid", str(fault)).body())
        if born_ms < entry.at_ms - OUTCOME_MS:
            detail = "this request is older than 24 h: its outcome is no longer known, so it is not executed"
            return Outcome(entry.index, problem=Stale("stale-request", detail).body())
        return None

    def _replayed(self, command: bytes) -> bytes:
        try:
            request_id = codec.envelope(command).request_id
        except msgspec.MsgspecError:
            request_id = ""
        found = dbs.rows(self._db, "SELECT outcome FROM request WHERE request_id = ?", (request_id,))
        if found:
            return bytes(found[0]["outcome"])
        detail = "this entry was applied before and its outcome is gone"
        return codec.encode(Outcome(self._applied, problem=Conflict("outcome-forgotten", detail).body()))

    def _changed(self, update: apsw.PreUpdate) -> None:
        self._tables.add(update.table_name)
