"""A cluster's life in a few hundred entries: every room's commands, their refusals, repeats and old age. Recorded, it
is the golden log of a release."""

from __future__ import annotations

from typing import Any

import msgspec
from features.engine import ADMIN, FACTS, NODE, Engine
from features.story_members import centers, members, recovery
from features.teller import ADA, HASH, Teller

from girginosvm.core.host import DiskSpec, FoundDomain, FoundNic, Power
from girginosvm.core.units import GIB
from girginosvm.features.auth import commands as auth
from girginosvm.features.cluster.commands import FoundCluster, RaiseLevel, RecordKeyMark
from girginosvm.features.event.commands import PruneHistory, SetRetention
from girginosvm.features.image.commands import PullImage, RecordImage, RemoveImage, ReportImage
from girginosvm.features.network.commands import AddNetwork, RemoveNetwork
from girginosvm.features.node.commands import (
    BeginMaintenance,
    CordonNode,
    EndMaintenance,
    ReportAway,
    ReportNode,
    ReportRelease,
    SetDomain,
    UncordonNode,
)
from girginosvm.features.operation.commands import FailOperation
from girginosvm.features.storage.commands import AddPool, ForgetDisk, RemovePool, ReportPool
from girginosvm.features.vm.commands import AdoptVm, CreateVm, DestroyVm
from girginosvm.features.vm.power import RebootVm, StartVm, StopVm
from girginosvm.features.vm.queries import ShowVm
from girginosvm.features.vm.reports import ReportForeign, ReportVm

TAGS = tuple("abcdefgh")
DAY_MS = 24 * 3600 * 1000


def tell(engine: Engine) -> None:
    """Everything, in order."""
    teller = Teller(engine)
    chapters = (
        cluster, storage, networks, images, machines, nodes, foreign, people, members, centers, recovery, old_age,
    )  # fmt: skip
    for chapter in chapters:
        chapter(teller)


def cluster(t: Teller) -> None:
    t.refused("image-missing", _web(t))
    t.say(FoundCluster(pool_path="/var/lib/girginosvm/storage"))
    t.refused("founded", FoundCluster(pool_path="/elsewhere"))
    t.say(RecordKeyMark(mark="a" * 64))
    t.say(RecordKeyMark(mark="a" * 64))
    t.refused("cluster-key-damaged", RecordKeyMark(mark="b" * 64))
    t.say(ReportNode(node=NODE, name="h1", facts=FACTS))
    t.say(ReportNode(node="n2", name="h2", facts=FACTS, reserve_bytes=GIB), node="n2")
    t.refused("not-your-row", ReportNode(node="n2", name="h2", facts=FACTS))
    t.say(ReportNode(node=NODE, name="h1", facts=FACTS, reserve_bytes=2 * GIB))
    t.refused("node-name-taken", ReportNode(node="n3", name="h1", facts=FACTS), node="n3")
    for release in ("0.0.9", "0.1.0"):
        t.say(ReportRelease(node=NODE, release=release, level=1))
    t.refused("not-your-row", ReportRelease(node=NODE, release="0.1.0", level=2), node="n2")
    t.refused("level-passed", RaiseLevel(level=1, voters=(NODE,), reached=(NODE,), steps=()))
    t.refused("level-held", RaiseLevel(level=2, voters=(NODE,), reached=(NODE,), steps=()))


def storage(t: Teller) -> None:
    t.say(AddPool(name="fast", path="/srv/fast", reserve_percent=10), actor=ADA, key="pool-1")
    t.say(AddPool(name="fast", path="/srv/fast", reserve_percent=10), actor=ADA, key="pool-1")
    t.refused("pool-exists", AddPool(name="fast", path="/srv/other"))
    t.refused("path-odd", AddPool(name="odd", path="/srv/../etc"))
    t.say(AddPool(name="spare", path="/srv/spare"))
    for name, problem in (("default", ""), ("fast", "read-only file system"), ("fast", "")):
        t.say(_room(t, name, problem=problem))
    t.refused("not-your-row", _room(t, "fast"), node="n2")
    t.say(RemovePool(pool=t.id("pool", "spare")), actor=ADA)
    t.refused("pool-missing", RemovePool(pool="none"))


def networks(t: Teller) -> None:
    t.say(AddNetwork(name="office", bridge="br-office", cidr="192.0.2.0/29", gateway="192.0.2.1", dns=("192.0.2.1",)))
    t.say(AddNetwork(name="plain", bridge="br-plain", mtu=9000))
    t.refused("network-exists", AddNetwork(name="office", bridge="br-new"))
    t.refused("network-invalid", AddNetwork(name="bad", bridge="br-bad", cidr="192.0.2.0/33"))
    t.say(RemoveNetwork(network=t.id("network", "plain")))
    t.refused("network-missing", RemoveNetwork(network="none"))


def images(t: Teller) -> None:
    t.say(_image("tiny", state="ready"))
    t.refused("image-exists", _image("tiny"))
    t.refused("not-looked-up", PullImage(name="debian-12"))
    pulled = t.say(_image("debian", signed=True, source="https://mirror.example"))["image"]
    t.refused("image-pulling", _web(t, image=pulled))
    t.say(ReportImage(image=pulled, node=NODE, state="ready", virtual_bytes=3 * GIB))
    broken = t.say(_image("broken"))["image"]
    t.say(ReportImage(image=broken, node=NODE, state="failed", problem_code="digest", problem="it is another file"))
    t.say(_image("broken"))
    gone = t.id("image", "broken")
    t.say(RemoveImage(image=gone))
    t.say(ReportImage(image=gone, node=NODE, state="gone"))
    t.refused("not-your-row", ReportImage(image=gone, node="n2", state="gone"))


def machines(t: Teller) -> None:
    web = t.say(_web(t, disk_gb=10, ssh_keys=("ssh-ed25519 AAAA ada",), tags=TAGS), actor=ADA, key="web")["vm"]
    assert t.say(_web(t, disk_gb=10, ssh_keys=("ssh-ed25519 AAAA ada",), tags=TAGS), actor=ADA, key="web")
    t.refused("name-taken", _web(t))
    t.refused("disk-too-small", _web(t, name="small", image=t.id("image", "debian"), disk_gb=1))
    t.refused("memory-short", _web(t, name="huge", memory_mb=1024 * 1024))
    t.refused("pool-full", _web(t, name="wide", disk_gb=60000))
    t.refused("address-outside", _web(t, name="far", network=t.id("network", "office"), address="198.51.100.1"))
    for n in range(5):
        t.say(_web(t, name=f"office{n}", network=t.id("network", "office"), full_copy=n == 4))
    t.refused("addresses-exhausted", _web(t, name="office5", network=t.id("network", "office")))
    t.node_says(web, "stopped", step="building its disk")
    t.node_says(web, "running", reason="booted", reached=1, acceleration="tcg")
    t.node_says(web, "running", reason="booted", reached=1, acceleration="tcg", agent=True)
    seen = tuple(t.engine.reader.seen(table, column, web) for table, column in ShowVm.rows)
    t.refused("report-late", ReportVm(vm=web, node=NODE, state="stopped", sequence=1))
    t.say(RebootVm(vm=web), actor=ADA, seen=seen)
    t.refused("etag-mismatch", RebootVm(vm=web), actor=ADA, seen=seen)
    t.node_says(web, "running", reached=2, reboots=1)
    t.say(StopVm(vm=web, force=True, after_s=30))
    operation = t.say(StartVm(vm=web))["operation"]
    t.say(FailOperation(operation=operation), actor=ADA)
    t.node_says(web, "crashed", problem_code="qemu-died", problem="QEMU was killed", failed=4)
    t.refused("vm-running", DestroyVm(vm=web))
    t.say(StopVm(vm=web, graceful=True))
    t.refused("vm-off", RebootVm(vm=web))
    t.refused("image-in-use", RemoveImage(image=t.id("image", "tiny")))
    _ends(t, web)


def _ends(t: Teller, web: str) -> None:
    t.say(DestroyVm(vm=web, force=True))
    t.refused("vm-doomed", StartVm(vm=web))
    t.node_says(web, "gone", reached=6)
    t.refused("vm-missing", StartVm(vm=web))
    kept = t.engine.rows("SELECT id FROM disk_kept")[0]["id"]
    t.say(ForgetDisk(disk=kept), actor=ADA)
    t.refused("disk-missing", ForgetDisk(disk=kept))
    purged = t.id("vm", "office0")
    t.say(DestroyVm(vm=purged, purge=True, force=True))
    t.node_says(purged, "gone", reached=2)
    t.refused("network-in-use", RemoveNetwork(network=t.id("network", "office")))
    t.refused("pool-in-use", RemovePool(pool=t.id("pool", "default")))


def nodes(t: Teller) -> None:
    """Two nodes with room: placement, its reasons and refusals, and what people say of nodes."""
    t.say(_room(t, "default", node="n2"), node="n2")
    t.say(SetDomain(node="n2", domain="rack2"), actor=ADA)
    t.say(SetDomain(node=NODE, domain="rack1"))
    t.say(SetDomain(node=NODE, domain=""))
    first = t.say(_web(t, name="db1", anti_affinity="db"))["node"]
    assert {first, t.say(_web(t, name="db2", anti_affinity="db"))["node"]} == {NODE, "n2"}
    t.refused("group-apart", _web(t, name="db3", anti_affinity="db"))
    t.say(CordonNode(node=NODE), actor=ADA)
    t.say(BeginMaintenance(node="n2"), actor=ADA)
    t.refused("node-cordoned", _web(t, name="db3"))
    t.say(EndMaintenance(node="n2"))
    assert t.say(_web(t, name="pinned", node="n2"))["node"] == "n2"
    tiny = t.id("image", "tiny")
    away = {"problem_code": "node-unreachable", "problem": "h1 is not reached", "state": "failed"}
    t.say(ReportImage(image=tiny, node="n2", sequence=1, **away), node="n2")
    t.say(ReportImage(image=tiny, node="n2", state="ready", sequence=2), node="n2")
    t.refused("report-late", ReportImage(image=tiny, node="n2", sequence=1, **away), node="n2")
    t.refused("node-cordoned", _web(t, name="db3", node=NODE))
    t.say(UncordonNode(node=NODE))
    t.refused("node-missing", CordonNode(node="n9"))
    t.say(ReportAway(node="n2", away=True))
    t.refused("node-unheard", _web(t, name="lost", node="n2"))
    t.say(ReportAway(node="n2", away=False), node="n2")
    t.later(200_000)
    t.refused("node-unheard", _web(t, name="late", node="n2"))
    old = msgspec.structs.replace(FACTS, firmwares=("bios",))
    t.say(ReportNode(node=NODE, name="h1", facts=old, reserve_bytes=2 * GIB))
    t.refused("firmware-missing", _web(t, name="late", firmware="uefi", node=NODE))


def foreign(t: Teller) -> None:
    found = FoundDomain(
        id="11111111-2222-4333-8444-555555555555", name="mail", ours=False, power=Power.RUNNING, vcpu=2,
        memory_bytes=GIB, disks=(DiskSpec("/srv/mail.qcow2", "qcow2", "vda"),),
        nics=(FoundNic("52:54:00:aa:bb:cc", "virbr7", "vnet3"),),
    )  # fmt: skip
    t.say(ReportForeign(node=NODE, domains=(found,)))
    t.say(ReportForeign(node="n2", domains=(found,)), node="n2")
    t.refused("foreign-missing", AdoptVm(vm="99999999-2222-4333-8444-555555555555"))
    t.refused("foreign-twice", AdoptVm(vm=found.id))
    t.say(AdoptVm(vm=found.id, name="post", node=NODE), actor=ADA)
    t.refused("vm-exists", AdoptVm(vm=found.id, name="copy"))
    t.say(ReportForeign(node=NODE, domains=()))
    back = msgspec.structs.replace(
        found, id="22222222-2222-4333-8444-555555555555", name="back-22222222", ours=True, generation=7,
        disks=(DiskSpec("/srv/back.qcow2", "qcow2", "vda"),), nics=(),
    )  # fmt: skip
    t.say(ReportForeign(node="n2", domains=(found, back)), node="n2")
    t.say(AdoptVm(vm=back.id, name="back"), actor=ADA)
    t.say(ReportForeign(node="n2", domains=(found,)), node="n2")


def people(t: Teller) -> None:
    t.say(auth.FoundAdministrator(email="admin@local", password=HASH))
    t.refused("administrator-exists", auth.FoundAdministrator(email="b@local", password=HASH))
    bob = t.say(auth.CreateUser(email="Bob@example.org", password=HASH), actor=ADA)["user"]
    t.refused("user-exists", auth.CreateUser(email="bob@example.org", password=HASH))
    t.say(auth.SetPassword(user=bob, password=HASH + "2", must_change=False))
    for _ in range(2):
        t.say(auth.CountAttempt(email="bob@example.org", address="192.0.2.9"))
    session = auth.OpenSession(user=bob, token_hash="a" * 64, address="192.0.2.9")
    t.say(session)
    t.refused("refresh-too-early", auth.RotateSession(token_hash="a" * 64, new_hash="b" * 64))
    t.later(8 * 3600 * 1000 - 60_000)
    t.say(auth.RotateSession(token_hash="a" * 64, new_hash="b" * 64))
    t.say(auth.CloseSession(token_hash="b" * 64))
    t.say(auth.DisableUser(user=bob))
    t.refused("sign-in-failed", session)
    t.say(auth.EnableUser(user=bob))
    t.refused("last-administrator", auth.DisableUser(user=t.engine.rows("SELECT id FROM user ORDER BY role")[0]["id"]))
    token = t.say(auth.RecordToken(name="billing", role="operator", token_hash="c" * 64, days=90))["token"]
    t.refused("token-exists", auth.RecordToken(name="billing", role="viewer", token_hash="d" * 64))
    t.say(auth.RevokeToken(token=token), actor=ADMIN)


def old_age(t: Teller) -> None:
    """A day goes by: outcomes are forgotten, and what is older is not executed."""
    first = t.engine.rows("SELECT request_id FROM request ORDER BY request_id LIMIT 1")[0]["request_id"]
    t.later(DAY_MS + 1)
    t.say(AddPool(name="late", path="/srv/late"))
    t.refused("stale-request", AddPool(name="later", path="/srv/later"), request_id=first)
    t.refused("request-id-invalid", StartVm(vm="x"), request_id="no id")
    now_ms = t.engine.now_ms
    assert t.say(PruneHistory(events_before_ms=now_ms, operations_before_ms=now_ms)) == {"events": 0, "operations": 0}
    t.later(3 * DAY_MS)
    first = t.say(PruneHistory(events_before_ms=now_ms, operations_before_ms=now_ms))
    assert first["events"] > 20
    assert first["operations"] > 5
    assert t.say(PruneHistory(events_before_ms=now_ms))["events"] == 0
    assert t.say(SetRetention(event_days=730)) == {"event_days": 730, "operation_days": 90}


def _room(t: Teller, pool: str, **fields: Any) -> ReportPool:
    size = 200 * GIB
    words = {"node": NODE} | fields
    return ReportPool(pool=t.id("pool", pool), capacity_bytes=size, free_bytes=size, allocated_bytes=0, **words)


def _image(name: str, **fields: Any) -> RecordImage:
    words = {"source": "upload", "format": "qcow2", "virtual_bytes": GIB, "size_bytes": 1} | fields
    return RecordImage(name=name, node=NODE, sha256="0" * 64, **words)


def _web(t: Teller, **fields: Any) -> CreateVm:
    words = {"name": "web01"} | fields
    for noun, name in (("image", "tiny"), ("network", "default"), ("pool", "default")):
        found = t.engine.rows(f"SELECT id FROM {noun} WHERE name = ?", name)
        words.setdefault(noun, found[0]["id"] if found else "none")
    return CreateVm(**words)
