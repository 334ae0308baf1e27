"""Headers that an image from outside may not have."""

from __future__ import annotations

import io
import struct

import pytest

from girginosvm.core.errors import Invalid
from girginosvm.hypervisor.storage.qcow2 import read_header

GOOD = {
    "magic": b"QFI\xfb", "version": 3, "backing": 0, "backing_size": 0, "bits": 16, "size": 1 << 30, "crypt": 0,
    "l1_size": 2, "l1": 196608, "refs": 65536, "ref_clusters": 1, "snapshots": 0, "snapshots_at": 0,
    "incompatible": 0, "compatible": 0, "autoclear": 0, "order": 4, "length": 104,
}  # fmt: skip


def image(extensions: bytes = bytes(8), **changes: object) -> bytes:
    head = struct.pack(">4sIQIIQIIQQIIQQQQII", *{**GOOD, **changes}.values())
    return (head + extensions).ljust(262144, b"\0")


def read(data: bytes) -> int:
    return read_header(io.BytesIO(data), len(data)).virtual_bytes


def test_a_plain_image_is_taken() -> None:
    assert read(image()) == 1 << 30


@pytest.mark.parametrize(
    "changes",
    [
        {"magic": b"KDMV"}, {"version": 1}, {"version": 4}, {"backing": 200, "backing_size": 11}, {"backing_size": 11},
        {"crypt": 1}, {"crypt": 2}, {"bits": 0}, {"bits": 8}, {"bits": 22}, {"bits": 0xFFFFFFFF}, {"size": 0},
        {"size": 1 << 63}, {"l1_size": 0xFFFFFFFF}, {"l1": 1}, {"l1": 1 << 40}, {"refs": 1 << 40},
        {"ref_clusters": 0xFFFFFFFF}, {"snapshots": 1}, {"incompatible": 2}, {"incompatible": 4},
        {"incompatible": 1 << 40}, {"order": 7}, {"length": 8}, {"length": 0xFFFFFFF8},
    ],
)  # fmt: skip
def test_a_header_that_names_other_files_or_cannot_be_right_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(Invalid) as refused:
        read(image(**changes))
    assert refused.value.code == "image-unsafe"


@pytest.mark.parametrize("kind", [0xE2792ACA, 0x44415441])
def test_an_extension_that_names_another_file_is_refused(kind: int) -> None:
    with pytest.raises(Invalid):
        read(image(struct.pack(">II8s", kind, 5, b"/etc/") + bytes(8)))


@pytest.mark.parametrize("length", range(0, 104, 7))
def test_a_header_that_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(Invalid):
        read(image()[:length])
