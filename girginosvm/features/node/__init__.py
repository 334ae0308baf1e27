"""Nodes: the hosts that run the product."""

from typing import Final

from girginosvm.core.manifest import Manifest
from girginosvm.features.node import commands, queries, schema

MANIFEST: Final = Manifest(
    name="node",
    nouns={"node": queries.resolve},
    actions=(
        queries.ListNodes, queries.ShowNode, queries.ShowHealth, commands.ReportNode, commands.ReportRelease,
        commands.CordonNode, commands.UncordonNode, commands.BeginMaintenance, commands.EndMaintenance,
        commands.SetDomain, commands.ReportAway,
    ),
    migrations=schema.MIGRATIONS,
)  # fmt: skip
