"""Reading images."""

from typing import Annotated, Any, Final

import msgspec

from girginosvm.core.action import Page, Query, action
from girginosvm.core.errors import Missing
from girginosvm.core.fields import Ref, field
from girginosvm.core.units import GIB
from girginosvm.features.operation.queries import ProblemShown
from girginosvm.features.times import rfc3339
from girginosvm.state.page import page
from girginosvm.state.reader import Reader


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """A node's file of an image. ``state``: ready, or wanted while it is still to come; ``problem``: why it has not."""

    node: str
    state: str
    problem: ProblemShown | None


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """What machines start from. It belongs to the cluster; nodes fetch it from each other when they need it."""

    id: str
    name: str
    version: str
    state: str
    format: str
    signed: bool
    size_bytes: int
    virtual_gb: int
    min_disk_gb: int
    firmware: str
    sha256: str
    source: str
    problem: ProblemShown | None
    copies: list[Copy]
    created_at: str


class Images(msgspec.Struct, frozen=True):
    """A page of images."""

    items: list[Image]
    next: str
    applied_index: int


COLUMNS: Final = {name: name for name in ("id", "name", "version", "state", "format", "signed", "size_bytes")}


def copies(reader: Reader, *images: str) -> dict[str, list[Copy]]:
    """Who has these images, or is to have them, in order of the nodes' names."""
    found: dict[str, list[Copy]] = {image: [] for image in images}
    marks = ", ".join("?" * len(images))
    for row in reader.all(
        f"SELECT c.*, ifnull(node.name, c.node) AS name FROM image_copy c LEFT JOIN node ON node.id = c.node "
        f"WHERE image IN ({marks}) ORDER BY name, c.node, image",
        images,
    ):
        problem = ProblemShown(row["problem_code"], row["problem"]) if row["problem_code"] else None
        found[row["image"]].append(Copy(node=row["name"], state=row["state"], problem=problem))
    return found


def shown(row: dict[str, Any], copied: list[Copy]) -> Image:
    """A row as its public form."""
    return Image(
        id=row["id"], name=row["name"], version=row["version"], state=row["state"], format=row["format"],
        signed=bool(row["signed"]), size_bytes=row["size_bytes"], virtual_gb=-(-row["virtual_bytes"] // GIB),
        min_disk_gb=row["min_disk_gb"], firmware=row["firmware"], sha256=row["sha256"], source=row["source"],
        problem=ProblemShown(row["problem_code"], row["problem"]) if row["problem_code"] else None,
        copies=copied, created_at=rfc3339(row["created_at_ms"]),
    )  # fmt: skip


def resolve(reader: Reader, text: str) -> str | None:
    """An image's id by name or id."""
    row = reader.one("SELECT id FROM image WHERE id = ? OR name = ?", (text, text))
    return row["id"] if row else None


@action("GET /v1/images", cli="image list", permission="image.read", summary="List images", answers=Images)
class ListImages(Page, frozen=True, kw_only=True):
    """A page of images."""

    def fetch(self, reader: Reader) -> Images:
        found, following = page(reader, "SELECT * FROM image", COLUMNS, self)
        copied = copies(reader, *(row["id"] for row in found))
        return Images([shown(row, copied[row["id"]]) for row in found], following, reader.applied_index)


@action("GET /v1/images/{image}", cli="image show", permission="image.read", summary="Show one image", answers=Image)
class ShowImage(Query, frozen=True, kw_only=True):
    """One image."""

    rows = (("image", "id"), ("image_copy", "image"))
    image: Annotated[Ref, field("Image.", ref="image")]

    def fetch(self, reader: Reader) -> Image:
        row = reader.one("SELECT * FROM image WHERE id = ?", (self.image,))
        if row is None:
            raise Missing("image-missing", f"there is no image {self.image}")
        return shown(row, copies(reader, self.image)[self.image])
