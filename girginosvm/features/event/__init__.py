"""Events: what happened, who did it, and why."""

from typing import Final

from girginosvm.core.manifest import Manifest
from girginosvm.features.event import commands, queries, schema

MANIFEST: Final = Manifest(
    name="event",
    actions=(
        queries.ListEvents, queries.FollowEvents, queries.VerifyEvents, queries.ShowRetention, commands.PruneHistory,
        commands.SetRetention,
    ),
    migrations=schema.MIGRATIONS,
)  # fmt: skip
