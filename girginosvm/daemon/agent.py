"""``girginosvm agent``: HTTP, reconcilers, libvirt. Reads the database itself, proposes over the socket.

``--dev`` runs the supervisor of both processes; ``--fake-host`` a host in a file, without root.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import resource
import signal
import socket
from pathlib import Path

from girginosvm import __version__
from girginosvm.core import points, settings
from girginosvm.core.clock import SystemChance, SystemClock
from girginosvm.core.errors import Busy, HostFault, Problem, Unknown, first_problem
from girginosvm.core.log import Log
from girginosvm.core.pages import ASSETS
from girginosvm.core.settings import Settings
from girginosvm.daemon import dev, identity
from girginosvm.daemon.bring import bring_in
from girginosvm.daemon.center import CenterReconciler
from girginosvm.daemon.certificate import CertificateReconciler, names_of
from girginosvm.daemon.compose import Base, Parts, compose
from girginosvm.daemon.desk import Watch
from girginosvm.daemon.listening import Listener
from girginosvm.daemon.members import MembersReconciler
from girginosvm.daemon.parted import PartedReconciler
from girginosvm.daemon.reconcile import Rounds
from girginosvm.daemon.retention import RetentionReconciler
from girginosvm.daemon.secrets import ClusterKey, load_key
from girginosvm.daemon.trust import TrustReconciler
from girginosvm.daemon.waiting import Waiting
from girginosvm.features.auth.api import anybody
from girginosvm.features.cluster.api import key_mark
from girginosvm.features.event.queries import of_entry
from girginosvm.features.image.reconciler import ImageReconciler
from girginosvm.features.membership.api import standing
from girginosvm.features.network.reconciler import NetworkReconciler
from girginosvm.features.node.api import addresses
from girginosvm.features.node.reconciler import NodeReconciler
from girginosvm.features.registry import REGISTRY
from girginosvm.features.site import Site
from girginosvm.features.storage.reconciler import StorageReconciler
from girginosvm.features.vm.reconciler import VmReconciler
from girginosvm.http.door import Door
from girginosvm.http.events import Hub
from girginosvm.http.server import application
from girginosvm.raft.changes import Change
from girginosvm.raft.client import Client
from girginosvm.raft.standing import Status
from girginosvm.state.reader import Reader, Readers

AGAIN = -1
_TURN_S = 10.0
_PAUSE_S = 0.2
_FILES = 16_384


class Agent:
    """One life of the process; ``run`` composes, serves, and takes apart."""

    def __init__(self, config: Settings, log: Log) -> None:
        self._config = config
        self._log = log
        self._heard: asyncio.Queue[Change | None] = asyncio.Queue()
        self._readers = Readers(config.path("db", "state.db"))
        changed = self._heard.put_nowait
        self._client = Client(config.run_path("raft.sock"), release=__version__, changed=changed, log=log)
        self._watch = Watch()
        self._rounds = Rounds(log)
        self._base = Base(
            config, node_name(config), log, SystemClock(), SystemChance(), self._readers, self._client, self._watch,
            self._rounds,
        )  # fmt: skip
        self._parts: Parts | None = None
        self._doors: tuple[Door, ...] = ()
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._stop = asyncio.Event()
        self._again = False
        self._told = False  # to end: also while this life ends for the next one

    async def run(self) -> int:
        """Until SIGTERM or SIGINT, or until a part that must live has died. ``AGAIN``: this node has become another
        member, and the next life begins as that one."""
        stop = self._stop
        for sign in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(sign, self._end)
        async with asyncio.TaskGroup() as group:
            line = group.create_task(self._client.run())
            waiter = group.create_task(stop.wait())
            served = group.create_task(self._serve(group))
            await asyncio.wait({waiter, served}, return_when=asyncio.FIRST_COMPLETED)
            if served.done() and not served.cancelled():
                served.result()
                await waiter
            for task in (served, *self._tasks):
                task.cancel()
            self._rounds.end()
            await self._close()
            if self._again:  # nobody of this process has the database open any more
                await self._turn_raft()
            line.cancel()
        return AGAIN if self._again and not self._told else 0

    def _end(self) -> None:
        self._told = True
        self._stop.set()

    async def _turn_raft(self) -> None:
        try:
            async with asyncio.timeout(_TURN_S):
                await self._client.turn("again")
                await self._client.left()
        except (Problem, TimeoutError) as fault:  # it may be on its way already; the next life finds out
            self._log.warning("agent.raft-not-turned", fault=repr(fault))

    def _become(self) -> None:
        """This life ends, for what lies prepared on the disk, or for what the raft process has become already."""
        self._again = True
        self._stop.set()

    async def _serve(self, group: asyncio.TaskGroup) -> None:
        await self._heard.get()  # the first line to the raft process: its database and our member id are there
        self._database = self._file()
        if self._config.path("join", "ready").exists():  # the life before died between the two
            self._become()
            return
        self._me = identity.load(self._config.path("raft", "member.json"))
        await self._arrived(self._me.member)
        if self._again:
            return
        founded, mark = await self._readers.read(lambda reader: (anybody(reader), key_mark(reader)))
        key = load_key(self._config.path("pki", "cluster.key"), self._base.chance, founded=founded, mark=mark)
        self._parts = parts = compose(self._base, self._me, key, leave=self._become)
        state = await self._readers.read(lambda reader: (reader.incarnation, reader.applied_index))
        hub = Hub(*state, lines=lambda index: self._readers.glance(lambda reader: of_entry(reader, index)))
        await self._watch.moved(state[1])
        listener = Listener(self._heard, hub, self._watch, self._readers, same=self._same, rounds=self._rounds)
        self._tasks = (group.create_task(listener.run()),)
        # Among others this node may be cut off from them: its panel answers all the same, before it has said anything.
        among = bool((await self._standing()).members)
        keeper = await self._open(parts, hub) if among else None
        await parts.beginning.said("" if mark else key.mark)
        parts.voice.begin(await self._readers.read(lambda reader: reader.applied_index))
        await bring_in(self._config.path("raft", "bring"), self._me.member, self._base.name, parts.say, self._log)
        if not self._config.witness:
            await ImageReconciler(parts.site).sweep()
            self._look_after_host(parts.site, group)
        keeper = keeper or await self._open(parts, hub)
        self._look_after_others(parts, keeper, key, group)
        if not self._config.witness:
            await self._follow_host(parts.site)

    def _look_after_host(self, site: Site, group: asyncio.TaskGroup) -> None:
        """What people want of this host."""
        rooms = (
            NodeReconciler(site, self._base.name), StorageReconciler(site), NetworkReconciler(site),
            ImageReconciler(site), VmReconciler(site),
        )  # fmt: skip
        self._rounds.begin(group, rooms)

    def _look_after_others(
        self, parts: Parts, keeper: CertificateReconciler, key: ClusterKey, group: asyncio.TaskGroup
    ) -> None:
        """What a node owes the others, and a leader everybody."""
        membership, read, say, node = parts.desk.membership, self._readers.read, parts.voice.say, self._me.member
        status, log = self._client.status, self._log
        duties = (
            keeper,
            MembersReconciler(membership, self._client, parts.certificates, read=read, say=say, log=log),
            CenterReconciler(self._doors[0], keeper.shown, node=node, read=read, say=say, log=log),
            TrustReconciler(
                parts.certificates, keeper, key, self._config.path("pki", "cluster.key"), node=node, read=read, say=say,
                status=status, log=log,
            ),
            PartedReconciler(membership, self._client, read=read, log=log),
            RetentionReconciler(status=status, read=read, say=say, clock=self._base.clock),
        )  # fmt: skip
        self._rounds.begin(group, duties)

    async def _arrived(self, member: str) -> None:
        """A node that has just joined, or has lost its database, waits for the cluster's state: until its own row is in
        it, the database is one that nobody may speak from. One that has read of its own removal answers, too: it can
        still leave."""

        def there(reader: Reader) -> bool:
            tables = reader.one("SELECT count(*) AS n FROM sqlite_schema WHERE name IN ('member', 'user')")
            return bool(tables and tables["n"] == 2 and standing(reader, member) != "unknown")

        others, lacking = self._config.path("raft", "roster").exists(), ""
        with contextlib.suppress(Problem):  # it has gone meanwhile: the file says enough, and the state is waited for
            status = await self._client.status()
            others, lacking = others or bool(status.members), status.lacking
        if others and not await self._readers.read(there):
            self._log.warning("agent.waits-for-state", detail=lacking or "the others send what this node does not have")
            async with Waiting(self._config, self._client, self._base.clock, self._log, leave=self._become):
                while not await self._readers.read(there):
                    if await self._heard.get() is None and not self._same():
                        return

    async def _standing(self) -> Status:
        """How agreement stands; the raft process may go away meanwhile, and come back."""
        while True:
            try:
                return await self._client.status()
            except (Busy, Unknown):
                await asyncio.sleep(_PAUSE_S)

    def _same(self) -> bool:
        """The raft process may have come back as another member, or with another database: then this life ends, which
        has the old one open."""
        if self._client.member != self._me.member:
            self._log.warning("agent.member-changed", member=self._client.member)
            self._become()
        elif self._file() != self._database:
            self._log.warning("agent.database-changed")
            self._become()
        return not self._again

    def _file(self) -> int:
        """Which file the database is: what is open here is the one of that name only as long as this stays."""
        with contextlib.suppress(OSError):  # of none that is there, 0: no file has that inode
            return self._config.path("db", "state.db").stat().st_ino
        return 0

    async def _open(self, parts: Parts, hub: Hub) -> CertificateReconciler:
        site, certificates, called = parts.site, parts.certificates, self._base.name
        app = application(REGISTRY, parts.desk, hub, self._log, assets=ASSETS)
        door = Door(app)
        self._doors = (door,)
        await door.unix(self._config.run_path("agent.sock"))
        # As last reported: looking anew may take seconds, and the keeper of the certificate hears of what has changed.
        own = (self._config.address,) if self._config.address else ()
        known = await site.read(lambda reader: addresses(reader, site.node))
        certificates.ensure(names_of(called, (*known, *own)))
        keeper = CertificateReconciler(
            certificates, node=site.node, called=called, read=site.read, clock=site.clock, log=self._log, own=own
        )
        place = f"{self._config.bind}:{self._config.port}"
        try:
            port = await door.tcp(self._config.bind, self._config.port, keeper.shown)
        except OSError as fault:
            raise HostFault(
                "port-taken", f"cannot listen on {place}: {os.strerror(fault.errno or 0)}",
                hint=f"ss -ltnp 'sport = :{self._config.port}' shows who does; port and bind are settings",
            ) from fault  # fmt: skip
        parts.desk.membership.port = port
        self._log.info("agent.up", port=port, ca_sha256=certificates.fingerprint(), fake_host=self._config.fake_host)
        return keeper

    async def _follow_host(self, site: Site) -> None:
        """libvirt's events: something happened to a machine, so the vm room looks again. Guests' taps and bridges
        change with them, so the network room looks too."""
        async for event in site.host.domains.events():
            self._log.debug("host.event", machine=event.id, what=event.what)
            for room in ("vm", "network"):
                self._rounds.wake(room)

    async def _close(self) -> None:
        for door in self._doors:
            await door.close()
        if self._parts is not None:
            await self._parts.site.host.close()
        self._readers.close()


def node_name(config: Settings) -> str:
    """The node's name: as set, or the host's, made fit for a name (RFC 1123 2.1)."""
    raw = config.node_name or socket.gethostname().split(".")[0]
    return re.sub(r"[^a-z0-9-]+", "-", raw.lower()).strip("-")[:63] or "node"


def room_for_files() -> None:
    """As many open files as the host allows, and no more than anybody needs: what a service begins with (1,024,
    systemd.exec(5)) is fewer than the connections that the port takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main(argv: list[str]) -> int:
    """Parse, load the settings, run or supervise; problems end the process with their own exit code."""
    parser = argparse.ArgumentParser(prog="girginosvm agent", description="The agent of this node.")
    parser.add_argument("--root", default="/", help="where /etc, /var/lib and /run lie")
    parser.add_argument("--dev", action="store_true", help="run every process of a node, without systemd")
    parser.add_argument("--fake-host", action="store_true", help="machines that are only played; needs no root")
    parser.add_argument("--port", type=int, help="TLS port of the panel and the API (default 1996)")
    parser.add_argument(dev.CHILD_FLAG, type=int, dest="parent", help=argparse.SUPPRESS)
    known = parser.parse_args(argv)
    root = str(Path(known.root).resolve())
    log = Log()
    os.umask(0o022)
    try:
        config = settings.load(root, os.environ, port=known.port, fake_host=known.fake_host or None)
        if config.fake_host:
            log.warning("host.fake", meaning="NO REAL MACHINES: everything about the host is played from a file")
        if known.dev:
            return asyncio.run(_supervise(known, root, log))
        if known.parent:
            dev.die_with(known.parent)
        points.name_process("agent")
        room_for_files()
        while True:
            code = asyncio.run(Agent(config, Log(level=config.log_level).bind(process="agent")).run())
            if code != AGAIN:
                return code
    except (Problem, ExceptionGroup) as fault:
        problem = first_problem(fault)
        if problem is None:
            raise
        log.error("agent.refused", code=problem.code, detail=problem.detail, hint=problem.hint)
        return type(problem).exit_code


async def _supervise(known: argparse.Namespace, root: str, log: Log) -> int:
    extra = {
        "agent": [*(["--fake-host"] if known.fake_host else []), *(["--port", str(known.port)] if known.port else [])]
    }
    return await dev.supervise(("raft", "agent"), ["--root", root], log, extra=extra)
