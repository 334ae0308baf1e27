"""Images as wanted, and whether this node has them."""

from typing import Final

from girginosvm.core.manifest import Migration

MIGRATIONS: Final = (
    Migration(
        1,
        """
CREATE TABLE image (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, name TEXT NOT NULL UNIQUE, version TEXT NOT NULL,
  sha256 TEXT NOT NULL, size_bytes INTEGER NOT NULL, virtual_bytes INTEGER NOT NULL, format TEXT NOT NULL,
  min_disk_gb INTEGER NOT NULL, firmware TEXT NOT NULL, signed INTEGER NOT NULL, source TEXT NOT NULL,
  node TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('pulling', 'ready', 'failed')),
  problem_code TEXT NOT NULL, problem TEXT NOT NULL, created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE image_gone (id TEXT PRIMARY KEY, format TEXT NOT NULL, node TEXT NOT NULL) STRICT, WITHOUT ROWID;
""",
    ),
)
