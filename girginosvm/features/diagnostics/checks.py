"""The doctor's judgement. Pure: facts in; a state, a sentence and what to do out. What was not looked at is not
said."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from girginosvm.core.units import GIB, MIB, shown
from girginosvm.features.diagnostics import facts as f
from girginosvm.features.diagnostics.facts import Facts
from girginosvm.features.diagnostics.model import Check, State

LATE_MS: Final = 1_000  # a leader speaks ten times a second
BEHIND_ENTRIES: Final = 200  # as ``raft.membership.CAUGHT_UP_ENTRIES``
SLOW_FLUSH_MS: Final = 500
HUNG_FLUSH_MS: Final = 3_000  # a leader steps down
CA_DAYS: Final = 60
SERVER_DAYS: Final = 25  # it is renewed 30 days before its end
OFFSET_WARN_MS: Final = 5_000
OFFSET_FAIL_MS: Final = 60_000
HANGS_MINUTES: Final = 15
WAL_BYTES: Final = 512 * MIB
JOURNAL_BYTES: Final = 2 * GIB
_WORST: Final[dict[State, int]] = {"fail": 0, "warn": 1, "ok": 2}


def diagnose(facts: Facts) -> list[Check]:
    """All checks, the worst first, else in a fixed order."""
    found = [check for one in CHECKS for check in one(facts)]
    return sorted(found, key=lambda check: _WORST[check.state])


def verdict(checks: Iterable[Check]) -> State:
    """The worst of them."""
    return min((check.state for check in checks), key=lambda state: _WORST[state], default="ok")


def agent(facts: Facts) -> list[Check]:
    """Somebody answers at all."""
    if not facts.agent:
        return []
    do = "systemctl status girginosvm girginosvm-raft; journalctl -u girginosvm"
    return [Check("agent", "fail", facts.agent, do)]


def leader(facts: Facts) -> list[Check]:
    """Changes are possible, and this node takes part in them."""
    now = facts.agreement
    if now is None:
        return [Check("raft", "fail", facts.raft, "journalctl -u girginosvm-raft -n 50")] if facts.raft else []
    if now.removed:
        return [Check("raft", "fail", now.removed, "girginosvm membership leave --confirm")]
    if now.halted:
        return [Check("raft", "fail", f"this node takes no part: {now.halted}", "journalctl -u girginosvm-raft -n 50")]
    if now.lacking:
        return [Check("raft", "fail", now.lacking, "girginosvm explain database-behind; look again: it is fetched")]
    if not now.quorum:
        return [Check("raft", "fail", now.says, "girginosvm quorum")]
    if now.unreached:
        detail = f"{now.says}; not reached: {', '.join(now.unreached)}"
        return [Check("raft", "warn", detail, "systemctl status girginosvm-raft, on those nodes")]
    if now.leader_age_ms is not None and now.leader_age_ms >= LATE_MS:
        detail = f"the leader was last heard {now.leader_age_ms / 1000:.1f} s ago"
        return [Check("raft", "warn", detail, "look again; ping the leader's address if it stays so")]
    if now.closed:
        detail = f"{', '.join(now.closed)}: reached by the Raft port, and not by the API's"
        return [Check("raft", "warn", detail, "systemctl status girginosvm, on those nodes; and the firewall between")]
    return [Check("raft", "ok", now.says)]


def lag(facts: Facts) -> list[Check]:
    """Nobody is far behind."""
    now = facts.agreement
    if now is None:
        return []
    far = [f"{name} lacks {count:,} entries" for name, count in sorted(now.behind.items()) if count > BEHIND_ENTRIES]
    if now.not_applied > BEHIND_ENTRIES:
        far.insert(0, f"this node has not applied {now.not_applied:,} entries yet")
    if far:
        return [Check("lag", "warn", "; ".join(far), "look again: the number falls while they catch up")]
    return [Check("lag", "ok", "nobody that is reached is behind")] if now.behind else []


def journal(facts: Facts) -> list[Check]:
    """The disk takes what is promised, soon."""
    now = facts.journal
    if now is None:
        return []
    slow = "look for what else writes to that disk: iostat -x 1"
    if now.trouble:
        return [Check("journal", "fail", now.trouble, "dmesg | tail; df -h /var/lib/girginosvm")]
    if now.flushing_ms >= HUNG_FLUSH_MS:
        return [Check("journal", "fail", f"a flush has been running for {now.flushing_ms / 1000:.0f} s", slow)]
    if now.worst_flush_ms >= SLOW_FLUSH_MS:
        return [Check("journal", "warn", f"one of the last 64 flushes took {now.worst_flush_ms:,} ms", slow)]
    if now.disk_bytes > JOURNAL_BYTES:
        detail = f"the journal has {shown(now.disk_bytes)}: it is not compacted"
        return [Check("journal", "warn", detail, "journalctl -u girginosvm-raft | grep journal.not-compacted")]
    cut = f"; its last start cut {now.cut_bytes:,} bytes off that were never acknowledged" if now.cut_bytes else ""
    files = "1 file" if now.segments == 1 else f"{now.segments} files"
    detail = f"{shown(now.used_bytes)} in {files}, the slowest of the last 64 flushes took {now.worst_flush_ms} ms{cut}"
    return [Check("journal", "ok", detail)]


def database(facts: Facts) -> list[Check]:
    """The tables hold together, and the history is as it was written."""
    now = facts.database
    if now is None:
        return []
    rebuilt = "girginosvm explain database-damaged"
    found = []
    if now.fault:
        found.append(Check("database", "fail", f"the database is damaged: {now.fault}", rebuilt))
    elif now.wal_bytes > WAL_BYTES:
        detail = f"its write-ahead log has {shown(now.wal_bytes)}: something keeps it from being made up"
        found.append(Check("database", "warn", detail, "systemctl restart girginosvm"))
    else:
        rest = f"; {now.unfinished}" if now.unfinished else ""
        found.append(Check("database", "ok", f"{shown(now.size_bytes + now.wal_bytes)}, no fault found{rest}"))
    if now.history:
        found.append(Check("history", "fail", now.history, "girginosvm event verify"))
    elif now.events:
        detail = f"the last {now.events:,} events are as they were written"
        found.append(Check("history", "ok", detail))
    return found


def disk(facts: Facts) -> list[Check]:
    """Each file system that we write to has room."""
    return [_room(room) for room in facts.rooms]


def _room(room: f.Room) -> Check:
    where = _together(room.places)
    do = f"df -h {room.places[0]}; df -i {room.places[0]}"
    detail = f"{shown(room.free_bytes)} of {shown(room.capacity_bytes)} are free for {where}"
    if room.free_inodes is not None and room.free_inodes < 100:
        return Check("disk", "fail", f"{room.free_inodes} inodes are free for {where}", do)
    if room.free_bytes < 64 * MIB:
        return Check("disk", "fail", detail, do)
    if room.free_bytes < GIB or room.free_bytes * 20 < room.capacity_bytes:
        return Check("disk", "warn", detail, do)
    return Check("disk", "ok", detail)


def _together(places: tuple[str, ...]) -> str:
    """``/a/b, /a/c`` as ``/a (b, c)``."""
    parents = sorted({place.rpartition("/")[0] for place in places})
    if len(parents) > 1:
        return ", ".join(places)
    return f"{parents[0]} ({', '.join(place.rpartition('/')[2] for place in places)})"


def certificates(facts: Facts) -> list[Check]:
    """They are read, and good for a while."""
    return [_certificate(one) for one in facts.certificates]


def _certificate(one: f.Certificate) -> Check:
    what = "the cluster's CA" if one.kind == "ca" else "this node's certificate"
    soon = CA_DAYS if one.kind == "ca" else SERVER_DAYS
    do = "girginosvm membership status" if one.kind == "ca" else "journalctl -u girginosvm | grep certificate"
    if one.problem:
        return Check("certificate", "fail", f"{what} cannot be read: {one.problem}", f"ls -l {one.path}")
    if one.days_left <= 0:
        return Check("certificate", "fail", f"{what} ended {-one.days_left} days ago", do)
    if one.days_left <= soon:
        return Check("certificate", "warn", f"{what} ends in {one.days_left} days, and was not renewed", do)
    return Check("certificate", "ok", f"{what} is {one.age_days} days old and ends in {one.days_left} days")


def cluster_key(facts: Facts) -> list[Check]:
    """How old the key is that secrets are sealed with: for people to know."""
    if facts.cluster_key_days is None:
        return []
    return [Check("cluster key", "ok", f"it was last changed {facts.cluster_key_days} days ago")]


def clock(facts: Facts) -> list[Check]:
    """Wall clocks decide nothing in agreement; they do for tokens, certificates and people."""
    if not facts.offsets:
        return []
    worst = max(facts.offsets, key=lambda one: (abs(one.offset_ms), one.node))
    off_ms = max(0, abs(worst.offset_ms) - worst.within_ms)
    state: State = "fail" if off_ms >= OFFSET_FAIL_MS else "warn" if off_ms >= OFFSET_WARN_MS else "ok"
    if state == "ok":
        return [Check("clock", "ok", f"within {OFFSET_WARN_MS // 1000} s of {len(facts.offsets)} other nodes")]
    way = "ahead of" if worst.offset_ms > 0 else "behind"
    detail = f"the clock of {worst.node} is {off_ms / 1000:,.0f} s {way} this node's"
    return [Check("clock", state, detail, "timedatectl, on both; systemctl restart chronyd where it is wrong")]


def hypervisor(facts: Facts) -> list[Check]:
    """libvirt and QEMU answer, and guests run at full speed."""
    now = facts.hypervisor
    if now is None:
        return []
    if now.problem or not now.libvirt:
        detail = now.problem or "libvirt does not answer"
        return [Check("libvirt", "fail", detail, "systemctl status libvirtd virtqemud; virsh -c qemu:///system list")]
    versions = f"libvirt {now.libvirt}, QEMU {now.qemu}"
    if not now.qemu:
        return [Check("libvirt", "fail", "QEMU is not there, or does not start", "apt install qemu-system-x86")]
    if now.acceleration != "kvm":
        detail = f"{versions}; machines run without acceleration: {now.reason}"
        return [Check("libvirt", "warn", detail, "ls -l /dev/kvm; grep -c -E 'vmx|svm' /proc/cpuinfo")]
    return [Check("libvirt", "ok", f"{versions}, KVM")]


def machines(facts: Facts) -> list[Check]:
    """Every domain of ours on this host is a machine that the cluster has here: what is not, nobody looks after, and it
    may run a second time elsewhere. It is said, and neither started nor ended."""
    if facts.strays is None:
        return []
    if not facts.strays:
        return [Check("machines", "ok", "no domain of ours is on this host that the cluster does not have here")]
    first, more = facts.strays[0], len(facts.strays) - 1
    detail = _stray(first) + (f"; {more} more like it" if more else "")
    state: State = "fail" if first.runs else "warn"
    return [Check("machines", state, detail, _stray_next(first))]


def _stray(one: f.Stray) -> str:
    what = f"domain {one.domain} ({one.id}) {'runs' if one.runs else 'is defined'} on this host, and the cluster"
    if one.elsewhere:
        so = "it may run twice" if one.runs else "it must not be started here"
        return f"{what} has this machine on {one.elsewhere}: {so}"
    return f"{what} does not have it: nobody looks after it, and its addresses may be given to others"


def _stray_next(one: f.Stray) -> str:
    end = f"virsh destroy {one.domain}; virsh undefine --nvram {one.domain}" if one.runs else (
        f"virsh undefine --nvram {one.domain}"
    )  # fmt: skip
    if one.elsewhere:
        return f"girginosvm vm show {one.id}; where it does not belong, once that is sure: {end}"
    return f"girginosvm vm adopt {one.id}; or, when nobody needs it any more: {end}"


def pools(facts: Facts) -> list[Check]:
    """Pools are there and have more free than their reserve."""
    return [_pool(pool) for pool in facts.pools]


def _pool(pool: f.Pool) -> Check:
    do = "girginosvm storage pool list; girginosvm storage disk list"
    free = f"{shown(pool.free_bytes)} of {shown(pool.capacity_bytes)} are free"
    if pool.problem:
        return Check("pool", "fail", f"pool {pool.name}: {pool.problem}", do)
    if pool.free_bytes * 100 < pool.capacity_bytes:
        return Check("pool", "fail", f"pool {pool.name} is full: {free}", do)
    if pool.free_bytes * 100 < pool.capacity_bytes * pool.reserve_percent:
        return Check("pool", "warn", f"pool {pool.name}: {free}, less than its reserve of {pool.reserve_percent} %", do)
    return Check("pool", "ok", f"pool {pool.name}: {free}")


def images(facts: Facts) -> list[Check]:
    """Each image that this node has says it has it."""
    if facts.images_lost:
        names = ", ".join(facts.images_lost)
        many = "1 image has" if len(facts.images_lost) == 1 else f"{len(facts.images_lost)} images have"
        detail = f"{many} no file on this node any more: {names}"
        return [Check("images", "fail", detail, "girginosvm image list; girginosvm image rm NAME, and fetch it again")]
    if facts.images is None:
        return []
    detail = f"all {facts.images} images of this node have their files" if facts.images else "no image is on this node"
    return [Check("images", "ok", detail)]


def ports(facts: Facts) -> list[Check]:
    """What should listen does."""
    deaf = [f"{port.number} ({port.what})" for port in facts.ports if not port.listens]
    if deaf:
        number = next(port.number for port in facts.ports if not port.listens)
        return [Check("ports", "fail", f"nothing listens on {', '.join(deaf)}", f"ss -ltnp 'sport = :{number}'")]
    open_ones = ", ".join(f"{port.number} ({port.what})" for port in facts.ports)
    return [Check("ports", "ok", f"listening: {open_ones}")] if facts.ports else []


def operations(facts: Facts) -> list[Check]:
    """Nothing has been running for so long that somebody should look."""
    if facts.pending is None:
        return []
    late = sorted((one for one in facts.pending if one.minutes >= HANGS_MINUTES), key=lambda one: -one.minutes)
    if not late:
        return [Check("operations", "ok", f"{len(facts.pending)} run, none for long")]
    first = late[0]
    detail = (
        f"{len(late)} run for more than {HANGS_MINUTES} minutes; {first.kind} of {first.subject} for {first.minutes}: "
        f"{first.step}"
    )
    return [Check("operations", "warn", detail, f"girginosvm operation show {first.id}")]


def nodes(facts: Facts) -> list[Check]:
    """Nobody has fallen silent."""
    if facts.silent_nodes:
        detail = f"not reached, or silent for more than three minutes: {', '.join(facts.silent_nodes)}"
        return [Check("nodes", "warn", detail, "girginosvm node list; systemctl status girginosvm, on those")]
    return [] if facts.silent_nodes is None else [Check("nodes", "ok", "no node is silent")]


def releases(facts: Facts) -> list[Check]:
    """An upgrade that was begun is ended."""
    now = facts.releases
    if now is None:
        return []
    by: dict[str, list[str]] = {}
    for name, release in sorted(now.of.items()):
        by.setdefault(release or "a release that it has not said", []).append(name)
    runs = "; ".join(f"{', '.join(names)}: {release}" for release, names in sorted(by.items()))
    if len(by) > 1:
        detail = f"different releases ({runs}); {now.reason}"
        return [Check("releases", "warn", detail, "girginosvm membership status; upgrade the older nodes")]
    return [Check("releases", "ok", f"every node runs the same release, at feature level {now.level}")]


def tokens(facts: Facts) -> list[Check]:
    """No key is left lying for ever."""
    if facts.tokens_endless:
        names = ", ".join(facts.tokens_endless)
        detail = f"tokens without an end, older than half a year: {names}"
        return [Check("tokens", "warn", detail, "girginosvm token revoke NAME, when nobody uses it any more")]
    return [] if facts.tokens_endless is None else [Check("tokens", "ok", "no old token is without an end")]


def work(facts: Facts) -> list[Check]:
    """The node's own rounds get done what they should."""
    if facts.work:
        return [Check("work", "warn", "; ".join(facts.work), "girginosvm health; girginosvm event list")]
    return [] if facts.work is None else [Check("work", "ok", "every round of this node gets done")]


def settings(facts: Facts) -> list[Check]:
    """What the next start would read is what this process has read."""
    if facts.settings_problem:
        detail = f"the next start would be refused: {facts.settings_problem}"
        return [Check("settings", "fail", detail, "girginosvm doctor settings")]
    if facts.settings_changed:
        detail = f"changed since the agent began: {', '.join(facts.settings_changed)}"
        return [Check("settings", "warn", detail, "systemctl restart girginosvm-raft girginosvm")]
    return [] if facts.settings_changed is None else [Check("settings", "ok", "as the agent has read them")]


CHECKS: Final[tuple[Callable[[Facts], list[Check]], ...]] = (
    agent, leader, lag, journal, database, disk, certificates, cluster_key, clock, hypervisor, machines, pools, images,
    ports, operations, nodes, releases, tokens, work, settings,
)  # fmt: skip
