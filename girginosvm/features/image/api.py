"""The door of images."""

from girginosvm.core.errors import Busy, Conflict, Missing
from girginosvm.core.units import GIB
from girginosvm.state.db import Row
from girginosvm.state.tx import Tx


def usable(tx: Tx, image: str) -> Row:
    """The image's row, when a machine can start from it."""
    row = tx.one("SELECT * FROM image WHERE id = ?", (image,))
    if row is None:
        raise Missing("image-missing", f"there is no image {image}")
    if row["state"] == "pulling":
        raise Busy("image-pulling", f"image {row['name']} is still being fetched", retry_after_s=5)
    if row["state"] != "ready":
        raise Conflict("image-failed", f"image {row['name']} could not be fetched: {row['problem']}")
    return row


def file_name(image: str, image_format: str) -> str:
    """The image's file in every node's image directory."""
    return f"{image}.{image_format}"


def least_gb(row: Row) -> int:
    """The smallest disk that can hold the image, GiB."""
    return max(int(row["min_disk_gb"]), -(-int(row["virtual_bytes"]) // GIB))
