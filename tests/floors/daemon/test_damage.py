"""What the disk has harmed is said by name, and nothing is silently made anew that others rely on."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from girginosvm.core import settings
from girginosvm.core.clock import SystemChance
from girginosvm.core.errors import HostFault
from girginosvm.core.log import Log
from girginosvm.daemon import raft
from girginosvm.daemon.secrets import load_key
from girginosvm.features.registry import REGISTRY
from girginosvm.http.tls import Identity
from girginosvm.state.machine import opened


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[3] ^= 0x10
    path.write_bytes(data)


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


HARMS = (flipped, halved, emptied, Path.unlink)
Harm = Callable[[Path], None]


@pytest.mark.parametrize("name", ["ca.key", "ca.crt"])
@pytest.mark.parametrize("harm", HARMS)
def test_a_harmed_authority_is_said_and_no_other_is_made(tmp_path: Path, name: str, harm: Harm) -> None:
    Identity(tmp_path).ensure(["node-1"])
    harm(tmp_path / name)
    with pytest.raises(HostFault) as refused:
        Identity(tmp_path).ensure(["node-1"])
    assert refused.value.code == "pki-damaged"


def test_a_key_of_another_authority_is_said(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        Identity(tmp_path / folder).ensure(["node-1"])
    (tmp_path / "two" / "ca.key").rename(tmp_path / "one" / "ca.key")
    with pytest.raises(HostFault, match="pair"):
        Identity(tmp_path / "one").ensure(["node-1"])


@pytest.mark.parametrize("harm", HARMS)
def test_a_harmed_server_certificate_is_made_anew(tmp_path: Path, harm: Harm) -> None:
    Identity(tmp_path).ensure(["node-1"])
    harm(tmp_path / "server.pem")
    assert Identity(tmp_path).ensure(["node-1"])
    Identity(tmp_path).context()
    assert not Identity(tmp_path).ensure(["node-1"])


@pytest.mark.parametrize("harm", [halved, emptied, Path.unlink])
def test_a_harmed_cluster_key_is_said_and_no_other_is_made(tmp_path: Path, harm: Harm) -> None:
    path = tmp_path / "cluster.key"
    load_key(path, SystemChance())
    harm(path)
    with pytest.raises(HostFault) as refused:
        load_key(path, SystemChance(), founded=True)
    assert refused.value.code == "cluster-key-damaged"


def test_a_cluster_key_with_one_changed_bit_is_said(tmp_path: Path) -> None:
    path = tmp_path / "cluster.key"
    key = load_key(path, SystemChance())
    whole = bytearray(base64.b64decode(path.read_bytes()))
    load_key(path, SystemChance(), founded=True, mark=key.mark)
    whole[7] ^= 1
    path.write_bytes(base64.b64encode(whole))
    with pytest.raises(HostFault, match="another key") as refused:
        load_key(path, SystemChance(), founded=True, mark=key.mark)
    assert refused.value.code == "cluster-key-damaged"


@pytest.mark.parametrize(("harm", "code"), [(flipped, "database-damaged"), (halved, "database-damaged")])
def test_a_harmed_database_is_said(tmp_path: Path, harm: Harm, code: str) -> None:
    path = tmp_path / "state.db"
    opened(path, REGISTRY, Log(), incarnation="c").close()
    harm(path)
    with pytest.raises(HostFault) as refused:
        opened(path, REGISTRY, Log(), incarnation="c")
    assert refused.value.code == code


def test_a_database_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    with pytest.raises(HostFault) as refused:
        opened(tmp_path / "state.db", REGISTRY, Log(), incarnation="c")
    assert refused.value.code == "database-closed"


async def test_a_node_without_its_name_takes_no_other_one(tmp_path: Path) -> None:
    config = settings.load(str(tmp_path), {})
    config.path("db").mkdir(parents=True)
    opened(config.path("db", "state.db"), REGISTRY, Log(), incarnation="c").close()
    with pytest.raises(HostFault) as refused:
        await raft.run(config, Log())
    assert refused.value.code == "identity-broken"
    assert not config.path("raft", "member.json").exists()
