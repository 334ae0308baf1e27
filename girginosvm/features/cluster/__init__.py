"""The cluster itself: founded once, with what a first machine needs; recovered when most of it is gone."""

from typing import Final

from girginosvm.core.manifest import Manifest
from girginosvm.features.cluster import commands, schema

MANIFEST: Final = Manifest(
    name="cluster",
    actions=(
        commands.FoundCluster,
        commands.RecordKeyMark,
        commands.RaiseLevel,
        commands.RecordRecovery,
        commands.RecoverCluster,
    ),
    migrations=schema.MIGRATIONS,
)
