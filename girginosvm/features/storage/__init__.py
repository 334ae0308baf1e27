"""Storage: pools of disks on nodes."""

from typing import Final

from girginosvm.core.manifest import Manifest
from girginosvm.features.storage import commands, queries, schema

MANIFEST: Final = Manifest(
    name="storage",
    nouns={"pool": queries.resolve, "disk": queries.resolve_disk},
    actions=(
        queries.ListPools,
        queries.ListDisks,
        commands.ForgetDisk,
        commands.AddPool,
        commands.RemovePool,
        commands.ReportPool,
    ),
    migrations=schema.MIGRATIONS,
)
