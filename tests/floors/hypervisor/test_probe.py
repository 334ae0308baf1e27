"""The acceleration probe, with programs that stand in for QEMU."""

from pathlib import Path

import pytest

from girginosvm.core.host import Acceleration
from girginosvm.hypervisor.libvirt.facts import cpu_model, efi_descriptors, os_name
from girginosvm.hypervisor.libvirt.probe import boot_sector, probed


def _program(tmp_path: Path, body: str) -> str:
    program = tmp_path / "qemu"
    program.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("body", "acceleration", "words"),
    [
        ("exit 33", Acceleration.KVM, "A test guest ran under KVM in"),
        ("echo 'no KVM here' >&2; exit 1", Acceleration.TCG, "no KVM here"),
        ("exit 0", Acceleration.TCG, "QEMU ended with 0"),
        ("exec tail -f /dev/null", Acceleration.TCG, "did not end within 0.5 s: it is too slow"),
    ],
)
async def test_only_a_guest_that_ends_well_and_in_time_is_kvm(
    tmp_path: Path, body: str, acceleration: Acceleration, words: str
) -> None:
    found, reason = await probed(_program(tmp_path, body), tmp_path / "run", device="/dev/null", deadline_s=0.5)
    assert list((tmp_path / "run").iterdir()) == []
    assert (found, reason.endswith(".")) == (acceleration, True)
    assert words in reason


async def test_nothing_is_tried_without_a_device_or_without_qemu(tmp_path: Path) -> None:
    program = _program(tmp_path, "exit 33")
    assert (await probed(program, tmp_path / "run", device=str(tmp_path / "kvm")))[0] is Acceleration.TCG
    assert "No QEMU" in (await probed("", tmp_path / "run", device="/dev/null"))[1]


def test_the_boot_sector_is_one_sector_with_a_signature() -> None:
    assert (len(boot_sector()), boot_sector()[-2:]) == (512, b"\x55\xaa")


def test_names_are_read_from_the_kernels_and_the_systems_files() -> None:
    assert cpu_model("processor\t: 0\nmodel name\t: EPYC 7003\nmodel name\t: other\n") == "EPYC 7003"
    assert os_name('NAME=x\nPRETTY_NAME="AlmaLinux 10.0 (Purple Lion)"\n') == "AlmaLinux 10.0 (Purple Lion)"
    assert (cpu_model(""), os_name("")) == ("", "")


def test_only_plain_efi_firmware_whose_file_exists_counts(tmp_path: Path) -> None:
    code = tmp_path / "CODE.fd"
    code.touch()
    text = (
        '{"interface-types": ["uefi"], "mapping": {"executable": {"filename": "%s"}}, "features": [%s],'
        ' "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}]}'
    )
    (tmp_path / "60-plain.json").write_text(text % (code, ""), encoding="utf-8")
    (tmp_path / "50-secure.json").write_text(text % (code, '"secure-boot", "requires-smm"'), encoding="utf-8")
    (tmp_path / "70-gone.json").write_text(text % (tmp_path / "none", ""), encoding="utf-8")
    (tmp_path / "80-broken.json").write_text("{", encoding="utf-8")
    assert efi_descriptors([str(tmp_path), "/no/such/place"]) == (str(tmp_path / "60-plain.json"),)
