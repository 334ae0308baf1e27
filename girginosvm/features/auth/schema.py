"""People, their sessions, the tokens of programs, and who knocked how often. Only hashes are here."""

from typing import Final

from girginosvm.core.manifest import Migration

MIGRATIONS: Final = (
    Migration(
        1,
        """
CREATE TABLE user (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, email TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'viewer')),
  password_hash TEXT NOT NULL, must_change INTEGER NOT NULL, disabled INTEGER NOT NULL, created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX user_order ON user (created_index, id);
CREATE TABLE session (
  token_hash TEXT PRIMARY KEY, user TEXT NOT NULL REFERENCES user (id), address TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_user ON session (user);
CREATE TABLE token (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, name TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'viewer')), token_hash TEXT NOT NULL UNIQUE,
  created_by TEXT NOT NULL, created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER, revoked_at_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX token_order ON token (created_index, id);
CREATE TABLE sign_in_attempt (
  email TEXT NOT NULL, address TEXT NOT NULL, count INTEGER NOT NULL, last_at_ms INTEGER NOT NULL,
  PRIMARY KEY (email, address)
) STRICT, WITHOUT ROWID;
""",
    ),
)
"""`sign_in_attempt` with an empty email counts an address over all accounts."""
