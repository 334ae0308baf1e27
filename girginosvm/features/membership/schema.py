"""Who belongs to the cluster, who may come in, and the authority that says who is who."""

from typing import Final

from girginosvm.core.manifest import Migration

MIGRATIONS: Final = (
    # A member that left or was removed stays in member_gone for ever: its id is never let in again.
    Migration(
        1,
        """
CREATE TABLE member (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, name TEXT NOT NULL UNIQUE, address TEXT NOT NULL UNIQUE,
  api TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('joining', 'member')), witness INTEGER NOT NULL,
  at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE member_gone (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, name TEXT NOT NULL, reason TEXT NOT NULL, at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE join_token (
  token_hash TEXT PRIMARY KEY, created_index INTEGER NOT NULL, created_by TEXT NOT NULL, expires_at_ms INTEGER NOT NULL,
  used_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE authority (
  id INTEGER PRIMARY KEY CHECK (id = 1), certificate TEXT NOT NULL, sealed_key TEXT NOT NULL, at_ms INTEGER NOT NULL
) STRICT;
""",
    ),
    # A drained member keeps the log and gives its vote away, so that it can be switched off without anybody's notice.
    Migration(2, "ALTER TABLE member ADD COLUMN drained INTEGER NOT NULL DEFAULT 0;\n"),
    # The CAs, by generation: one is used; a newer one is offered until every member trusts it; an older one is trusted
    # until nobody shows a certificate of it any more. With each comes a cluster key, sealed with the one before.
    Migration(
        3,
        """
CREATE TABLE ca (
  generation INTEGER PRIMARY KEY, certificate TEXT NOT NULL, sealed_key TEXT NOT NULL, sealed_cluster_key TEXT NOT NULL,
  phase TEXT NOT NULL CHECK (phase IN ('offered', 'used', 'old')), born_index INTEGER NOT NULL, at_ms INTEGER NOT NULL
) STRICT;
INSERT INTO ca SELECT 1, certificate, sealed_key, '', 'used', 0, at_ms FROM authority;
DROP TABLE authority;
CREATE TABLE member_trust (
  member TEXT PRIMARY KEY, trusts INTEGER NOT NULL, shows INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
""",
    ),
    # In which order members should lead, where an operator has said it.
    Migration(
        4,
        "ALTER TABLE member ADD COLUMN lead TEXT NOT NULL DEFAULT '' CHECK (lead IN ('', 'first', 'any', 'last'));\n",
    ),
    # A token that was taken back lets nobody in; its row stays until it is old.
    Migration(5, "ALTER TABLE join_token ADD COLUMN revoked_at_ms INTEGER;\n"),
    # What an operator has said of a host's turn to lead outlives the id under which it was given up.
    Migration(6, "ALTER TABLE member_gone ADD COLUMN lead TEXT NOT NULL DEFAULT '';\n"),
)
