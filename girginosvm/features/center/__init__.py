"""Centers: nodes that also serve the cluster's panel and API for everybody."""

from typing import Final

from girginosvm.core.manifest import Manifest
from girginosvm.features.center import commands, queries, schema

MANIFEST: Final = Manifest(
    name="center",
    actions=(queries.ShowCenters, commands.PromoteCenter, commands.DemoteCenter, commands.ReportCenter),
    migrations=schema.MIGRATIONS,
)
