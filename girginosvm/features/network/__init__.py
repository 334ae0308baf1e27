"""Networks: bridges that machines plug into, the addresses handed out there, and the guards at their taps."""

from typing import Final

from girginosvm.core.manifest import Manifest
from girginosvm.features.network import commands, queries, schema

MANIFEST: Final = Manifest(
    name="network",
    nouns={"network": queries.resolve},
    actions=(
        queries.ListNetworks, queries.ShowNetwork, queries.ListLeases, commands.AddNetwork, commands.RemoveNetwork,
    ),
    migrations=schema.MIGRATIONS,
)  # fmt: skip
