"""The doctor's judgement, one broken thing at a time."""

from __future__ import annotations

import re
import shlex
from typing import Any

import msgspec
import pytest

from girginosvm.cli import catalogue, verbs
from girginosvm.core.units import GIB, MIB
from girginosvm.core.words import said
from girginosvm.features.diagnostics import checks
from girginosvm.features.diagnostics import facts as f
from girginosvm.features.diagnostics.facts import Facts
from girginosvm.features.diagnostics.model import Check
from girginosvm.features.diagnostics.words import Sentence

LEVEL = said("level.newest", level=1)
WAITS = said("level.waits", level=2, names=[said("level.name", name="n3")])
AGREEMENT = f.Agreement(
    quorum=True, says=Sentence("quorum.leads", {"leader": "n1", "here": 3, "voters": 3, "spare": 1}), leads=True,
    leader_age_ms=0,
    halted="", not_applied=0, voters=3, may_fail=1, leader="n1", voters_reached=3, behind={"n2": 0, "n3": 12},
)  # fmt: skip
JOURNAL = f.Journal(1, 4 * MIB, 16 * MIB, 0, 1, 9, 0, "")
DATABASE = f.Database(2 * MIB, MIB, "", "", 400, "")
ROOM = f.Room(("/var/lib/girginosvm/db", "/var/lib/girginosvm/raft"), 80 * GIB, 100 * GIB, 5_000_000)
CA = f.Certificate("ca", "/var/lib/girginosvm/pki/ca.crt", 10, 3640)
SERVER = f.Certificate("server", "/var/lib/girginosvm/pki/server.pem", 10, 80)
HYPERVISOR = f.Hypervisor("9.0.0", "7.2.0", "kvm", "a guest ran")
POOL = f.Pool("default", 100 * GIB, 60 * GIB, 5, "")
WELL = Facts(
    agreement=AGREEMENT, journal=JOURNAL, database=DATABASE, rooms=(ROOM,), certificates=(CA, SERVER),
    cluster_key_days=10, offsets=(f.Offset("n2", 300, 520), f.Offset("n3", -900, 520)), hypervisor=HYPERVISOR,
    strays=(), pools=(POOL,), images=2, ports=(f.Port(1996, "panel and API", True), f.Port(1995, "Raft", True)),
    pending=(f.Pending("op1", "vm.create", "web01", "building", 2),), silent_nodes=(), tokens_endless=(), work=(),
    settings_changed=(), releases=f.Releases({"n1": "0.1.0", "n2": "0.1.0"}, 1, LEVEL),
)  # fmt: skip


def agreement(**changed: Any) -> dict[str, Any]:
    return {"agreement": msgspec.structs.replace(AGREEMENT, **changed)}


def journal(**changed: Any) -> dict[str, Any]:
    return {"journal": msgspec.structs.replace(JOURNAL, **changed)}


def database(**changed: Any) -> dict[str, Any]:
    return {"database": msgspec.structs.replace(DATABASE, **changed)}


def room(**changed: Any) -> dict[str, Any]:
    return {"rooms": (msgspec.structs.replace(ROOM, **changed),)}


def server(**changed: Any) -> dict[str, Any]:
    return {"certificates": (CA, msgspec.structs.replace(SERVER, **changed))}


def authority(**changed: Any) -> dict[str, Any]:
    return {"certificates": (msgspec.structs.replace(CA, **changed), SERVER)}


def hypervisor(**changed: Any) -> dict[str, Any]:
    return {"hypervisor": msgspec.structs.replace(HYPERVISOR, **changed)}


def pool(**changed: Any) -> dict[str, Any]:
    return {"pools": (msgspec.structs.replace(POOL, **changed),)}


def stray(elsewhere: str, *, runs: bool = True) -> dict[str, Any]:
    return {"strays": (f.Stray("11111111-2222-4333-8444-555555555555", "web-11111111", runs, elsewhere),)}


def offset(ms: int) -> dict[str, Any]:
    return {"offsets": (f.Offset("n2", 300, 520), f.Offset("n3", ms, 520))}


BROKEN: list[tuple[dict[str, Any], str, str, str]] = [
    ({"agent": "no agent answers"}, "agent", "fail", "no agent answers"),
    (agreement(quorum=False, says=Sentence("quorum.notice", {"why": "it was removed"})), "raft", "fail", "removed"),
    (agreement(halted="the disk is full"), "raft", "fail", "nothing any more, and shows what it knew: the disk is"),
    (agreement(removed="it was removed"), "raft", "fail", "it was removed"),
    (agreement(parted="there are two clusters", unreached=("n3",)), "raft", "fail", "there are two clusters"),
    (agreement(unreached=("n3",)), "raft", "warn", "not reached: n3"),
    (agreement(leads=False, leader_age_ms=1_000), "raft", "warn", "last heard 1.0 s ago"),
    (agreement(closed=("n2",)), "raft", "warn", "n2: reached by the Raft port, and not by the API's"),
    (agreement(behind={"n2": 0, "n3": 201}), "lag", "warn", "n3 lacks 201 entries"),
    (agreement(not_applied=201), "lag", "warn", "this node has not applied 201 entries yet"),
    (journal(trouble="the journal's disk does not take more"), "journal", "fail", "does not take more"),
    (journal(flushing_ms=3_000), "journal", "fail", "a flush has been running for 3 s"),
    (journal(worst_flush_ms=500), "journal", "warn", "took 500 ms"),
    (journal(disk_bytes=2 * GIB + 1), "journal", "warn", "it is not compacted"),
    (database(fault="row 7 missing from index"), "database", "fail", "row 7 missing from index"),
    (database(wal_bytes=512 * MIB + 1), "database", "warn", "write-ahead log"),
    (database(history="the history is not as it was written"), "history", "fail", "not as it was written"),
    (room(free_bytes=64 * MIB - 1), "disk", "fail", "64.0 MiB of 100 GiB are free"),
    (room(free_bytes=GIB - 1), "disk", "warn", "are free for /var/lib/girginosvm (db, raft)"),
    (room(free_bytes=5 * GIB - 1), "disk", "warn", "are free for"),
    (room(free_inodes=99), "disk", "fail", "99 inodes are free"),
    (server(days_left=25), "certificate", "warn", "this node's certificate ends in 25 days, and was not renewed"),
    (server(days_left=0), "certificate", "fail", "ended 0 days ago"),
    (server(problem="no PEM"), "certificate", "fail", "this node's certificate cannot be read: no PEM"),
    (authority(days_left=60), "certificate", "warn", "the cluster's CA ends in 60 days"),
    (authority(days_left=-3), "certificate", "fail", "the cluster's CA ended 3 days ago"),
    (offset(5_600), "clock", "warn", "the clock of n3 is 5 s ahead of this node's"),
    (offset(-61_000), "clock", "fail", "the clock of n3 is 60 s behind this node's"),
    ({"log_ahead_ms": 600_000}, "clock", "warn", "the log's time is 10 min ahead of this node's clock"),
    ({"log_ahead_ms": 600_000, "offsets": ()}, "clock", "warn", "a leader once began with one that was ahead"),
    (hypervisor(problem="libvirt is away"), "libvirt", "fail", "libvirt is away"),
    (hypervisor(libvirt=""), "libvirt", "fail", "libvirt does not answer"),
    (hypervisor(qemu=""), "libvirt", "fail", "QEMU is not there"),
    (hypervisor(acceleration="tcg", reason="no /dev/kvm"), "libvirt", "warn", "without acceleration: no /dev/kvm"),
    (stray("n3"), "machines", "fail", "on this host, and the cluster has this machine on n3: it may run twice"),
    (stray(""), "machines", "fail", "runs on this host, and the cluster does not have it: nobody looks after it"),
    (stray("n3", runs=False), "machines", "warn", "is defined on this host, and the cluster has this machine on n3"),
    (stray("", runs=False), "machines", "warn", "the cluster does not have it"),
    (pool(problem="/srv/vm is not mounted"), "pool", "fail", "pool default: /srv/vm is not mounted"),
    (pool(free_bytes=GIB - 1), "pool", "fail", "pool default is full"),
    (pool(free_bytes=5 * GIB - 1), "pool", "warn", "less than its reserve of 5 %"),
    ({"images_lost": ("debian-12",)}, "images", "fail", "1 image has no file on this node any more: debian-12"),
    ({"ports": (f.Port(1995, "Raft", False),)}, "ports", "fail", "nothing listens on 1995 (Raft)"),
    (
        {"pending": (f.Pending("op1", "vm.create", "web01", "building", 15),)}, "operations", "warn",
        "vm.create of web01 for 15: building",
    ),
    ({"silent_nodes": ("n3",)}, "nodes", "warn", "not reached, or silent for more than three minutes: n3"),
    (
        {"releases": f.Releases({"n1": "0.2.0", "n2": "", "n3": "0.1.0", "n4": "0.2.0"}, 1, WAITS)},
        "releases", "warn",
        "different releases (n3: 0.1.0; n1, n4: 0.2.0; n2: ?); feature level 2 waits for n3",
    ),
    ({"tokens_endless": ("billing",)}, "tokens", "warn", "billing"),
    ({"work": ("network: bridge br0 cannot be made",)}, "work", "warn", "bridge br0 cannot be made"),
    ({"settings_changed": ("port",)}, "settings", "warn", "changed since the agent began: port"),
    ({"settings_problem": "unknown settings: prot"}, "settings", "fail", "the next start would be refused"),
]  # fmt: skip


def found(facts: Facts, name: str) -> Check:
    """The worst check of this name."""
    return next(check for check in checks.diagnose(facts) if check.name == name)


def test_a_node_that_is_well_has_nothing_but_good_checks_and_no_advice() -> None:
    said = checks.diagnose(WELL)
    assert [check for check in said if check.state != "ok" or check.next] == []
    assert checks.verdict(said) == "ok"
    assert {check.name for check in said} == {name for _, name, _, _ in BROKEN} - {"agent"} | {"cluster key"}


@pytest.mark.parametrize(("changed", "name", "state", "words"), BROKEN, ids=lambda value: str(value)[:40])
def test_each_broken_thing_is_one_check_with_a_sentence_and_what_to_do(
    changed: dict[str, Any], name: str, state: str, words: str
) -> None:
    facts = msgspec.structs.replace(WELL, **changed)
    said = checks.diagnose(facts)
    bad = [check for check in said if check.state != "ok"]
    assert [(check.name, check.state) for check in bad] == [(name, state)]
    assert said[0] == bad[0]  # the worst first
    assert words in bad[0].says
    assert bad[0].next
    assert checks.verdict(said) == state


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        (agreement(leads=False, leader_age_ms=999), "raft"), (agreement(behind={"n3": 200}), "lag"),
        (journal(flushing_ms=2_999), "journal"), (journal(worst_flush_ms=499), "journal"),
        (room(free_bytes=5 * GIB), "disk"), (room(free_inodes=None), "disk"), (server(days_left=26), "certificate"),
        (authority(days_left=61), "certificate"), (offset(5_519), "clock"), (pool(free_bytes=5 * GIB), "pool"),
        ({"pending": (f.Pending("op1", "vm.create", "web01", "building", 14),)}, "operations"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_is_just_good_enough_is_good(changed: dict[str, Any], name: str) -> None:
    facts = msgspec.structs.replace(WELL, **changed)
    assert {check.state for check in checks.diagnose(facts)} == {"ok"}


def test_what_was_not_looked_at_is_not_said() -> None:
    assert checks.diagnose(Facts()) == []
    assert checks.verdict([]) == "ok"


def test_a_torn_end_that_was_cut_is_told_and_no_alarm() -> None:
    said = found(msgspec.structs.replace(WELL, **journal(cut_bytes=120)), "journal")
    assert (said.state, "cut 120 bytes off that were never acknowledged" in said.says) == ("ok", True)


def test_a_failure_is_worse_than_a_warning() -> None:
    facts = msgspec.structs.replace(WELL, **agreement(unreached=("n3",)), **database(fault="torn page"))
    said = checks.diagnose(facts)
    assert [check.state for check in said[:3]] == ["fail", "warn", "ok"]
    assert checks.verdict(said) == "fail"


def test_every_command_of_ours_that_is_advised_exists() -> None:
    known = (*catalogue.VERBS, *verbs.LOCAL)
    for changed, *_ in BROKEN:
        for check in checks.diagnose(msgspec.structs.replace(WELL, **changed)):
            for line in re.findall(r"girginosvm [a-z][^;,]*", check.next):
                words = shlex.split(line)[1:]
                if check.next.split(line)[0].endswith(("status ", "-u ", "restart girginosvm-raft ")):
                    continue  # the unit of that name
                assert verbs.find(known, words)[0] is not None, line


def test_places_on_one_file_system_are_named_together() -> None:
    apart = ("/var/lib/girginosvm/db", "/srv/images")
    said = found(msgspec.structs.replace(WELL, **room(places=apart)), "disk")
    assert said.says == "80 GiB of 100 GiB are free for /var/lib/girginosvm/db, /srv/images"


def test_a_node_alone_has_nobody_to_compare_with() -> None:
    alone = msgspec.structs.replace(WELL, offsets=(), **agreement(behind={}, voters=1, may_fail=0))
    assert {"lag", "clock"} & {check.name for check in checks.diagnose(alone)} == set()
