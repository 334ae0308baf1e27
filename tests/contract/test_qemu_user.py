"""QEMU as a user that no distribution made: what qemu.conf says is what our files are given to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from girginosvm.core.host import DiskSpec, Power, VolumeSpec
from girginosvm.hypervisor import owners
from girginosvm.hypervisor.libvirt.facts import LibvirtFacts
from girginosvm.hypervisor.storage.directory import DirectoryVolumes
from tests.contract.drivers import MIB, RealDriver
from tests.lab.host import LabHost

pytestmark = pytest.mark.host

USER = 64997


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[LabHost]:
    monkeypatch.setattr(owners, "_learned", None)
    with LabHost(qemu=f"+{USER}") as one:
        one.root.chmod(0o711)
        yield one


async def test_disks_are_for_the_user_that_qemu_runs_as_and_for_no_other(host: LabHost) -> None:
    driver = RealDriver(host)
    await LibvirtFacts(driver.link, host.root).observe()
    pool = host.root / "pool"
    disk = str(pool / "v.qcow2")
    volumes = DirectoryVolumes()
    await volumes.ensure_pool(str(pool))
    await volumes.ensure(VolumeSpec(path=disk, format="qcow2", size_bytes=MIB))
    made = os.stat(disk)
    assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (0, USER, 0o640)
    spec = driver.spec(disks=(DiskSpec(disk, "qcow2", "vda"),))
    await driver.domains.define(spec)
    await driver.domains.start(spec.id, generation=1)
    found = await driver.found(spec.id)
    assert found is not None
    assert found.power is Power.RUNNING
    assert {Path(f"/proc/{pid}").stat().st_uid for pid in host.emulators()} == {USER}
    as_another = ("setpriv", "--reuid=64996", "--regid=64996", "--clear-groups", "cat", disk)
    refused = host.exec(*as_another, check=False)
    assert "Permission denied" in refused.stderr
    await driver.close()
