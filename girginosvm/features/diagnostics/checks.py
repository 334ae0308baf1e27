"""The doctor's judgement. Pure: facts in; a state, a sentence and what to do out. What was not looked at is not
said."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from girginosvm.core.units import GIB, MIB, shown
from girginosvm.core.words import own
from girginosvm.features.diagnostics import facts as f
from girginosvm.features.diagnostics.facts import Facts
from girginosvm.features.diagnostics.model import Check, State
from girginosvm.features.diagnostics.words import said

LATE_MS: Final = 1_000  # a leader speaks ten times a second
BEHIND_ENTRIES: Final = 200  # as ``raft.membership.CAUGHT_UP_ENTRIES``
SLOW_FLUSH_MS: Final = 500
HUNG_FLUSH_MS: Final = 3_000  # a leader steps down
CA_DAYS: Final = 60
SERVER_DAYS: Final = 25  # it is renewed 30 days before its end
OFFSET_WARN_MS: Final = 5_000
OFFSET_FAIL_MS: Final = 60_000
LOG_AHEAD_MS: Final = 600_000
HANGS_MINUTES: Final = 15
WAL_BYTES: Final = 512 * MIB
JOURNAL_BYTES: Final = 2 * GIB
_STRAYS: Final = 5  # that are named
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
    return [said("agent", "fail", "agent.away", "agent", why=facts.agent)]


def leader(facts: Facts) -> list[Check]:
    """Changes are possible, and this node takes part in them."""
    now = facts.agreement
    if now is None:
        return [said("raft", "fail", "raft.away", "raft", why=facts.raft)] if facts.raft else []
    if now.removed:
        return [said("raft", "fail", "raft.removed", "raft.removed", why=now.removed)]
    if now.parted:  # also with a leader and a majority: there are two clusters then
        return [said("raft", "fail", "raft.removed", "raft.parted", why=now.parted)]
    if now.halted:
        return [said("raft", "fail", "quorum.halted", "raft", why=now.halted)]
    if now.lacking:
        return [said("raft", "fail", "raft.lacking", "raft.lacking", why=now.lacking)]
    if not now.quorum:
        return [said("raft", "fail", now.says.code, "raft.stands", **now.says.values)]
    if now.unreached:
        stands: dict[str, str | int] = {"leader": now.leader, "reached": now.voters_reached, "voters": now.voters}
        return [said("raft", "warn", "raft.unreached", "raft.unreached", names=", ".join(now.unreached), **stands)]
    if now.leader_age_ms is not None and now.leader_age_ms >= LATE_MS:
        return [said("raft", "warn", "raft.late", "raft.late", seconds=f"{now.leader_age_ms / 1000:.1f}")]
    if now.closed:
        return [said("raft", "warn", "raft.closed", "raft.closed", names=", ".join(now.closed))]
    return [said("raft", "ok", now.says.code, **now.says.values)]


def lag(facts: Facts) -> list[Check]:
    """Nobody is far behind."""
    now = facts.agreement
    if now is None:
        return []
    far = [
        said("lag", "warn", "lag.lacks", "lag", name=name, count=count)
        for name, count in sorted(now.behind.items()) if count > BEHIND_ENTRIES
    ]  # fmt: skip
    if now.not_applied > BEHIND_ENTRIES:
        far.insert(0, said("lag", "warn", "lag.not-applied", "lag", count=now.not_applied))
    return far or ([said("lag", "ok", "lag.ok")] if now.behind else [])


def journal(facts: Facts) -> list[Check]:
    """The disk takes what is promised, soon."""
    now = facts.journal
    if now is None:
        return []
    if now.trouble:
        return [said("journal", "fail", "journal.trouble", "journal.trouble", why=now.trouble)]
    if now.flushing_ms >= HUNG_FLUSH_MS:
        return [said("journal", "fail", "journal.hung", "journal.slow", seconds=round(now.flushing_ms / 1000))]
    if now.worst_flush_ms >= SLOW_FLUSH_MS:
        return [said("journal", "warn", "journal.slow", "journal.slow", ms=now.worst_flush_ms)]
    if now.disk_bytes > JOURNAL_BYTES:
        return [said("journal", "warn", "journal.large", "journal.large", size=shown(now.disk_bytes))]
    cut = [said("journal", "ok", "journal.cut", bytes=now.cut_bytes)] if now.cut_bytes else []
    size = shown(now.used_bytes)
    return [*cut, said("journal", "ok", "journal.ok", size=size, files=now.segments, ms=now.worst_flush_ms)]


def database(facts: Facts) -> list[Check]:
    """The tables hold together, and the history is as it was written."""
    now = facts.database
    if now is None:
        return []
    found = []
    if now.fault:
        found.append(said("database", "fail", "database.fault", "database.damaged", why=now.fault))
    elif now.wal_bytes > WAL_BYTES:
        found.append(said("database", "warn", "database.wal", "database.wal", size=shown(now.wal_bytes)))
    elif now.unfinished:
        size = shown(now.size_bytes + now.wal_bytes)
        found.append(said("database", "ok", "database.unfinished", size=size, why=now.unfinished))
    else:
        found.append(said("database", "ok", "database.ok", size=shown(now.size_bytes + now.wal_bytes)))
    if now.history:
        found.append(said("history", "fail", "history.broken", "history", why=now.history))
    elif now.events:
        found.append(said("history", "ok", "history.ok", count=now.events))
    return found


def disk(facts: Facts) -> list[Check]:
    """Each file system that we write to has room."""
    return [_room(room) for room in facts.rooms]


def _room(room: f.Room) -> Check:
    where = _together(room.places)
    if room.free_inodes is not None and room.free_inodes < 100:
        return said("disk", "fail", "disk.inodes", "disk", count=room.free_inodes, where=where, place=room.places[0])
    state: State = "ok"
    if room.free_bytes < 64 * MIB:
        state = "fail"
    elif room.free_bytes < GIB or room.free_bytes * 20 < room.capacity_bytes:
        state = "warn"
    free, capacity = shown(room.free_bytes), shown(room.capacity_bytes)
    values: dict[str, str | int] = {"free": free, "all": capacity, "where": where, "place": room.places[0]}
    return said("disk", state, "disk.room", "" if state == "ok" else "disk", **values)


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
    soon = CA_DAYS if one.kind == "ca" else SERVER_DAYS
    do = f"certificate.{one.kind}"
    if one.problem:
        code = f"certificate.{one.kind}-unreadable"
        return said("certificate", "fail", code, "certificate.file", why=one.problem, path=one.path)
    if one.days_left <= 0:
        return said("certificate", "fail", f"certificate.{one.kind}-ended", do, days=-one.days_left)
    if one.days_left <= soon:
        return said("certificate", "warn", f"certificate.{one.kind}-ends", do, days=one.days_left)
    return said("certificate", "ok", f"certificate.{one.kind}-ok", age=one.age_days, days=one.days_left)


def cluster_key(facts: Facts) -> list[Check]:
    """How old the key is that secrets are sealed with: for people to know."""
    if facts.cluster_key_days is None:
        return []
    return [said("cluster key", "ok", "key.age", days=facts.cluster_key_days)]


def clock(facts: Facts) -> list[Check]:
    """Wall clocks decide nothing in agreement; they do for tokens, certificates and people."""
    found = _log_time(facts)
    if not facts.offsets:
        return found
    worst = max(facts.offsets, key=lambda one: (abs(one.offset_ms), one.node))
    off_ms = max(0, abs(worst.offset_ms) - worst.within_ms)
    state: State = "fail" if off_ms >= OFFSET_FAIL_MS else "warn" if off_ms >= OFFSET_WARN_MS else "ok"
    if state == "ok":
        return [*found, said("clock", "ok", "clock.ok", seconds=OFFSET_WARN_MS // 1000, count=len(facts.offsets))]
    code = "clock.ahead" if worst.offset_ms > 0 else "clock.behind"
    return [*found, said("clock", state, code, "clock", name=worst.node, seconds=int(f"{off_ms / 1000:.0f}"))]


def _log_time(facts: Facts) -> list[Check]:
    """The log's time never goes back, so one leader that began with a wrong clock is seen for long."""
    if facts.log_ahead_ms < LOG_AHEAD_MS:
        return []
    return [said("clock", "warn", "clock.log", "clock.log", minutes=facts.log_ahead_ms // 60_000)]


def hypervisor(facts: Facts) -> list[Check]:
    """libvirt and QEMU answer, and guests run at full speed."""
    now = facts.hypervisor
    if now is None:
        return []
    if now.problem or not now.libvirt:
        return [
            said("libvirt", "fail", "libvirt.problem", "libvirt", why=now.problem) if now.problem
            else said("libvirt", "fail", "libvirt.away", "libvirt")
        ]  # fmt: skip
    if not now.qemu:
        return [said("libvirt", "fail", "libvirt.qemu", "libvirt.qemu")]
    if now.acceleration != "kvm":
        return [
            said(
                "libvirt",
                "warn",
                "libvirt.tcg",
                "libvirt.tcg",
                libvirt=now.libvirt,
                qemu=now.qemu,
                why=own(now.reason, "acceleration"),
            )
        ]
    return [said("libvirt", "ok", "libvirt.ok", libvirt=now.libvirt, qemu=now.qemu)]


def machines(facts: Facts) -> list[Check]:
    """Every domain of ours on this host is a machine that the cluster has here: what is not, nobody looks after, and it
    may run a second time elsewhere. It is said, and neither started nor ended."""
    if facts.strays is None:
        return []
    if not facts.strays:
        return [said("machines", "ok", "machines.ok")]
    found = [_stray(one) for one in facts.strays[:_STRAYS]]
    more = len(facts.strays) - len(found)
    return [*found, said("machines", "warn", "machines.more", "machines.more", count=more)] if more else found


def _stray(one: f.Stray) -> Check:
    state: State = "fail" if one.runs else "warn"
    if one.elsewhere:
        code = "machines.twice" if one.runs else "machines.elsewhere"
        return said("machines", state, code, code, domain=one.domain, id=one.id, name=one.elsewhere)
    code = "machines.unknown" if one.runs else "machines.unknown-off"
    return said("machines", state, code, code, domain=one.domain, id=one.id)


def pools(facts: Facts) -> list[Check]:
    """Pools are there and have more free than their reserve."""
    return [_pool(pool) for pool in facts.pools]


def _pool(pool: f.Pool) -> Check:
    room: dict[str, str | int] = {"name": pool.name, "free": shown(pool.free_bytes), "all": shown(pool.capacity_bytes)}
    if pool.problem:
        return said("pool", "fail", "pool.problem", "pool", name=pool.name, why=pool.problem)
    if pool.free_bytes * 100 < pool.capacity_bytes:
        return said("pool", "fail", "pool.full", "pool", **room)
    if pool.free_bytes * 100 < pool.capacity_bytes * pool.reserve_percent:
        return said("pool", "warn", "pool.reserve", "pool", percent=pool.reserve_percent, **room)
    return said("pool", "ok", "pool.ok", **room)


def images(facts: Facts) -> list[Check]:
    """Each image that this node has says it has it."""
    if facts.images_lost:
        names, count = ", ".join(facts.images_lost), len(facts.images_lost)
        return [
            said("images", "fail", "images.lost-one", "images", names=names) if count == 1
            else said("images", "fail", "images.lost", "images", names=names, count=count)
        ]  # fmt: skip
    if facts.images is None:
        return []
    return [
        said("images", "ok", "images.ok", count=facts.images) if facts.images else said("images", "ok", "images.none")
    ]


def ports(facts: Facts) -> list[Check]:
    """What should listen does."""
    deaf = [f"{port.number} ({port.what})" for port in facts.ports if not port.listens]
    if deaf:
        number = next(port.number for port in facts.ports if not port.listens)
        return [said("ports", "fail", "ports.deaf", "ports", ports=", ".join(deaf), port=str(number))]
    open_ones = ", ".join(f"{port.number} ({port.what})" for port in facts.ports)
    return [said("ports", "ok", "ports.ok", ports=open_ones)] if facts.ports else []


def operations(facts: Facts) -> list[Check]:
    """Nothing has been running for so long that somebody should look."""
    if facts.pending is None:
        return []
    late = sorted((one for one in facts.pending if one.minutes >= HANGS_MINUTES), key=lambda one: -one.minutes)
    if not late:
        return [said("operations", "ok", "operations.ok", count=len(facts.pending))]
    first = late[0]
    return [
        said(
            "operations", "warn", "operations.late", "operations", id=first.id, count=len(late), limit=HANGS_MINUTES,
            kind=first.kind, name=first.subject, minutes=first.minutes, why=own(first.step, "step"),
        )
    ]  # fmt: skip


def nodes(facts: Facts) -> list[Check]:
    """Nobody has fallen silent."""
    if facts.silent_nodes:
        return [said("nodes", "warn", "nodes.silent", "nodes", names=", ".join(facts.silent_nodes))]
    return [] if facts.silent_nodes is None else [said("nodes", "ok", "nodes.ok")]


def releases(facts: Facts) -> list[Check]:
    """An upgrade that was begun is ended."""
    now = facts.releases
    if now is None:
        return []
    by: dict[str, list[str]] = {}
    for name, release in sorted(now.of.items()):
        by.setdefault(release or "?", []).append(name)
    runs = "; ".join(f"{', '.join(names)}: {release}" for release, names in sorted(by.items()))
    if len(by) > 1:
        return [said("releases", "warn", "releases.differ", "releases", runs=runs, why=[now.why])]
    return [said("releases", "ok", "releases.ok", level=now.level)]


def tokens(facts: Facts) -> list[Check]:
    """No key is left lying for ever."""
    if facts.tokens_endless:
        return [said("tokens", "warn", "tokens.endless", "tokens", names=", ".join(facts.tokens_endless))]
    return [] if facts.tokens_endless is None else [said("tokens", "ok", "tokens.ok")]


def work(facts: Facts) -> list[Check]:
    """The node's own rounds get done what they should."""
    if facts.work:
        return [said("work", "warn", "work.fails", "work", why="; ".join(facts.work))]
    return [] if facts.work is None else [said("work", "ok", "work.ok")]


def settings(facts: Facts) -> list[Check]:
    """What the next start would read is what this process has read."""
    if facts.settings_problem:
        return [said("settings", "fail", "settings.refused", "settings.refused", why=facts.settings_problem)]
    if facts.settings_changed:
        return [
            said("settings", "warn", "settings.changed", "settings.changed", names=", ".join(facts.settings_changed))
        ]
    return [] if facts.settings_changed is None else [said("settings", "ok", "settings.ok")]


CHECKS: Final[tuple[Callable[[Facts], list[Check]], ...]] = (
    agent, leader, lag, journal, database, disk, certificates, cluster_key, clock, hypervisor, machines, pools, images,
    ports, operations, nodes, releases, tokens, work, settings,
)  # fmt: skip
