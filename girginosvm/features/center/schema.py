"""Which nodes serve the center's port, as people want it and as the nodes found it."""

from typing import Final

from girginosvm.core.manifest import Migration

MIGRATIONS: Final = (
    Migration(
        1,
        """
CREATE TABLE center (
  node TEXT PRIMARY KEY, created_index INTEGER NOT NULL, bind TEXT NOT NULL, public_url TEXT NOT NULL,
  at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE center_found (
  node TEXT PRIMARY KEY, bind TEXT NOT NULL, problem TEXT NOT NULL, at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
""",
    ),
)
