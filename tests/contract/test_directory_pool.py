"""What only real files can show: full disks, leftovers of a crash, overlays, whose data a name holds."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from girginosvm.core.errors import HostFault
from girginosvm.core.host import VolumeSpec
from girginosvm.hypervisor.storage.directory import DirectoryVolumes

pytestmark = pytest.mark.host


@pytest.fixture
def tight(tmp_path: Path) -> Iterator[Path]:
    """A pool of 4 MiB."""
    pool = tmp_path / "tight"
    pool.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", pool], check=True)
    yield pool
    subprocess.run(["umount", pool], check=True)


async def test_a_full_disk_is_said_and_nothing_is_left(tight: Path, tmp_path: Path) -> None:
    base = tmp_path / "base.raw"
    base.write_bytes(b"x" * (8 << 20))
    wanted = VolumeSpec(path=str(tight / "v.qcow2"), format="qcow2", size_bytes=8 << 20, base=str(base),
                        base_format="raw", full_copy=True)  # fmt: skip
    with pytest.raises(HostFault) as refused:
        await DirectoryVolumes().ensure(wanted)
    assert refused.value.code == "disk-full"
    assert list(tight.iterdir()) == []


async def test_an_overlay_names_its_base_and_a_smaller_one_in_its_place_is_kept(tmp_path: Path) -> None:
    volumes = DirectoryVolumes()
    base = tmp_path / "base.qcow2"
    await volumes.ensure(VolumeSpec(path=str(base), format="qcow2", size_bytes=1 << 20))
    wanted = VolumeSpec(path=str(tmp_path / "v.qcow2"), format="qcow2", size_bytes=1 << 21, base=str(base),
                        base_format="qcow2")  # fmt: skip
    await volumes.ensure(wanted)
    before = Path(wanted.path).read_bytes()
    assert str(base).encode() in before[:65536]
    with pytest.raises(HostFault, match="wanted"):
        await volumes.ensure(VolumeSpec(path=wanted.path, format="qcow2", size_bytes=1 << 22))
    assert Path(wanted.path).read_bytes() == before


async def test_what_a_crash_left_is_not_shown_and_is_swept(tmp_path: Path) -> None:
    left = tmp_path / ".v.qcow2.part"
    left.write_bytes(b"half")
    volumes = DirectoryVolumes()
    assert await volumes.observe(str(tmp_path)) == ()
    assert await volumes.sweep(str(tmp_path)) == (str(left),)
    assert not left.exists()
