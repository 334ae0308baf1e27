"""Operations and where they stand."""

from typing import Final

from girginosvm.core.manifest import Migration

MIGRATIONS: Final = (
    Migration(
        1,
        """
CREATE TABLE operation (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, kind TEXT NOT NULL, noun TEXT NOT NULL,
  subject_id TEXT NOT NULL, subject_name TEXT NOT NULL, node TEXT NOT NULL, generation INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed')), step TEXT NOT NULL,
  problem_code TEXT NOT NULL, problem TEXT NOT NULL, actor TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL, finished_at_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX operation_order ON operation (created_index, id);
CREATE INDEX operation_subject ON operation (subject_id, state);
""",
    ),
    # Those that have ended, the oldest first: they go when they are too old.
    Migration(2, "CREATE INDEX operation_ended ON operation (finished_at_ms, id) WHERE finished_at_ms IS NOT NULL;\n"),
)
