"""The door of images."""

from typing import Final

from girginosvm.core.errors import Busy, Conflict, Missing
from girginosvm.core.units import GIB
from girginosvm.state.db import Row
from girginosvm.state.reader import Reader
from girginosvm.state.tx import Tx

# The source of an image that no mirror has.
UPLOADED: Final = "upload"


def usable(db: Reader | Tx, image: str) -> Row:
    """The image's row, when a machine can start from it."""
    row = db.one("SELECT * FROM image WHERE id = ?", (image,))
    if row is None:
        raise Missing("image-missing", f"there is no image {image}")
    if row["state"] == "pulling":
        raise Busy("image-pulling", f"image {row['name']} is still being fetched", retry_after_s=5)
    if row["state"] != "ready":
        raise Conflict("image-failed", f"image {row['name']} could not be fetched: {row['problem']}")
    if row["source"] == UPLOADED and not db.one(
        "SELECT 1 FROM image_copy WHERE image = ? AND state = 'ready' LIMIT 1", (image,)
    ):
        raise Conflict("image-lost", f"image {row['name']} was uploaded to a node that is gone; no other node has it")
    return row


def want(tx: Tx, image: str, node: str) -> None:
    """A machine on this node starts from the image: the node fetches it from one that has it, unless it is there."""
    tx.run("INSERT OR IGNORE INTO image_copy VALUES (?, ?, 'wanted', '', '', ?)", (image, node, tx.at_ms))


def here(reader: Reader, image: str, node: str) -> str:
    """The file of an image that a node has ready; empty when it has not."""
    row = reader.one(
        "SELECT image.format FROM image_copy c JOIN image ON image.id = c.image "
        "WHERE c.image = ? AND c.node = ? AND c.state = 'ready'",
        (image, node),
    )
    return file_name(image, row["format"]) if row else ""


def file_name(image: str, image_format: str) -> str:
    """The image's file in every node's image directory."""
    return f"{image}.{image_format}"


def least_gb(row: Row) -> int:
    """The smallest disk that can hold the image, GiB."""
    return max(int(row["min_disk_gb"]), -(-int(row["virtual_bytes"]) // GIB))


def files(reader: Reader, node: str) -> tuple[tuple[str, str], ...]:
    """Name and file of each image that a node has ready, in order of name."""
    rows = reader.all(
        "SELECT image.id, name, format FROM image_copy c JOIN image ON image.id = c.image "
        "WHERE c.node = ? AND c.state = 'ready' ORDER BY name",
        (node,),
    )
    return tuple((row["name"], file_name(row["id"], row["format"])) for row in rows)
