"""The self-test that a compiled tree has to pass, here from the sources."""

import re
from pathlib import Path

import pytest

from girginosvm.daemon import selftest

ROOT = Path(__file__).parents[3]


def test_the_self_test_knows_every_package_that_we_need() -> None:
    lines = (ROOT / "requirements/run.in").read_text(encoding="utf-8").splitlines()
    packages = {re.split("[=<>]", line)[0].strip() for line in lines if line.strip() and not line.startswith("#")}
    modules = {"argon2-cffi": "argon2", "libvirt-python": "libvirt"}
    wanted = {modules.get(name, name.replace("-", "_")) for name in packages}
    assert wanted - {name.partition(".")[0] for name in selftest.OTHERS} == set()


def test_the_compiler_is_told_about_every_package() -> None:
    told = (ROOT / "build/nuitka.spec").read_text(encoding="utf-8")
    for name in {name.partition(".")[0] for name in selftest.OTHERS if not name.startswith("_")}:
        assert f"--noinclude-custom-mode={name}:bytecode" in told


def test_the_self_test_passes_from_the_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert selftest.main([]) == 0, capsys.readouterr().err


def test_the_self_test_fails_when_a_module_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert selftest.main(["girginosvm.core.units", "girginosvm.core.left_out"]) == 1
    assert "girginosvm.core.left_out" in capsys.readouterr().err
