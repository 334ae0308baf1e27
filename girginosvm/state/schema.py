"""The tables that the state floor itself needs: where applying stands, who asked what, what happened, which migrations
ran. They are what a new database begins with, before the first entry of the log; every later change of them, as of
every other table, is a migration in the log.
"""

from typing import Final

# Frozen: two releases that begin a database must begin the same one. The head of the chain of events lies beside the
# index, so that a missing end of the history shows too.
BOOTSTRAP: Final = """
CREATE TABLE machine_state (
  one INTEGER PRIMARY KEY CHECK (one = 1), applied_index INTEGER NOT NULL, applied_term INTEGER NOT NULL,
  at_ms INTEGER NOT NULL, incarnation TEXT NOT NULL, feature_level INTEGER NOT NULL, event_chain BLOB NOT NULL
) STRICT;
CREATE TABLE request (
  request_id TEXT PRIMARY KEY, actor TEXT NOT NULL, key TEXT, digest BLOB NOT NULL, outcome BLOB NOT NULL,
  at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX request_key ON request (actor, key) WHERE key IS NOT NULL;
CREATE INDEX request_age ON request (at_ms);
CREATE TABLE event (
  log_index INTEGER NOT NULL, n INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, at_ms INTEGER NOT NULL,
  kind TEXT NOT NULL, noun TEXT NOT NULL, subject_id TEXT NOT NULL, text TEXT NOT NULL,
  actor TEXT NOT NULL, actor_name TEXT NOT NULL, address TEXT NOT NULL, why TEXT NOT NULL, node TEXT NOT NULL,
  fields TEXT NOT NULL, chain BLOB NOT NULL, PRIMARY KEY (log_index, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_subject ON event (noun, subject_id, log_index, n);
CREATE TABLE migration (
  room TEXT NOT NULL, number INTEGER NOT NULL, checksum TEXT NOT NULL, PRIMARY KEY (room, number)
) STRICT, WITHOUT ROWID;
"""
