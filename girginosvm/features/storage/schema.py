"""Pools as wanted, and as each node sees them."""

from typing import Final

from girginosvm.core.manifest import Migration

MIGRATIONS: Final = (
    Migration(
        1,
        """
CREATE TABLE pool (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, name TEXT NOT NULL UNIQUE, path TEXT NOT NULL UNIQUE,
  reserve_percent INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE pool_found (
  pool TEXT NOT NULL, node TEXT NOT NULL, capacity_bytes INTEGER NOT NULL, free_bytes INTEGER NOT NULL,
  allocated_bytes INTEGER NOT NULL, problem TEXT NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (pool, node)
) STRICT, WITHOUT ROWID;
""",
    ),
    Migration(
        2,
        """
CREATE TABLE disk_kept (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, path TEXT NOT NULL UNIQUE, pool TEXT NOT NULL,
  node TEXT NOT NULL, size_bytes INTEGER NOT NULL, image TEXT NOT NULL, vm_name TEXT NOT NULL, at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX disk_kept_pool ON disk_kept (pool, node);
CREATE INDEX disk_kept_image ON disk_kept (image);
""",
    ),
)
