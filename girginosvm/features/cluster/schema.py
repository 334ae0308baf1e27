"""What the cluster knows of its key, without the key."""

from typing import Final

from girginosvm.core.manifest import Migration

MIGRATIONS: Final = (
    Migration(
        1,
        """
CREATE TABLE cluster_key (
  one INTEGER PRIMARY KEY CHECK (one = 1), mark TEXT NOT NULL
) STRICT;
""",
    ),
)
