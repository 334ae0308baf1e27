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
    # What is booked of a pool on a node, kept by triggers here and in the vm room. Two pools on one file system share
    # its room, so each node says which file system a pool is on.
    Migration(
        3,
        """
ALTER TABLE pool_found ADD COLUMN filesystem TEXT NOT NULL DEFAULT '';
CREATE TABLE pool_load (
  pool TEXT NOT NULL, node TEXT NOT NULL, booked_bytes INTEGER NOT NULL, PRIMARY KEY (pool, node)
) STRICT, WITHOUT ROWID;
INSERT INTO pool_load SELECT pool, node, sum(size_bytes) FROM disk_kept GROUP BY pool, node;
CREATE TRIGGER disk_kept_booked AFTER INSERT ON disk_kept BEGIN
  INSERT INTO pool_load VALUES (new.pool, new.node, new.size_bytes)
    ON CONFLICT DO UPDATE SET booked_bytes = booked_bytes + excluded.booked_bytes;
END;
CREATE TRIGGER disk_kept_freed AFTER DELETE ON disk_kept BEGIN
  UPDATE pool_load SET booked_bytes = booked_bytes - old.size_bytes WHERE pool = old.pool AND node = old.node;
END;
""",
    ),
    # What a node has of a file system, for placement over all nodes.
    Migration(4, "CREATE INDEX pool_found_node ON pool_found (node, filesystem);\n"),
)
