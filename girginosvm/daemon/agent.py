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
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from girginosvm import __version__
from girginosvm.core import points, settings
from girginosvm.core.access import Actor, Role
from girginosvm.core.action import Command
from girginosvm.core.clock import SystemChance, SystemClock
from girginosvm.core.errors import HostFault, Problem, first_problem
from girginosvm.core.ids import member_uri
from girginosvm.core.log import Log
from girginosvm.core.pages import ASSETS
from girginosvm.core.settings import Settings
from girginosvm.daemon import dev, identity
from girginosvm.daemon.beginning import Beginning
from girginosvm.daemon.bring import bring_in
from girginosvm.daemon.center import CenterReconciler
from girginosvm.daemon.certificate import CertificateReconciler, names_of
from girginosvm.daemon.contact import Contact
from girginosvm.daemon.desk import Watch
from girginosvm.daemon.doctor import Diagnostics
from girginosvm.daemon.execute import Answer, Executor
from girginosvm.daemon.front import Desk
from girginosvm.daemon.host import create, full_places, gone_for_good, here, open_host, pull
from girginosvm.daemon.listening import Listener
from girginosvm.daemon.members import MembersReconciler
from girginosvm.daemon.membership import Membership
from girginosvm.daemon.parted import PartedReconciler
from girginosvm.daemon.reconcile import Loop
from girginosvm.daemon.retention import RetentionReconciler
from girginosvm.daemon.secrets import ClusterKey, Turns, hash_password, load_key
from girginosvm.daemon.signin import SignIn
from girginosvm.daemon.survivor import Survivor
from girginosvm.daemon.trust import TrustReconciler
from girginosvm.daemon.voice import Voice
from girginosvm.features.auth.api import anybody
from girginosvm.features.center.commands import DemoteCenter, PromoteCenter
from girginosvm.features.cluster.api import key_mark
from girginosvm.features.image.commands import PullImage
from girginosvm.features.image.reconciler import ImageReconciler
from girginosvm.features.membership.api import api_of, standing
from girginosvm.features.membership.commands import DrainMember, OrderLead, RemoveMember, UndrainMember
from girginosvm.features.network.reconciler import NetworkReconciler
from girginosvm.features.node.api import addresses
from girginosvm.features.node.queries import Health
from girginosvm.features.node.reconciler import NodeReconciler
from girginosvm.features.registry import REGISTRY
from girginosvm.features.site import Site
from girginosvm.features.storage.reconciler import StorageReconciler
from girginosvm.features.vm.commands import CreateVm
from girginosvm.features.vm.reconciler import VmReconciler
from girginosvm.http.door import Door
from girginosvm.http.events import Hub
from girginosvm.http.peers import Members
from girginosvm.http.server import application
from girginosvm.http.tls import Identity
from girginosvm.raft.changes import Change
from girginosvm.raft.propose import Client
from girginosvm.state.reader import Reader, Readers, Sight

AGAIN = -1
_TURN_S = 10.0
_FILES = 16_384


class _Parts(NamedTuple):
    """What one life is composed of, once its keys are there."""

    desk: Desk
    site: Site
    say: Callable[..., Awaitable[Answer]]  # to the log, as this node or as somebody
    voice: Voice
    certificates: Identity
    beginning: Beginning


class Agent:
    """One life of the process; ``run`` composes, serves, and takes apart."""

    def __init__(self, config: Settings, log: Log) -> None:
        self._config = config
        self._log = log
        self._clock, self._chance = SystemClock(), SystemChance()
        self._watch = Watch()
        self._heard: asyncio.Queue[Change | None] = asyncio.Queue()
        self._loops: list[Loop] = []
        self._stop = asyncio.Event()
        self._again = False
        self._desk: Desk | None = None
        self._beginning: Beginning | None = None
        self._readers = Readers(config.path("db", "state.db"))
        self._client = Client(config.run_path("raft.sock"), release=__version__, changed=self._heard.put, log=log)

    async def run(self) -> int:
        """Until SIGTERM or SIGINT, or until a part that must live has died. ``AGAIN``: this node has become another
        member, and the next life begins as that one."""
        stop = self._stop
        for sign in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(sign, stop.set)
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
            await self._close()
            if self._again:  # nobody of this process has the database open any more
                with contextlib.suppress(Problem, TimeoutError):
                    async with asyncio.timeout(_TURN_S):
                        await self._client.turn("again")
                        await self._client.left()
            line.cancel()
        return AGAIN if self._again else 0

    def _become(self) -> None:
        """This life ends, for what lies prepared on the disk, or for what the raft process has become already."""
        self._again = True
        self._stop.set()

    _tasks: tuple[asyncio.Task[Any], ...] = ()
    _doors: tuple[Door, ...] = ()

    async def _serve(self, group: asyncio.TaskGroup) -> None:
        await self._heard.get()  # the first line to the raft process: its database and our member id are there
        self._database = self._file()
        if self._config.path("join", "ready").exists():  # the life before died between the two
            self._become()
            return
        self._me = identity.load(self._config.path("raft", "member.json"))
        await self._arrived(self._me.member)
        founded, mark = await self._readers.read(lambda reader: (anybody(reader), key_mark(reader)))
        key = load_key(self._config.path("pki", "cluster.key"), self._chance, founded=founded, mark=mark)
        parts = self._composed(self._client.member, key)
        desk, site = parts.desk, parts.site
        state = await self._readers.read(lambda reader: (reader.incarnation, reader.applied_index))
        hub = Hub(*state)
        await self._watch.moved(state[1])
        listener = Listener(self._heard, hub, self._watch, self._readers, same=self._same, loops=lambda: self._loops)
        self._tasks = (group.create_task(listener.run()),)
        # Among others this node may be cut off from them: its panel answers all the same, before it has said anything.
        among = bool((await self._client.status()).members)
        keeper = await self._open(desk, hub, site, parts.certificates) if among else None
        await parts.beginning.said("" if mark else key.mark)
        parts.voice.begin(await self._readers.read(lambda reader: reader.applied_index))
        await bring_in(self._config.path("raft", "bring"), site.node, _node_name(self._config), parts.say, self._log)
        if not self._config.witness:
            await ImageReconciler(site).sweep()
            self._reconcile(site, group)
        keeper = keeper or await self._open(desk, hub, site, parts.certificates)
        self._look_after(parts, keeper, key, group)
        if not self._config.witness:
            await self._follow_host()

    def _composed(self, member: str, key: ClusterKey) -> _Parts:
        turns, contact = Turns(), Contact(self._client.status, self._clock)

        async def sight() -> Sight:
            return Sight(member, await contact.cut_off())

        executor = Executor(
            REGISTRY, self._readers, self._client.propose, key=key, hash_password=hash_password, clock=self._clock,
            chance=self._chance, turns=turns, fresh=self._client.read_barrier, sight=sight,
        )  # fmt: skip
        self._host = open_host(self._config)
        speaker = Actor(kind="node", id=f"node:{member}", name=_node_name(self._config), role=Role.ADMIN)

        async def say(command: Command, actor: Actor = speaker) -> Answer:
            return await executor.command(command, actor)

        voice = Voice(say)
        certificates = Identity(self._config.path("pki"), uri=member_uri(self._me.cluster, member))
        peers = Members(
            lambda node: self._readers.read(lambda reader: api_of(reader, node)), certificates.client_context,
            cluster=self._me.cluster,
        )  # fmt: skip
        site = Site(
            node=member, settings=self._config, host=self._host, read=self._readers.read, say=voice.say,
            unseal=key.unseal, clock=self._clock, log=self._log, progress={}, wake=self._wake,
            peers=peers,
        )  # fmt: skip
        executor.prepares[PullImage] = lambda asked, actor: pull(asked, actor, site)
        executor.prepares[CreateVm] = create
        for about_here in (PromoteCenter, DemoteCenter, DrainMember, UndrainMember, OrderLead):
            executor.prepares[about_here] = here(member)
        executor.prepares[RemoveMember] = gone_for_good(self._readers.read)
        desk = Desk(executor, site, self._watch, self._clock, self._chance, barrier=self._client.read_barrier)
        desk.signin = SignIn(read=self._readers.glance, say=say, clock=self._clock, chance=self._chance, turns=turns)
        desk.health = self._health
        desk.contact = contact
        self._desk = desk
        desk.cluster = self._me.cluster
        desk.membership = Membership(
            config=self._config, client=self._client, read=self._readers.read, say=say, identity=certificates,
            clock=self._clock, chance=self._chance, log=self._log, unseal=key.unseal, leave=self._become, me=self._me,
            name=_node_name(self._config),
        )  # fmt: skip
        desk.diagnostics = Diagnostics(
            site, desk.membership, context=certificates.client_context, work=self._unfinished
        )
        desk.survivor = Survivor(
            client=self._client, read=self._readers.read, membership=desk.membership, peers=peers, clock=self._clock,
            log=self._log,
        )  # fmt: skip
        self._beginning = Beginning(
            self._config, desk.signin, desk.membership, read=self._readers.read, say=say, log=self._log
        )
        return _Parts(desk, site, say, voice, certificates, self._beginning)

    def _look_after(
        self, parts: _Parts, keeper: CertificateReconciler, key: ClusterKey, group: asyncio.TaskGroup
    ) -> None:
        """What a node owes the others, and a leader everybody."""
        membership, read, say = parts.desk.membership, self._readers.read, parts.voice.say
        members = MembersReconciler(membership, self._client, parts.certificates, read=read, say=say, log=self._log)
        center = CenterReconciler(self._doors[0], keeper.shown, node=parts.site.node, read=read, say=say, log=self._log)
        trust = TrustReconciler(
            parts.certificates, keeper, key, self._config.path("pki", "cluster.key"), node=parts.site.node, read=read,
            say=say, status=self._client.status, log=self._log,
        )  # fmt: skip
        retention = RetentionReconciler(self._config, status=self._client.status, read=read, say=say, clock=self._clock)
        parted = PartedReconciler(membership, self._client, read=read, log=self._log)
        late = [Loop(one, self._log) for one in (keeper, members, center, trust, parted, retention)]
        self._loops += late
        self._tasks += tuple(group.create_task(loop.run()) for loop in late)

    async def _arrived(self, member: str) -> None:
        """A node that has just joined, or has lost its database, waits for the cluster's state: until its own row is in
        it, the database is one that nobody may speak from. One that has read of its own removal answers, too: it can
        still leave."""

        def there(reader: Reader) -> bool:
            tables = reader.one("SELECT count(*) AS n FROM sqlite_schema WHERE name IN ('member', 'user')")
            return bool(tables and tables["n"] == 2 and standing(reader, member) != "unknown")

        others, lacking = self._config.path("raft", "roster").exists(), ""
        with contextlib.suppress(Problem):
            status = await self._client.status()
            others, lacking = others or bool(status.members), status.lacking
        if others and not await self._readers.read(there):
            self._log.warning("agent.waits-for-state", detail=lacking or "the others send what this node does not have")
            while not await self._readers.read(there):
                if await self._heard.get() is None:
                    self._same()

    def _same(self) -> None:
        """The raft process may have come back as another member, or with another database."""
        if self._client.member != self._me.member:
            self._log.warning("agent.member-changed", member=self._client.member)
            self._become()
        elif self._file() != self._database:
            self._log.warning("agent.database-changed")
            self._become()

    def _file(self) -> int:
        """Which file the database is: what is open here is the one of that name only as long as this stays."""
        with contextlib.suppress(OSError):
            return self._config.path("db", "state.db").stat().st_ino
        return 0

    def _unfinished(self) -> list[str]:
        """What the rounds of this node last could not do."""
        return [f"{loop.reconciler.name}: {loop.last_problem}" for loop in self._loops if loop.last_problem]

    async def _health(self) -> Health:
        problems = self._unfinished() + full_places(self._config)
        if self._desk is not None and self._desk.membership.notice:
            problems.insert(0, self._desk.membership.notice)
        elif self._beginning is not None and self._beginning.waits not in ("", "halted", "database-behind"):
            problems.append("this node has nobody to agree with: it shows what it knows, and changes nothing")
        index, halted = self._watch.index, ""
        try:
            status = await self._client.status()
        except Problem as away:  # what the database says can still be read
            problems.insert(0, away.detail)
        else:
            index, halted = status.applied_index, status.halted
            halts = halted and f"nothing is applied any more: {halted}"
            problems[:0] = filter(None, (halts, status.lacking, status.trouble))
        return Health(
            node=_node_name(self._config), version=__version__, applied_index=index, halted=halted, problems=problems
        )

    def _reconcile(self, site: Site, group: asyncio.TaskGroup) -> None:
        rooms = (
            NodeReconciler(site, _node_name(self._config)), StorageReconciler(site), NetworkReconciler(site),
            ImageReconciler(site), VmReconciler(site),
        )  # fmt: skip
        self._loops = [Loop(room, self._log) for room in rooms]
        self._tasks += tuple(group.create_task(loop.run()) for loop in self._loops)

    async def _open(self, desk: Desk, hub: Hub, site: Site, identity: Identity) -> CertificateReconciler:
        app = application(REGISTRY, desk, hub, self._log, assets=ASSETS)
        door = Door(app)
        self._doors = (door,)
        await door.unix(self._config.run_path("agent.sock"))
        called = _node_name(self._config)
        # As last reported: looking anew may take seconds, and the keeper of the certificate hears of what has changed.
        own = (self._config.address,) if self._config.address else ()
        known = await site.read(lambda reader: addresses(reader, site.node))
        identity.ensure(names_of(called, (*known, *own)))
        keeper = CertificateReconciler(
            identity, node=site.node, called=called, read=site.read, clock=self._clock, log=self._log, own=own
        )
        place = f"{self._config.bind}:{self._config.port}"
        try:
            port = await door.tcp(self._config.bind, self._config.port, keeper.shown)
        except OSError as fault:
            raise HostFault(
                "port-taken", f"cannot listen on {place}: {os.strerror(fault.errno or 0)}",
                hint=f"ss -ltnp 'sport = :{self._config.port}' shows who does; port and bind are settings",
            ) from fault  # fmt: skip
        desk.membership.port = port
        self._log.info("agent.up", port=port, ca_sha256=identity.fingerprint(), fake_host=self._config.fake_host)
        return keeper

    async def _follow_host(self) -> None:
        """libvirt's events: something happened to a machine, so the vm room looks again. Guests' taps and bridges
        change with them, so the network room looks too."""
        async for event in self._host.domains.events():
            self._log.debug("host.event", machine=event.id, what=event.what)
            for room in ("vm", "network"):
                self._wake(room)

    def _wake(self, room: str) -> None:
        for loop in self._loops:
            if loop.reconciler.name == room:
                loop.wake()

    async def _close(self) -> None:
        for door in self._doors:
            await door.close()
        if hasattr(self, "_host"):
            await self._host.close()
        self._readers.close()


def _node_name(config: Settings) -> str:
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
