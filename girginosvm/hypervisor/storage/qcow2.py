"""What a disk image says of itself, read by a bounded parser of our own before any other program sees the file.

Source: QEMU docs/interop/qcow2.txt. A backing file or an external data file would let an uploaded image read any file
of the host (CVE-2024-32498 and its kind), so both are refused, as is everything this parser does not know.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

import msgspec

from girginosvm.core.errors import Invalid
from girginosvm.core.units import TIB

MAX_VIRTUAL: Final = 64 * TIB
_MAGIC: Final = b"QFI\xfb"
_HEAD: Final = struct.Struct(">4sIQIIQIIQQIIQ")
_V3: Final = struct.Struct(">QQQII")
_BACKING_NAME: Final = 0xE2792ACA
_DATA_FILE: Final = 0x44415441
_FEATURE_DIRTY, _FEATURE_CORRUPT, _FEATURE_DATA, _FEATURE_ZSTD, _FEATURE_EXTL2 = 1, 2, 4, 8, 16
_KNOWN_INCOMPATIBLE: Final = _FEATURE_ZSTD | _FEATURE_EXTL2
# First bytes of formats that are never guessed or converted.
_OTHERS: Final = {b"KDMV": "VMDK", b"COWD": "VMDK", b"vhdxfile": "VHDX", b"conectix": "VHD", b"<<< ": "VDI",
                  b"# Disk DescriptorFile": "VMDK", b"json:": "a json: description", b"QED\0": "QED"}  # fmt: skip


class Header(msgspec.Struct, frozen=True):
    """A qcow2 header that passed."""

    version: int
    virtual_bytes: int
    cluster_bits: int


def unsafe(detail: str) -> Invalid:
    """The refusal of an image."""
    return Invalid("image-unsafe", detail)


def read_header(file: BinaryIO, size: int) -> Header:
    """The header of a qcow2 file; Invalid ``image-unsafe`` says what is wrong with it."""
    file.seek(0)
    raw = file.read(_HEAD.size)
    if len(raw) < _HEAD.size or raw[:4] != _MAGIC:
        kind = next((name for magic, name in _OTHERS.items() if raw.startswith(magic)), "no qcow2")
        raise unsafe(f"the file is {kind}; only qcow2 is taken")
    (_, version, backing, backing_size, cluster_bits, virtual, crypt, l1_size, l1, refs, ref_clusters, snapshots, _) = (
        _HEAD.unpack(raw)
    )
    if version not in (2, 3):
        raise unsafe(f"qcow2 version {version} is unknown")
    if backing or backing_size:
        raise unsafe("the image has a backing file")
    if crypt:
        raise unsafe("the image is encrypted")
    if snapshots:
        raise unsafe(f"the image carries {snapshots} internal snapshots")
    if not 9 <= cluster_bits <= 21:
        raise unsafe(f"a cluster size of 2^{cluster_bits}")
    if not 0 < virtual <= MAX_VIRTUAL:
        raise unsafe(f"a disk of {virtual:,} bytes")
    per_l1 = 1 << (2 * cluster_bits - 3)
    if l1_size * 8 > 32 * 1024 * 1024 or l1_size > -(-virtual // per_l1) * 2 + 1:
        raise unsafe(f"a first-level table of {l1_size:,} entries")
    if l1 % (1 << cluster_bits) or refs % (1 << cluster_bits) or l1 > size or refs > size:
        raise unsafe("its tables lie outside the file")
    if ref_clusters << cluster_bits > 64 * 1024 * 1024:
        raise unsafe(f"a reference table of {ref_clusters:,} clusters")
    if version == 3:
        _check_v3(file, cluster_bits)
    return Header(version, virtual, cluster_bits)


def _check_v3(file: BinaryIO, cluster_bits: int) -> None:
    file.seek(_HEAD.size)
    raw = file.read(_V3.size)
    if len(raw) < _V3.size:
        raise unsafe("the header is cut off")
    incompatible, _, _, order, length = _V3.unpack(raw)
    if incompatible & _FEATURE_DATA:
        raise unsafe("the image keeps its data in another file")
    if incompatible & (_FEATURE_DIRTY | _FEATURE_CORRUPT):
        raise unsafe("the image is marked dirty or corrupt; repair it first (qemu-img check -r all)")
    if incompatible & ~_KNOWN_INCOMPATIBLE:
        raise unsafe(f"it needs unknown features ({incompatible:#x})")
    if order > 6 or not 104 <= length <= 1 << cluster_bits:
        raise unsafe("the header has an odd length")
    _check_extensions(file, length, 1 << cluster_bits)


def _check_extensions(file: BinaryIO, at: int, end: int) -> None:
    for _ in range(64):
        file.seek(at)
        raw = file.read(8)
        if len(raw) < 8:
            raise unsafe("the header extensions are cut off")
        kind, length = struct.unpack(">II", raw)
        if kind == 0:
            return
        if kind in (_BACKING_NAME, _DATA_FILE):
            raise unsafe("the image names another file")
        at += 8 + -(-length // 8) * 8
        if at > end:
            raise unsafe("the header extensions run out of the first cluster")
    raise unsafe("more than 64 header extensions")
