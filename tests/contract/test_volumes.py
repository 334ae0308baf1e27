"""The ``Volumes`` contract, on the fake and on real directories."""

from __future__ import annotations

from pathlib import Path

import pytest

from girginosvm.core.host import VolumeSpec
from girginosvm.hypervisor.fake.rest import FakeVolumes
from girginosvm.hypervisor.fake.state import State
from girginosvm.hypervisor.ports import Volumes
from girginosvm.hypervisor.storage.directory import DirectoryVolumes


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.host)])
def volumes(request: pytest.FixtureRequest, tmp_path: Path) -> Volumes:
    return FakeVolumes(State(tmp_path / "host.json")) if request.param == "fake" else DirectoryVolumes()


def spec(pool: Path, name: str = "one.qcow2", size: int = 1 << 30) -> VolumeSpec:
    return VolumeSpec(path=str(pool / name), format=name.rpartition(".")[2], size_bytes=size)


async def test_a_missing_pool_is_a_fact_with_a_problem(volumes: Volumes, tmp_path: Path) -> None:
    assert (await volumes.facts(str(tmp_path / "none"))).problem


async def test_a_volume_is_seen_with_the_size_that_the_guest_sees(volumes: Volumes, tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    await volumes.ensure_pool(str(pool))
    await volumes.ensure(spec(pool, "b.raw", 1 << 20))
    await volumes.ensure(spec(pool, "-a.qcow2"))
    seen = await volumes.observe(str(pool))
    assert [(Path(one.path).name, one.size_bytes, one.format) for one in seen] == [
        ("-a.qcow2", 1 << 30, "qcow2"),
        ("b.raw", 1 << 20, "raw"),
    ]


async def test_ensuring_twice_and_removing_twice_is_the_same_as_once(volumes: Volumes, tmp_path: Path) -> None:
    await volumes.ensure_pool(str(tmp_path))
    for _ in range(2):
        await volumes.ensure(spec(tmp_path))
    assert len(await volumes.observe(str(tmp_path))) == 1
    for _ in range(2):
        await volumes.remove(str(tmp_path / "one.qcow2"))
    assert await volumes.observe(str(tmp_path)) == ()
