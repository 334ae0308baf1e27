"""When ``build/setup.sh`` may end at once. Its ``id`` says that we are nobody: nothing is ever installed here."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
TOOLS = ("sh", "dirname", "cat", "ls", "sha256sum", "cut")
NEEDED = ("libvirtd", "virsh", "qemu-img", "nft", "debootstrap", "cpio")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that is set up, and ``bin``, the only place where commands are found."""
    for name in ("build/setup.sh", "requirements/dev.txt", "tests/web/package-lock.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, tmp_path / name)
    for folder in ("bin", ".venv/bin", ".cache", "tests/web/node_modules"):
        (tmp_path / folder).mkdir(parents=True)
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    for name in (*(f"bin/{one}" for one in NEEDED), ".venv/bin/pytest", "bin/id"):
        (tmp_path / name).write_text("#!/bin/sh\necho 1000\n")
        (tmp_path / name).chmod(0o755)
    parts = ("build/setup.sh", "requirements/dev.txt", "/etc/os-release", "tests/web/package-lock.json")
    stamp = hashlib.sha256(b"".join((tmp_path / part).read_bytes() for part in parts)).hexdigest()
    (tmp_path / ".cache/setup.stamp").write_text(stamp)
    return tmp_path


def set_up(checkout: Path) -> subprocess.CompletedProcess[str]:
    script = checkout / "build/setup.sh"
    environment = {"PATH": str(checkout / "bin")}
    return subprocess.run(
        ["sh", str(script)], env=environment, executable=shutil.which("sh"), capture_output=True, text=True, check=False
    )


def test_a_second_run_ends_at_once_without_root_and_without_a_word(checkout: Path) -> None:
    done = set_up(checkout)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("gone", [*(f"bin/{one}" for one in NEEDED), ".venv/bin/pytest", ".cache/setup.stamp"])
def test_what_was_removed_since_makes_the_set_up_run_again(checkout: Path, gone: str) -> None:
    (checkout / gone).unlink()
    done = set_up(checkout)
    assert done.returncode == 1
    assert "needs root to install packages" in done.stderr


def test_modules_that_were_deleted_make_the_set_up_run_again(checkout: Path) -> None:
    (checkout / "tests/web/node_modules").rmdir()
    assert "needs root to install packages" in set_up(checkout).stderr
