"""Where the history begins, once its oldest part was taken out, and how long it is kept. The events themselves are the
state floor's."""

from typing import Final

from girginosvm.core.manifest import Migration

MIGRATIONS: Final = (
    # Place and chain of the last event that went, and how many ever went (``state.history.anchor``).
    Migration(
        1,
        """
CREATE TABLE event_anchor (
  one INTEGER PRIMARY KEY CHECK (one = 1), log_index INTEGER NOT NULL, n INTEGER NOT NULL, chain BLOB NOT NULL,
  events INTEGER NOT NULL
) STRICT;
""",
    ),
    Migration(
        2,
        """
CREATE TABLE retention (
  one INTEGER PRIMARY KEY CHECK (one = 1), event_days INTEGER NOT NULL, operation_days INTEGER NOT NULL
) STRICT;
""",
    ),
)
