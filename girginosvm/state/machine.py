"""The state machine: entries of the log, in order, into SQLite. One transaction per entry.

* An entry at or below ``applied_index`` is skipped; ``applied_index`` commits with the data.
* A known request id, or the same key of the same actor, gets its recorded outcome, not a second execution.
* What does not go straight through is done anew, command by command; nobody sees the difference.
* A ``Problem`` rolls back to the savepoint and is recorded; a ``kept`` one is an event too. Any other exception is a
  bug of ours, and so is a fault of SQLite's that comes from the statement and the rows (a constraint, an overflow):
  recorded as ``internal-error``, so that it can never wedge the log. What would differ between replicas (memory, the
  disk, an unknown command, version or field) is a ``Halt``: nothing advances, the node stops applying, visibly.
* A command that needs a higher feature level than the active one is refused, also by a release that does not know it.
* Tables come from the log too (``migrate``): an empty file has only what applying itself needs, and the first command
  of a log is the one that makes the rooms' tables.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import apsw
import msgspec

from girginosvm.core import codec
from girginosvm.core.action import Command
from girginosvm.core.codec import Envelope, Outcome
from girginosvm.core.entries import Applied, Beyond, Entry, Halt, Place, Unfit
from girginosvm.core.errors import Bug, Conflict, HostFault, Invalid, Problem, Stale
from girginosvm.core.log import Log
from girginosvm.core.manifest import Registry
from girginosvm.state import copies, level, requests
from girginosvm.state import db as dbs
from girginosvm.state import tx as txs
from girginosvm.state.fingerprint import rows_digest
from girginosvm.state.gate import Gate, unknown_fields, unknown_inside
from girginosvm.state.migrate import MigrateSchema, Schema, Step

__all__ = ["Applied", "Entry", "Halt", "Machine", "opened"]

_One = Callable[[bytes, Entry, txs.History], tuple[bytes, txs.History]]


class _Again(Exception):
    """A command of the entry is not new, or fails: what was done of the entry is undone."""


def opened(path: Path, registry: Registry, log: Log, *, incarnation: str) -> Machine:
    """The machine at ``path``. HostFault ``database-damaged``, or ``database-closed`` when the host does not let us."""
    try:
        return Machine(path, registry, log, incarnation=incarnation)
    except (apsw.CorruptError, apsw.NotADBError) as fault:
        raise HostFault(
            "database-damaged", f"{path} is damaged: {fault}",
            hint="nothing else may have what was in it: keep a copy of it; girginosvm explain database-damaged",
        ) from fault  # fmt: skip
    except apsw.Error as fault:
        raise HostFault("database-closed", f"{path} cannot be opened: {fault}") from fault


class Machine:
    """The only writer of the state database. One thread applies; whoever tries a migration meanwhile waits for it, and
    it for them: both need the one connection, and a transaction of their own."""

    def __init__(self, path: Path, registry: Registry, log: Log, *, incarnation: str) -> None:
        self._kinds: dict[str, type[Command]] = {**registry.commands, MigrateSchema.__name__: MigrateSchema}
        self._decoders = {name: msgspec.msgpack.Decoder(kind) for name, kind in self._kinds.items()}
        self._log = log
        self._path = path
        self._guard = dbs.Guard()
        self._tables: set[str] = set()
        self._schema = Schema(registry.rooms)
        self._lock = threading.Lock()
        self._now_at = 0  # the active level, inside an entry
        self.supported = registry.level
        self.objection = Gate(self._kinds, self._schema, self.supported).objection  # any thread
        self._db = dbs.open_writer(path)
        try:
            self._db.authorizer = self._guard
            self._schema.open(self._db, incarnation, self.supported)
            self._look()
        except BaseException:
            self._db.close()
            raise
        self._db.preupdate_hook(self._changed)

    def _look(self) -> None:
        self._begun = self._schema.begun(self._db)
        found = copies.place(self._db)
        self._applied, self._stamp = found.index, found.at_ms
        self._chain = bytes(dbs.rows(self._db, "SELECT event_chain FROM machine_state")[0]["event_chain"])
        self.level = level.active(self._db)

    def applied_index(self) -> int:
        """The last entry in the database."""
        return self._applied

    def last_stamp_ms(self) -> int:
        """The last entry's stamp."""
        return self._stamp

    def migration(self, request_id: str, node: str) -> bytes | None:
        """The command that brings the tables to what this release has at the active level; None when they are. It was
        tried (``rehearse``), so that nothing enters the log that cannot be applied."""
        steps = self.steps(self.level)
        if not steps:
            return None
        self.rehearse(steps)
        body, needs = codec.encode(MigrateSchema(steps=steps)), self._schema.needs(steps)
        return codec.word(node, request_id, MigrateSchema.__name__, body, level=needs)

    def steps(self, upto: int) -> tuple[Step, ...]:
        """The migrations up to a feature level that have not run."""
        with self._lock:
            return self._schema.missing(self._db, upto)

    def rehearse(self, steps: Iterable[Step]) -> None:
        """Run migrations and take them back: Conflict ``migration-failed`` when they would fail. Applying waits
        meanwhile, as it will when they are applied."""
        with self._lock:
            self._say("BEGIN IMMEDIATE")
            self._guard.inside = True
            try:
                self._schema.run(self._db, steps)
            except Halt as halt:
                raise Conflict("migration-failed", f"{halt}; nothing was changed") from halt
            finally:
                self._guard.inside = False
                if self._db.in_transaction:  # a full disk has rolled back already
                    self._say("ROLLBACK")

    def checkpoint(self) -> int:
        """Make everything applied durable; the log up to the answered index may go. 0 when a reader or the disk is in
        the way: the log stays, and the next time is the retry."""
        try:
            with self._lock:
                self._db.execute("pragma synchronous=full")
                try:
                    busy, _, _ = self._db.execute("pragma wal_checkpoint(full)").fetchall()[0]
                finally:
                    self._db.execute("pragma synchronous=normal")
        except apsw.Error as fault:
            self._log.error("checkpoint.failed", fault=f"{type(fault).__name__}: {fault}")
            return 0
        return 0 if busy else self._applied

    def snapshot(self, path: Path) -> Place:
        """Copy what is applied into the new file ``path``; any thread. OSError or apsw.Error: there is no copy."""
        return copies.take(self._path, path)

    def install(self, path: Path) -> Place:
        """Become what a snapshot holds, in one durable transaction of the open database. Unfit: it is of another
        cluster, damaged, or no newer than what is here, and nothing was changed. Halt: this node can take in nothing
        more; Beyond: only an upgrade of it can, and nothing was changed."""
        try:
            with self._lock, contextlib.closing(copies.opened(path)) as source:
                self._check_fits(source)
                copies.put(self._db, source)
                self._look()
                return copies.place(self._db)
        except apsw.Error as fault:
            raise Halt(f"the snapshot {path.name} could not be installed: {type(fault).__name__}: {fault}") from fault

    def _check_fits(self, source: apsw.Connection) -> None:
        ours, theirs = (
            (txs.lineage(dbs.rows(db, "SELECT incarnation FROM machine_state")[0]["incarnation"]), copies.page_size(db))
            for db in (self._db, source)
        )
        if theirs != ours:
            raise Unfit(
                f"it is of cluster {theirs[0]} with pages of {theirs[1]} bytes, this is {ours[0]} with {ours[1]}"
            )
        found = copies.place(source)
        if found.index <= self._applied:
            raise Unfit(f"it ends with entry {found.index}, and this database with entry {self._applied}")
        try:
            level.check(source, self.supported)
            self._schema.check(source)
        except Conflict as newer:
            kind = Halt if newer.code == "schema-changed" else Beyond
            raise kind(f"the leader's snapshot is of a newer release: {newer.detail}; upgrade this node") from newer

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            self._db.close()

    def apply(self, entry: Entry) -> Applied:
        """Apply one entry; Halt, and nothing else, may leave it."""
        with self._lock:
            return self._apply(entry)

    def _apply(self, entry: Entry) -> Applied:
        try:
            if entry.index <= self._applied:
                return Applied(tuple(self._replayed(command) for command in entry.commands))
            if entry.index != self._applied + 1:
                raise Halt(f"entry {entry.index} follows entry {self._applied}: entries between them are missing")
            outcomes, chain = self._committed(entry)
        except Halt:
            raise
        except Exception as fault:
            raise Halt(f"entry {entry.index} could not be applied: {type(fault).__name__}: {fault}") from fault
        self._applied, self._stamp, self._chain = entry.index, entry.at_ms, chain
        self._begun = self._begun or self._schema.begun(self._db)
        self.level = self._now_at
        return Applied(outcomes, tuple(sorted(self._tables - {"machine_state", "request"})))

    def _committed(self, entry: Entry) -> tuple[tuple[bytes, ...], bytes]:
        """The outcomes, and where the chain of events stands then. Nearly always every command is new and succeeds:
        that is tried first. Otherwise all is undone, and done with a savepoint for each."""
        try:
            return self._transaction(entry, self._straight)
        except _Again:
            return self._transaction(entry, self._command)

    def _transaction(self, entry: Entry, one: _One) -> tuple[tuple[bytes, ...], bytes]:
        self._tables.clear()
        self._say("BEGIN IMMEDIATE")
        try:
            found = self._batch(entry, one)
            self._say("COMMIT")
        except BaseException:
            # A full disk has rolled back already; what went wrong first is what has to be told.
            if self._db.in_transaction:
                with contextlib.suppress(apsw.Error):
                    self._say("ROLLBACK")
            raise
        return found

    def _batch(self, entry: Entry, one: _One) -> tuple[tuple[bytes, ...], bytes]:
        history = txs.History(0, self._chain)
        self._now_at = self.level
        outcomes = []
        for data in entry.commands:
            outcome, history = one(data, entry, history)
            outcomes.append(outcome)
            if "machine_state" in self._tables:
                self._now_at = level.active(self._db)
        requests.forget(self._db, entry.at_ms)
        self._db.execute(
            "UPDATE machine_state SET applied_index = ?, applied_term = ?, at_ms = ?, event_chain = ?",
            (entry.index, entry.term, entry.at_ms, history.chain),
        )
        return tuple(outcomes), history.chain

    def _say(self, sql: str) -> None:
        """Begin and end transactions. The flag makes these other statements than a command's of the same words, which
        would otherwise come out of the cache, and past the guard."""
        self._db.execute(sql, prepare_flags=apsw.SQLITE_PREPARE_PERSISTENT)

    def _straight(self, data: bytes, entry: Entry, history: txs.History) -> tuple[bytes, txs.History]:
        """A command that is new and succeeds; _Again when it is anything else, which is for ``_command`` to judge."""
        try:
            envelope = codec.known(data)
            if envelope is None or requests.unfit(envelope.request_id, entry.at_ms) is not None:
                raise _Again
            outcome, history = self._run(envelope, entry, history)
            requests.record(self._db, envelope, outcome, entry.at_ms)
        except Exception as fault:
            raise _Again from fault
        return outcome, history

    def _command(self, data: bytes, entry: Entry, history: txs.History) -> tuple[bytes, txs.History]:
        try:
            envelope, unknown = codec.known(data), ""
            if envelope is None:
                envelope, unknown = codec.envelope(data), unknown_fields(data, Envelope)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as fault:
            # A body nested 100,000 deep is bad input, and no fault of this node.
            problem = Invalid("envelope-invalid", f"no command of ours: {fault}").body()
            return codec.encode(Outcome(entry.index, problem=problem)), history
        if unknown:  # a newer node's condition must not be taken for none
            raise Beyond(f"this release does not know the request's {unknown}: upgrade this node")
        known = requests.known(self._db, envelope, entry.index)
        unfit = None if known else requests.unfit(envelope.request_id, entry.at_ms)
        if unfit is not None:
            known = Outcome(entry.index, problem=unfit.body())
        if known is not None:
            return codec.encode(known), history
        before = set(self._tables)
        self._say("SAVEPOINT command")
        try:
            outcome, history = self._run(envelope, entry, history)
        except (Halt, MemoryError, RecursionError):
            raise
        except Exception as fault:
            if isinstance(fault, apsw.Error) and not isinstance(fault, dbs.DETERMINISTIC):
                raise
            outcome = self._undone(envelope, entry, fault)
            self._tables = before
            if isinstance(fault, Problem) and fault.kept:
                history = self._refused(envelope, entry, history, fault)
        self._say("RELEASE command")
        requests.record(self._db, envelope, outcome, entry.at_ms)
        return outcome, history

    def _run(self, envelope: Envelope, entry: Entry, history: txs.History) -> tuple[bytes, txs.History]:
        """Body, events and outcome: whatever goes wrong in any of them undoes all of them."""
        level.refuse(envelope, self._now_at)
        tx = self._tx(envelope, entry)
        command = self._decoded(envelope)
        for seen in envelope.seen:
            if rows_digest(self._db, seen.table, seen.column, seen.value) != seen.digest:
                raise Stale("etag-mismatch", "it has changed since; nothing was done")
        self._guard.inside = True
        try:
            value = self._value(command, tx)
        finally:
            self._guard.inside = False
        return codec.encode(Outcome(entry.index, value=codec.encode(value))), txs.record(self._db, tx, history)

    def _tx(self, envelope: Envelope, entry: Entry) -> txs.Tx:
        return txs.Tx(
            self._db, envelope, index=entry.index, at_ms=entry.at_ms, node=entry.node, level=self._now_at,
            rise=self._rise,
        )  # fmt: skip

    def _rise(self, to: int, steps: Iterable[Step]) -> tuple[str, ...]:
        """Level and tables in one: a command of the new level never meets the old tables."""
        level.raise_to(self._db, to, self.supported)
        return self._schema.run(self._db, steps)

    def _value(self, command: Command, tx: txs.Tx) -> object:
        if isinstance(command, MigrateSchema):
            return self._schema.run(self._db, command.steps)
        if not (self._begun or self._schema.begun(self._db)):
            raise Halt(f"{type(command).__name__} comes before the log's first migration: there are no tables for it")
        return command.apply(tx)

    def _undone(self, envelope: Envelope, entry: Entry, fault: Exception) -> bytes:
        """Roll back to the savepoint; the outcome is the problem, or ``internal-error`` for a bug of ours."""
        self._say("ROLLBACK TO command")
        if isinstance(fault, Problem):
            try:
                data = codec.encode(Outcome(entry.index, problem=fault.body()))
                codec.outcome(data)
                return data
            except (msgspec.MsgspecError, TypeError, ValueError) as unspeakable:
                fault = unspeakable
        self._log.error("apply.bug", command=envelope.name, index=entry.index, fault=repr(fault))
        problem = Bug("internal-error", f"a fault of ours, reference {entry.index}; nothing was changed")
        return codec.encode(Outcome(entry.index, problem=problem.body()))

    def _refused(self, envelope: Envelope, entry: Entry, history: txs.History, problem: Problem) -> txs.History:
        """A refusal that history keeps: an event in the place of those that were rolled back."""
        tx = self._tx(envelope, entry)
        tx.event("command.refused", "node", entry.node, f"refused: {problem.detail}", command=envelope.name)
        return txs.record(self._db, tx, history)

    def _decoded(self, envelope: Envelope) -> Command:
        kind = self._kinds.get(envelope.name)
        if kind is None or envelope.version > kind.action.version:
            raise Beyond(f"this release does not know {envelope.name} version {envelope.version}: upgrade this node")
        if envelope.version < 1:
            raise Invalid("body-invalid", f"{envelope.name}: versions begin at 1, this is {envelope.version}")
        try:
            return self._decoders[envelope.name].decode(envelope.body)
        except (msgspec.MsgspecError, UnicodeError) as fault:
            unknown = unknown_fields(envelope.body, kind) or unknown_inside(fault)
            if unknown:  # refusing what a newer node applies would part the replicas
                raise Beyond(f"this release does not know {envelope.name}'s {unknown}: upgrade this node") from fault
            raise Invalid("body-invalid", f"{envelope.name}: {fault}") from fault

    def _replayed(self, command: bytes) -> bytes:
        try:
            request_id = codec.envelope(command).request_id
        except msgspec.MsgspecError:
            request_id = ""
        found = requests.replayed(self._db, request_id)
        if found is not None:
            return found
        detail = "this entry was applied before and its outcome is gone"
        return codec.encode(Outcome(self._applied, problem=Conflict("outcome-forgotten", detail).body()))

    def _changed(self, update: apsw.PreUpdate) -> None:
        self._tables.add(update.table_name)
