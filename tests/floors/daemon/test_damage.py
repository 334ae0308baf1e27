"""What the disk has harmed is said by name, and nothing is silently made anew that others rely on."""

import base64
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from girginosvm.core import settings
from girginosvm.core.clock import SystemChance
from girginosvm.core.errors import HostFault
from girginosvm.core.log import Log
from girginosvm.daemon import identity, raft
from girginosvm.daemon.secrets import load_key
from girginosvm.features.registry import REGISTRY
from girginosvm.http.tls import Identity
from girginosvm.raft.disk import RealDisk
from girginosvm.raft.journal import Journal, Vote
from girginosvm.state.db import open_reader, set_aside
from girginosvm.state.machine import opened
from girginosvm.state.reader import Reader
from tests.floors.raft.power import PowerLossDisk


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


async def test_a_journal_whose_node_has_no_name_any_more_is_taken_by_no_other_one(tmp_path: Path) -> None:
    config = settings.load(str(tmp_path), {})
    journal = Journal(RealDisk(config.path("raft", "journal")))
    journal.set_vote(Vote(3, "n2"))
    journal.flush()
    journal.close()
    with pytest.raises(HostFault, match="journal belongs to the node") as refused:
        await raft.run(config, Log())
    assert refused.value.code == "identity-broken"
    assert not config.path("raft", "member.json").exists()


def test_a_journal_that_was_begun_and_is_gone_is_not_begun_again(tmp_path: Path) -> None:
    disk = PowerLossDisk()
    identity.check_journal(tmp_path, there=False)  # the first start
    journal = Journal(disk)
    identity.begin_journal(tmp_path, journal)
    assert Journal(disk.lose_power(random.Random(1))).segments == 1, "there before it is said"
    identity.begin_journal(tmp_path, journal)
    identity.check_journal(tmp_path, there=True)
    with pytest.raises(HostFault, match="says that there was one") as refused:
        identity.check_journal(tmp_path, there=False)
    assert refused.value.code == "journal-lost"


def test_a_full_disk_at_the_first_start_says_nothing_of_a_journal(tmp_path: Path) -> None:
    disk = PowerLossDisk()
    disk.room = 10
    with pytest.raises(HostFault) as refused:
        identity.begin_journal(tmp_path, Journal(disk))
    assert refused.value.code == "journal-faulty"
    identity.check_journal(tmp_path, there=False)


def test_a_database_that_is_set_aside_takes_along_what_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    for again in ("first", "second"):
        for name in ("state.db", "state.db-wal", "state.db-shm"):
            (tmp_path / name).write_text(again)
        assert set_aside(path) == tmp_path / "state.db.damaged"
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == dict.fromkeys(
        ("state.db.damaged", "state.db.damaged-wal", "state.db.damaged-shm"), "second"
    )


def test_what_lies_beside_a_database_that_is_gone_belongs_to_no_new_one(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    machine = opened(path, REGISTRY, Log(), incarnation="old")
    wal = path.with_name("state.db-wal").read_bytes()  # all of it is there yet
    assert wal
    machine.close()
    path.unlink()
    path.with_name("state.db-wal").write_bytes(wal)
    machine = opened(path, REGISTRY, Log(), incarnation="new")
    try:
        assert Reader(open_reader(path)).incarnation == "new"
    finally:
        machine.close()
