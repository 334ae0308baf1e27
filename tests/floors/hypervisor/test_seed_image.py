"""Seeds read back as a guest would read them."""

from __future__ import annotations

from email import message_from_bytes
from pathlib import Path

import pytest

from girginosvm.core.errors import Invalid
from girginosvm.core.host import SeedSpec
from girginosvm.hypervisor.seed import IsoSeeds, read_back


def spec(path: Path, keys: tuple[str, ...] = (), user_data: str = "") -> SeedSpec:
    return SeedSpec(machine="m-1", hostname="web01", path=str(path), ssh_keys=keys, user_data=user_data,
                    network_config='{"version": 2}')  # fmt: skip


async def test_a_seed_holds_identity_and_network_and_is_for_qemu_only(tmp_path: Path) -> None:
    path = tmp_path / "s.iso"
    await IsoSeeds().ensure(spec(path))
    found = read_back(path)
    assert found["meta-data"] == b"instance-id: m-1\nlocal-hostname: web01\n"
    assert found["network-config"] == b'{"version": 2}'
    assert path.stat().st_mode & 0o777 == 0o640
    assert b"cidata" in path.read_bytes()[32768:34816]


async def test_a_script_alone_stays_plain_and_beside_keys_becomes_a_part_of_its_own(tmp_path: Path) -> None:
    script, path = "#!/bin/sh\necho iyi günler\n", tmp_path / "s.iso"
    await IsoSeeds().ensure(spec(path, user_data=script))
    assert read_back(path)["user-data"].decode() == script
    await IsoSeeds().ensure(spec(path, ("ssh-ed25519 AAAA",), script))
    parts = message_from_bytes(read_back(path)["user-data"]).get_payload()
    kinds = [(part.get_content_type(), part.get_payload(decode=True).decode()) for part in parts]
    assert [kind for kind, _ in kinds] == ["text/x-shellscript", "text/cloud-config"]
    assert kinds[0][1] == script
    assert "ssh-ed25519 AAAA" in kinds[1][1]
    assert parts[1]["Merge-Type"] == "dict(no_replace,recurse_list)+list(append)+str()"  # the operator's words stand


async def test_the_same_seed_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "s.iso"
    await IsoSeeds().ensure(spec(path))
    before = path.stat()
    await IsoSeeds().ensure(spec(path))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    await IsoSeeds().ensure(spec(path, ("ssh-ed25519 AAAA",)))
    assert path.stat().st_ino != before.st_ino


async def test_user_data_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid):
        await IsoSeeds().ensure(spec(tmp_path / "s.iso", user_data="hello"))


async def test_a_removed_seed_takes_its_unfinished_copy_along(tmp_path: Path) -> None:
    (tmp_path / ".s.iso.part").write_bytes(b"secrets")
    await IsoSeeds().remove(str(tmp_path / "s.iso"))
    assert not list(tmp_path.iterdir())
