"""What a node says of its own health: gathered here, judged by the diagnostics room (``checks``)."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from girginosvm import __version__
from girginosvm.core import access, settings
from girginosvm.core.action import Stream
from girginosvm.core.errors import Problem, Unauthenticated
from girginosvm.core.settings import Settings
from girginosvm.daemon import quorum
from girginosvm.daemon.membership import Membership
from girginosvm.daemon.place import Place
from girginosvm.features.auth import api as auth
from girginosvm.features.center import api as centers
from girginosvm.features.diagnostics import checks, facts, queries
from girginosvm.features.diagnostics.facts import Facts
from girginosvm.features.diagnostics.model import Diagnosis, Quorum
from girginosvm.features.diagnostics.words import Sentence
from girginosvm.features.image import api as images
from girginosvm.features.membership.api import Row
from girginosvm.features.node import api as nodes
from girginosvm.features.operation import api as operations
from girginosvm.features.site import Site
from girginosvm.features.storage import api as storage
from girginosvm.features.times import rfc3339
from girginosvm.features.vm import api as vms
from girginosvm.features.vm.strays import strays
from girginosvm.http import ages, outward
from girginosvm.http.desk import Answer, Caller
from girginosvm.hypervisor import own
from girginosvm.raft.standing import Status
from girginosvm.state.reader import Reader

STREAMS: Final = (queries.ShowQuorum, queries.ShowDoctor)
PLACES: Final = ("db", "raft", "pki", "storage", "images", "seeds", "serial")
_SOUND_BYTES: Final = 512 * 1024 * 1024  # a larger database is not read as a whole in passing
_HISTORY: Final = 20_000
_HOST_S: Final = 5.0
_OLD_TOKEN_MS: Final = 180 * 86_400_000
# Given on the command line, or not a setting of the file.
_NOT_THE_FILES: Final = frozenset({"root", "port", "fake_host"})


class Diagnostics:
    """The desk's part for diagnostics. ``work`` names what the node's rounds last could not do."""

    def __init__(
        self, site: Site, membership: Membership, *, context: Callable[[], ssl.SSLContext],
        work: Callable[[], Iterable[str]],
    ) -> None:  # fmt: skip
        self._site = site
        self._config: Settings = site.settings
        self._membership = membership
        self._context = context
        self._work = work
        self._examining: asyncio.Task[Diagnosis] | None = None

    async def perform(self, stream: Stream, caller: Caller) -> Answer:
        """See ``Desk.perform``; for the requests in ``STREAMS``."""
        if caller.actor is None:
            raise Unauthenticated("sign-in-needed", "this needs a bearer token")
        access.check(caller.actor, stream.action.permission)
        if isinstance(stream, queries.ShowDoctor):
            return Answer(value=await self.examine())
        shown = await self._quorum(*await self._membership.seen())
        return Answer(value=shown, index=shown.applied_index)

    async def _quorum(self, place: Place, rows: tuple[Row, ...], standing: Status | Problem) -> Quorum:
        machines = not (self._config.witness or self._config.fake_host)
        return await quorum.look(
            place, rows, standing, libvirt_uri=self._config.libvirt_uri if machines else "",
            notice=self._membership.notice,
        )  # fmt: skip

    async def examine(self) -> Diagnosis:
        """Everything, judged. However many ask at once, it is looked once: it reads the whole database."""
        if self._examining is None:
            self._examining = asyncio.create_task(self._examine())
            self._examining.add_done_callback(self._examined)
        return await asyncio.shield(self._examining)

    def _examined(self, done: asyncio.Task[Diagnosis]) -> None:
        self._examining = None
        if not done.cancelled():
            done.exception()  # whoever waits gets it, if somebody still does

    async def _examine(self) -> Diagnosis:
        """What cannot be looked at is a fault of its own, and keeps nothing else from being."""
        found = checks.diagnose(await self._gathered())
        place = await self._membership.place()
        return Diagnosis(
            verdict=checks.verdict(found), node=place.name, version=__version__, at=rfc3339(self._site.clock.wall_ms()),
            checks=found,
        )  # fmt: skip

    async def _gathered(self) -> Facts:
        now_ms = self._site.clock.wall_ms()
        place, rows, standing = await self._membership.seen()
        status = standing if isinstance(standing, Status) else None
        others = {row.name: row.api for row in rows if row.id != self._site.node and row.api}
        shown, database, tables, hypervisor, offsets, strayed = await asyncio.gather(
            self._quorum(place, rows, standing),
            self._database(),
            self._tables(now_ms),
            self._hypervisor(),
            self._offsets(others),
            self._strays(),
        )  # fmt: skip
        changed, refused = await asyncio.to_thread(settings_since, self._config)
        return Facts(
            agreement=agreement_of(shown, status, *self._membership.told),
            journal=journal_of(status, own.size_of(self._config.path("raft", "journal"))),
            database=database, offsets=offsets, hypervisor=hypervisor, strays=strayed,
            log_ahead_ms=status.last_at_ms - now_ms if status else 0,
            rooms=rooms(self._config),
            certificates=certificates(self._config.path("pki"), now_ms),
            cluster_key_days=days_since(self._config.path("pki", "cluster.key"), now_ms),
            ports=self._ports(status, tables.center), pools=tables.pools, images=tables.images,
            images_lost=tables.images_lost, pending=tables.pending, silent_nodes=tables.silent,
            releases=await self._releases(),
            tokens_endless=tables.tokens, work=tuple(self._work()), settings_changed=changed, settings_problem=refused,
        )  # fmt: skip

    async def _releases(self) -> facts.Releases | None:
        try:
            seen = await self._membership.status()
        except Problem:  # the database's own check says why
            return None
        return facts.Releases({one.name: one.release for one in seen.members}, seen.level, seen.level_said)

    async def _database(self) -> facts.Database:
        """Bounded: what takes longer than a few seconds is said to be unfinished."""
        path = self._config.path("db", "state.db")
        size, wal = _size(path), _size(path.with_name("state.db-wal"))
        unfinished = ""
        fault, history, events = "", "", 0
        if size > _SOUND_BYTES:
            unfinished = "its pages were not read: it is too large for a look in passing"
        else:
            try:
                fault = await self._site.read(Reader.sound)
            except Problem as late:
                unfinished = f"not all of its pages were read: {late.detail}"
        try:
            done = await self._site.read(lambda reader: reader.checked_end(_HISTORY))
        except Problem as late:
            unfinished = unfinished or f"not all of its history was read: {late.detail}"
        else:
            events = min(done.mark.events, _HISTORY)
            if done.broken is not None:
                history = f"the history is not as it was written from entry {done.broken} on"
        return facts.Database(size, wal, fault, history, events, unfinished)

    async def _tables(self, now_ms: int) -> Tables:
        """What the rows say of this node."""
        node = self._site.node

        def fetch(reader: Reader) -> Tables:
            files = images.files(reader, node)
            lost = tuple(name for name, file in files if not self._site.image_path(file).exists())
            running = tuple(
                facts.Pending(one.id, one.kind, one.subject, one.step, max(0, now_ms - one.since_ms) // 60_000)
                for one in operations.running(reader, node)
            )
            pools = tuple(facts.Pool(*msgspec.structs.astuple(pool)) for pool in storage.found(reader, node))
            return Tables(
                pools, len(files), lost, running, nodes.silent(reader), auth.endless(reader, now_ms - _OLD_TOKEN_MS),
                centers.of_node(reader, node).bind,
            )  # fmt: skip

        try:
            found: Tables = await self._site.read(fetch)
        except Problem:  # the database's own check says why
            return Tables()
        return found if not self._config.witness else msgspec.structs.replace(found, images=None)

    async def _hypervisor(self) -> facts.Hypervisor | None:
        if self._config.witness:
            return None
        try:
            async with asyncio.timeout(_HOST_S):
                seen = await self._site.host.facts.observe()
        except Problem as fault:
            return facts.Hypervisor("", "", "", "", fault.detail)
        except TimeoutError:
            return facts.Hypervisor("", "", "", "", f"libvirt does not answer within {_HOST_S:g} s")
        return facts.Hypervisor(seen.libvirt, seen.qemu, seen.acceleration.value, seen.acceleration_reason)

    async def _strays(self) -> tuple[facts.Stray, ...] | None:
        """None when this host has no machines, or cannot be looked at: libvirt's own check says why."""
        if self._config.witness:
            return None
        try:
            # Before and after: a machine that comes or goes meanwhile is no stray.
            before = await self._site.read(vms.held)
            async with asyncio.timeout(_HOST_S):
                domains = await self._site.host.domains.observe()
            held = before | await self._site.read(vms.held)
        except (Problem, TimeoutError):
            return None
        found = strays(domains, held, self._site.node)
        return tuple(facts.Stray(one.id, one.domain, one.runs, one.elsewhere) for one in found)

    async def _offsets(self, others: Mapping[str, str]) -> tuple[facts.Offset, ...]:
        """The clocks of the nodes that answer; who does not is the quorum's to say."""
        found = await asyncio.gather(*(self._offset(name, api) for name, api in sorted(others.items())))
        return tuple(one for one in found if one is not None)

    async def _offset(self, name: str, api: str) -> facts.Offset | None:
        clock = self._site.clock
        began_ms, wall_ms = clock.monotonic_ms(), clock.wall_ms()
        try:
            theirs_ms = await outward.date_of(f"https://{api}", context=self._context())
        except Problem:
            return None
        took_ms = clock.monotonic_ms() - began_ms
        return facts.Offset(name, theirs_ms - (wall_ms + took_ms // 2), 500 + took_ms // 2)

    def _ports(self, status: Status | None, center: str) -> tuple[facts.Port, ...]:
        wanted = [(self._membership.port, "panel and API")]
        if status is not None and status.members:
            wanted.append((self._config.raft_port, "Raft"))
        if center:
            wanted.append((int(center.rpartition(":")[2]), "center"))
        listening = own.listening()
        return tuple(facts.Port(number, what, number in listening) for number, what in wanted)


class Tables(msgspec.Struct, frozen=True):
    """What one read of the database brought."""

    pools: tuple[facts.Pool, ...] = ()
    images: int | None = None
    images_lost: tuple[str, ...] = ()
    pending: tuple[facts.Pending, ...] | None = None
    silent: tuple[str, ...] | None = None
    tokens: tuple[str, ...] | None = None
    center: str = ""


def agreement_of(shown: Quorum, status: Status | None, removed: str = "", parted: str = "") -> facts.Agreement:
    """Of the quorum, what the doctor judges. Pure."""
    others = [one for one in shown.members if not one.here]
    return facts.Agreement(
        quorum=shown.quorum, says=Sentence(shown.code, shown.values),
        leads=status is not None and status.role == "leader",
        leader_age_ms=shown.leader_age_ms, halted=status.halted if status else "",
        not_applied=status.commit_index - status.applied_index if status else 0, voters=shown.voters,
        leader=shown.leader, voters_reached=shown.voters_reached,
        may_fail=shown.may_fail, unreached=tuple(one.name for one in others if one.reached is False),
        behind={one.name: one.lag for one in others if one.lag is not None},
        lacking=status.lacking if status else "", removed=removed, parted=parted,
        closed=tuple(one.name for one in others if one.reached and one.panel is False),
    )  # fmt: skip


def journal_of(status: Status | None, disk_bytes: int) -> facts.Journal | None:
    """The journal as the raft process meets it. Pure; None when that process does not say."""
    if status is None:
        return None
    now = status.journal
    return facts.Journal(
        now.segments, now.used_bytes, disk_bytes, now.cut_bytes, now.flush_ms, now.worst_flush_ms, now.flushing_ms,
        status.trouble,
    )  # fmt: skip


def rooms(config: Settings) -> tuple[facts.Room, ...]:
    """The file systems that this node writes to."""
    found = own.file_systems(config.path(place) for place in PLACES)
    return tuple(facts.Room(one.places, one.free_bytes, one.capacity_bytes, one.free_inodes) for one in found)


def certificates(pki: Path, now_ms: int) -> tuple[facts.Certificate, ...]:
    """The cluster's CA, and what this node shows."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    found = [("ca", ages.age_of(pki / "ca.crt", now=now)), ("server", ages.age_of(pki / "server.pem", now=now))]
    return tuple(facts.Certificate(kind, age.path, age.age_days, age.days_left, age.problem) for kind, age in found)


def days_since(path: Path, now_ms: int) -> int | None:
    """Whole days since a file was last written; None when it is not there."""
    try:
        return max(0, now_ms - path.stat().st_mtime_ns // 1_000_000) // 86_400_000
    except OSError:
        return None


def settings_since(config: Settings) -> tuple[tuple[str, ...], str]:
    """Names of the settings that a start would read differently now; or why it would be refused."""
    try:
        now = settings.load(config.root, os.environ)
    except Problem as problem:
        return (), problem.detail
    names = [name for name in Settings.__struct_fields__ if name not in _NOT_THE_FILES]
    return tuple(name for name in names if getattr(now, name) != getattr(config, name)), ""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
