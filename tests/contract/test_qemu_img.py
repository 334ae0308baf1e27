"""qemu-img under limits, on images whose headers pass our parser and whose tables are made to harm their reader."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path

import pytest

from girginosvm.core.errors import HostFault, Invalid
from girginosvm.core.host import VolumeSpec
from girginosvm.hypervisor.storage import qemu_img
from girginosvm.hypervisor.storage.directory import DirectoryVolumes
from girginosvm.hypervisor.storage.images import StoreImages

pytestmark = pytest.mark.host

CLUSTER, REFS, BLOCK, L1, L2, DATA = 65536, 65536, 131072, 196608, 262144, 327680
COPIED = 1 << 63
SIZE = 8 << 30


def image(path: Path, **entries: int) -> Path:
    """8 GiB in a file of six clusters; ``entries`` overwrite 8-byte words, named ``at<offset>``."""
    head = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, 16, SIZE, 0, 16, L1, REFS, 1, 0, 0, 0, 0, 0, 4, 104)
    data = bytearray(head.ljust(6 * CLUSTER, b"\0"))
    struct.pack_into(">Q", data, REFS, BLOCK)
    struct.pack_into(">6H", data, BLOCK, *([1] * 6))
    struct.pack_into(">Q", data, L1, COPIED | L2)
    struct.pack_into(">Q", data, L2, COPIED | DATA)
    for name, word in entries.items():
        struct.pack_into(">Q", data, int(name.removeprefix("at")), word)
    path.write_bytes(data)
    return path


def looped(path: Path) -> Path:
    """Every first-level entry names one second-level table, every entry of that the same cluster."""
    image(path)
    with open(path, "r+b") as file:
        for at, count, word in ((L1, 16, COPIED | L2), (L2, 8192, COPIED | DATA)):
            file.seek(at)
            file.write(struct.pack(">Q", word) * count)
    return path


HARMED = {
    "a second-level table beyond the file": {f"at{L1}": COPIED | 1 << 50},
    "data beyond the file": {f"at{L2}": COPIED | 1 << 50},
    "a reference block beyond the file": {f"at{REFS}": 1 << 50},
    "a reference table that names itself": {f"at{REFS}": REFS},
    "a first-level table that names itself": {f"at{L1}": COPIED | L1},
    "a cluster off its boundary": {f"at{L2}": COPIED | (DATA + 512)},
}


async def test_a_sound_image_passes_and_an_image_with_lost_clusters_too(tmp_path: Path) -> None:
    await qemu_img.check(image(tmp_path / "sound"))
    await qemu_img.check(image(tmp_path / "leaked", **{f"at{L2}": 0}))
    with pytest.raises(Invalid):  # of the same image with one word that is wrong
        await qemu_img.check(image(tmp_path / "harmed", **{f"at{L2}": COPIED | 1 << 50}))


@pytest.mark.parametrize("harm", HARMED)
async def test_tables_that_contradict_each_other_are_refused_before_anything_uses_them(
    harm: str, tmp_path: Path
) -> None:
    with pytest.raises(Invalid) as refused:
        await StoreImages(check=qemu_img.check).inspect(image(tmp_path / "i.qcow2", **HARMED[harm]))
    assert refused.value.code == "image-unsafe"


async def test_an_image_that_fails_the_check_does_not_arrive(tmp_path: Path) -> None:
    source = looped(tmp_path / "source.qcow2")
    wanted = hashlib.sha256(source.read_bytes()).hexdigest()
    target = tmp_path / "store" / "i.qcow2"
    with pytest.raises(Invalid):
        await StoreImages(check=qemu_img.check).ensure(
            str(source), target, sha256=wanted, size_bytes=source.stat().st_size, progress=lambda done, total: None
        )
    assert list(target.parent.iterdir()) == []


async def test_a_copy_that_would_grow_beyond_its_disk_ends_and_leaves_nothing(tmp_path: Path) -> None:
    base = looped(tmp_path / "base.qcow2")
    data = base.read_bytes()
    base.write_bytes(data[:DATA] + os.urandom(CLUSTER))
    pool = tmp_path / "pool"
    pool.mkdir()
    small = VolumeSpec(path=str(pool / "v.raw"), format="raw", size_bytes=1 << 20, base=str(base), base_format="qcow2",
                       full_copy=True)  # fmt: skip
    with pytest.raises(HostFault):
        await DirectoryVolumes().ensure(small)
    assert list(pool.iterdir()) == []


async def test_a_compressed_cluster_of_nothing_ends_the_copy_and_leaves_nothing(tmp_path: Path) -> None:
    base = image(tmp_path / "base.qcow2", **{f"at{L2}": 1 << 62 | DATA})
    pool = tmp_path / "pool"
    pool.mkdir()
    wanted = VolumeSpec(path=str(pool / "v.qcow2"), format="qcow2", size_bytes=SIZE, base=str(base),
                        base_format="qcow2", full_copy=True)  # fmt: skip
    with pytest.raises(HostFault):
        await DirectoryVolumes().ensure(wanted)
    assert list(pool.iterdir()) == []


@pytest.mark.parametrize(
    ("limit", "code"),
    [("--as", b"import mmap; mmap.mmap(-1, 3 << 30)"), ("--fsize", b"open('x','wb').truncate(2 << 20)")],
)
async def test_the_limits_hold_for_whatever_runs_in_its_place(
    limit: str, code: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = tmp_path / "qemu-img"
    stand_in.write_bytes(b"#!/usr/bin/python3\n" + code + b"\n")
    stand_in.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(qemu_img.run.__globals__["_ENVIRONMENT"], "PATH", f"{tmp_path}:/usr/bin:/bin:/usr/sbin:/sbin")
    with pytest.raises(HostFault) as ended:
        await qemu_img.qemu_img("info", writes_bytes=1 << 20)
    assert ended.value.code == "program-failed", limit


def readlink() -> str:
    return os.readlink("/proc/self/ns/net")


async def test_it_has_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = tmp_path / "qemu-img"
    stand_in.write_text("#!/bin/sh\nreadlink /proc/self/ns/net >&2\nexit 7\n")
    stand_in.chmod(0o755)
    monkeypatch.setitem(qemu_img.run.__globals__["_ENVIRONMENT"], "PATH", f"{tmp_path}:/usr/bin:/bin:/usr/sbin:/sbin")
    here = readlink()
    with pytest.raises(HostFault, match="ended with 7: net:") as ended:
        await qemu_img.qemu_img("info", writes_bytes=0)
    assert here not in ended.value.detail
