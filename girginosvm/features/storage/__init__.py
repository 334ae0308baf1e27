"""Storage: pools of disks on nodes."""

from typing import Final

from girginosvm.core.manifest import Manifest
from girginosvm.features.storage import commands, queries, schema

MANIFEST: Final = Manifest(
    name="storage",
    nouns={"pool": queries.resolve},
    actions=(queries.ListPools, commands.AddPool, commands.RemovePool, commands.ReportPool),
    migrations=schema.MIGRATIONS,
)
