"""The acceleration probe's guest, on the QEMU that is installed."""

from pathlib import Path

import pytest

from girginosvm.hypervisor.libvirt.probe import boot_sector, probe_argv, qemu_binary
from girginosvm.hypervisor.run import run

pytestmark = pytest.mark.host


async def test_the_guest_of_the_probe_ends_with_its_own_code(tmp_path: Path) -> None:
    image = tmp_path / "boot.img"
    image.write_bytes(boot_sector().ljust(1 << 20, b"\0"))
    ran = await run(*probe_argv(qemu_binary(), "tcg", str(image)), timeout_s=60)
    assert ran.code == 33, ran.err
