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
    # An image belongs to the cluster; which nodes have its file, or are to fetch it, are rows of their own. A forgotten
    # one leaves files on several nodes.
    Migration(
        2,
        """
CREATE TABLE image_copy (
  image TEXT NOT NULL, node TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('wanted', 'ready')),
  problem_code TEXT NOT NULL, problem TEXT NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (image, node)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_copy_node ON image_copy (node, state);
INSERT INTO image_copy SELECT id, node, CASE state WHEN 'ready' THEN 'ready' ELSE 'wanted' END, '', '', created_at_ms
  FROM image WHERE state <> 'failed';
ALTER TABLE image_gone RENAME TO image_gone_before;
CREATE TABLE image_gone (
  id TEXT NOT NULL, node TEXT NOT NULL, format TEXT NOT NULL, PRIMARY KEY (id, node)
) STRICT, WITHOUT ROWID;
INSERT INTO image_gone SELECT id, node, format FROM image_gone_before;
DROP TABLE image_gone_before;
""",
    ),
)
