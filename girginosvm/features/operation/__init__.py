"""Operations: running work that outlives a request."""

from typing import Final

from girginosvm.core.manifest import Manifest
from girginosvm.features.operation import commands, queries, schema

MANIFEST: Final = Manifest(
    name="operation",
    nouns={"operation": queries.resolve},
    actions=(queries.ListOperations, queries.ShowOperation, commands.FailOperation),
    migrations=schema.MIGRATIONS,
)
