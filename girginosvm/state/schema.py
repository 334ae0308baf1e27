"""The tables that the state floor itself needs: where applying stands, who asked what, what happened."""

from typing import Final

from girginosvm.core.manifest import Manifest, Migration

_FIRST: Final = """
CREATE TABLE machine_state (
  one INTEGER PRIMARY KEY CHECK (one = 1), applied_index INTEGER NOT NULL, applied_term INTEGER NOT NULL,
  at_ms INTEGER NOT NULL, incarnation TEXT NOT NULL, feature_level INTEGER NOT NULL
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
"""

# The head of the chain lies beside the index, so that a missing end of the history shows too.
_CHAIN_HEAD: Final = """
ALTER TABLE machine_state ADD COLUMN event_chain BLOB NOT NULL DEFAULT x'';
UPDATE machine_state SET event_chain =
  ifnull((SELECT chain FROM event ORDER BY log_index DESC, n DESC LIMIT 1), x'');
"""

MANIFEST: Final = Manifest(name="state", migrations=(Migration(1, _FIRST), Migration(2, _CHAIN_HEAD)))
