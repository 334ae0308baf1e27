"""Images: what machines start from."""

from typing import Final

from girginosvm.core.manifest import Manifest
from girginosvm.features.image import commands, queries, schema

MANIFEST: Final = Manifest(
    name="image",
    nouns={"image": queries.resolve},
    actions=(
        queries.ListImages, queries.ShowImage, commands.PullImage, commands.RecordImage, commands.UploadImage,
        commands.RemoveImage, commands.ReportImage,
    ),
    migrations=schema.MIGRATIONS,
)  # fmt: skip
