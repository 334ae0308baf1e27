"""``girginosvm raft``: journal, consensus, apply. The only writer of the state database."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from girginosvm import __version__
from girginosvm.core import points, settings
from girginosvm.core.clock import SystemChance, SystemClock
from girginosvm.core.entries import Halt
from girginosvm.core.errors import HostFault, Problem
from girginosvm.core.log import Log
from girginosvm.core.settings import Settings
from girginosvm.daemon import dev, identity, recovery
from girginosvm.daemon import turn as join
from girginosvm.daemon.leadership import Leadership
from girginosvm.daemon.upgrade import Upgrade
from girginosvm.features.registry import REGISTRY
from girginosvm.raft.alone import Alone
from girginosvm.raft.applying import Retention
from girginosvm.raft.cluster import Cluster
from girginosvm.raft.credentials import Address, Credentials
from girginosvm.raft.disk import RealDisk
from girginosvm.raft.files import Files
from girginosvm.raft.ipc import Turn
from girginosvm.raft.journal import SUFFIX, Journal
from girginosvm.raft.log import roster_of
from girginosvm.raft.membership import Roster, founded
from girginosvm.raft.serve import serve
from girginosvm.raft.transport import Transport
from girginosvm.state.db import set_aside
from girginosvm.state.machine import Machine
from girginosvm.state.machine import opened as opened_machine

_LOOK_S: Final = 0.1
_RENEW_S: Final = 1.0


def _open_disk(config: Settings) -> RealDisk:
    path = config.path("raft", "journal")
    try:
        return RealDisk(path)
    except BlockingIOError as fault:
        raise HostFault("journal-locked", f"another raft process has {path} open") from fault


class _Life:
    """What the raft process is until it is told to become something else: a cluster of one, or a member of more.

    ``opened`` is the address at which others may come, once somebody is expected; what a member of more is, its journal
    says (``log.Rosters``), or for one that has just joined the file that came with its admission.
    """

    def __init__(self, config: Settings, log: Log, *, opened: str) -> None:
        clock = SystemClock()
        self._log = log
        self._folder = config.path("raft")
        disk = _open_disk(config)
        known, database = config.path("raft", "member.json"), config.path("db", "state.db")
        begun = any(name.endswith(SUFFIX) for name in disk.names())
        if (database.exists() or begun) and not known.exists():
            what = database if database.exists() else config.path("raft", "journal")
            raise HostFault("identity-broken", f"{known} is gone, and {what} belongs to the node that it named")
        me = identity.ensure(known, clock, SystemChance())
        self.member = me.member
        identity.check_journal(self._folder, there=begun)
        self.machine = self._opened(config, disk, database, me.cluster)
        snapshots = config.path("raft", "snapshots")
        files = Files(RealDisk(snapshots), snapshots, self.machine)
        journal = files.opened(disk, segment_bytes=config.journal_segment_bytes)
        identity.begin_journal(self._folder, journal)
        if files.beyond:
            log.error("raft.halted", reason=files.beyond)
        if journal.cut_bytes:
            log.warning("journal.torn-end-cut", bytes=journal.cut_bytes)
        roster = self._roster(journal)
        self._recovery = recovery.found(self._folder, me.member)
        if self._recovery is not None:
            stamp_ms = self.machine.last_stamp_ms()
            roster = recovery.settle(journal, roster, self._recovery, log, stamp_ms=stamp_ms)
        self._check_state(journal, among=len(roster.members) > 1)
        self.agreement: Alone | Cluster
        if opened or len(roster.members) > 1:
            roster = roster if me.member in roster.ids else founded({me.member: opened}, {me.member})
            self.agreement = self._among_others(config, journal, files, me, roster)
        else:
            files.close()
            self.agreement = Alone(
                journal, self.machine, clock, log, node=me.member, compact_entries=config.journal_compact_entries
            )
        self.upgrade = Upgrade(self.agreement, self.machine, database, me.member, clock, SystemChance(), log)

    def _opened(self, config: Settings, disk: RealDisk, database: Path, cluster: str) -> Machine:
        """The state machine. A damaged database is set aside when what was in it can come again: from the other
        members, or from a journal that has all of it."""

        def machine() -> Machine:
            return opened_machine(database, REGISTRY, self._log, incarnation=cluster)

        try:
            return machine()
        except HostFault as fault:
            if fault.code != "database-damaged":
                raise
            journal = Journal(disk, segment_bytes=config.journal_segment_bytes)
            whole = journal.base.index == 0 and journal.last_index > 0
            if not whole and len(self._roster(journal).members) < 2:
                raise
            detail = fault.detail
        self._log.warning("raft.database-set-aside", detail=detail, file=str(set_aside(database)))
        return machine()

    def _check_state(self, journal: Journal, *, among: bool) -> None:
        """A database that lacks what the journal no longer has can be fetched from others; without any it is the end of
        this start, and whoever puts the file back must find nothing of another one beside it."""
        applied = self.machine.applied_index()
        if among and applied < journal.base.index:
            self._log.warning("raft.database-lost", applied_index=applied, journal_begins=journal.base.index + 1)
        elif not among:
            try:
                journal.check_follows(applied)
            except HostFault:
                self.machine.close()
                raise

    def _roster(self, journal: Journal) -> Roster:
        return roster_of(journal) or identity.first_roster(self._folder / "roster") or Roster(())

    def _among_others(
        self, config: Settings, journal: Journal, files: Files, me: identity.Member, roster: Roster
    ) -> Cluster:
        pki = config.path("pki")
        self._credentials = Credentials(pki / "ca.crt", pki / "server.pem", me.cluster)
        try:
            self._credentials.context(server=True)
        except OSError as fault:
            gone = [one.name for one in (self._credentials.ca, self._credentials.own) if not one.exists()]
            why = f"{', '.join(gone)} is not there" if gone else str(fault)
            raise HostFault(
                "pki-damaged", f"the certificates in {pki} cannot be used: {why}", hint="put them back from a copy"
            ) from fault
        try:
            transport = Transport(me.member, Address(config.bind, config.raft_port), self._credentials, self._log)
        except OSError as fault:
            raise HostFault(
                "raft-port", f"cannot listen on {config.bind}:{config.raft_port} for the other nodes: {fault}",
                hint=f"ss -ltnp 'sport = :{config.raft_port}' shows who does; raft_port and bind are settings",
            ) from fault  # fmt: skip
        return Cluster(
            journal, files, self.machine, SystemClock(), SystemChance(), self._log, transport, member=me.member,
            roster=roster, retention=Retention.every(config.journal_compact_entries), objection=self.machine.objection,
        )  # fmt: skip

    async def renew(self) -> None:
        """The agent keeps the certificates; lines from now on show and accept what it wrote."""
        seen = _stamps(self._credentials)
        while isinstance(self.agreement, Cluster):
            await asyncio.sleep(_RENEW_S)
            now = _stamps(self._credentials)
            if now != seen:
                try:
                    self.agreement.renew(self._credentials)
                except (OSError, ValueError) as fault:  # half of two files: the next look has both
                    self._log.warning("raft.certificate-unreadable", fault=str(fault))
                else:
                    seen = now
                    self._log.info("raft.certificate-renewed")

    async def record_recovery(self) -> None:
        """Nothing is written before the history says who was given up, and why."""
        if self._recovery is not None:
            await recovery.record(
                self._folder, self._recovery, self.agreement.propose, SystemClock(), SystemChance(),
                stamp_ms=self.machine.last_stamp_ms(),
            )  # fmt: skip
            self._log.warning("raft.recovered", without=[one.name for one in self._recovery.gone])

    async def live(self, config: Settings, stop: asyncio.Event) -> Turn | None:
        """Until ``stop``, or until the agent wants another life: which."""
        wanted: list[Turn] = []
        turned = asyncio.Event()

        def turn(asked: Turn) -> None:
            if asked.to == "open" and isinstance(self.agreement, Cluster):
                return  # it is open
            if asked.to == "recover" and asked.wish is not None:
                recovery.take(self._folder, self.agreement.status(), asked.wish, SystemClock(), SystemChance())
            wanted.append(asked)
            turned.set()

        await self.agreement.start()
        alone = isinstance(self.agreement, Alone)
        if alone:
            await self.record_recovery()
            await self.upgrade.begin()
        server, tasks = await self._serve(config, turn)
        self._log.info("raft.up", member=self.member, applied_index=self.machine.applied_index(), alone=alone)
        ends = [asyncio.create_task(event.wait()) for event in (stop, turned)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in (*ends, *tasks):
            task.cancel()
        if wanted:
            await asyncio.sleep(_LOOK_S)  # whoever asked has its answer first
        server.close()
        await self.agreement.stop()
        self.upgrade.close()
        self.machine.close()
        return wanted[0] if wanted and not stop.is_set() else None

    async def _serve(
        self, config: Settings, turn: Callable[[Turn], None]
    ) -> tuple[asyncio.AbstractServer, list[asyncio.Task[None]]]:
        """The door for the agent, and what is tended meanwhile."""
        tasks = [asyncio.create_task(one) for one in (self.upgrade.run(), self.renew())]
        heard: Callable[[], None] = _nothing
        prefer: Callable[[int], None] = _nothing
        if isinstance(self.agreement, Cluster):
            leadership = Leadership(self.agreement, SystemClock(), self._log)
            tasks.append(asyncio.create_task(leadership.tend()))
            heard, prefer = leadership.heard, leadership.prefer
        server = await serve(
            config.run_path("raft.sock"), self.agreement, release=__version__, member=self.member, log=self._log,
            turn=turn, heard=heard, prefer=prefer,
        )  # fmt: skip
        return server, tasks


def _nothing(_rank: int = 0) -> None:
    """Alone there is nobody else to lead."""


def _stamps(credentials: Credentials) -> tuple[int, ...]:
    """What tells that a file is another one; each is replaced as a whole."""
    found = []
    for path in (credentials.ca, credentials.own):
        with contextlib.suppress(FileNotFoundError):  # once it is there, that is a change
            status = path.stat()
            found += [status.st_ino, status.st_mtime_ns]
    return tuple(found)


async def run(config: Settings, log: Log) -> int:
    """Until SIGTERM or SIGINT; one life after the other."""
    # QEMU passes through to its disks; the database and the journal are nobody's but ours.
    config.path().mkdir(mode=0o751, parents=True, exist_ok=True)
    config.path().chmod(0o751)
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    opened = ""
    while True:
        if join.finish(config.path(), log):
            opened = ""
        config.path("db").mkdir(mode=0o700, exist_ok=True)
        wanted = await _Life(config, log, opened=opened).live(config, stop)
        if wanted is None:
            return 0
        log.info("raft.turns", to=wanted.to)
        opened = wanted.address if wanted.to == "open" else ""


def main(argv: list[str]) -> int:
    """Parse, load the settings, run; problems end the process with their own exit code."""
    parser = argparse.ArgumentParser(prog="girginosvm raft", description="The consensus process of this node.")
    parser.add_argument("--root", default="/", help="where /etc, /var/lib and /run lie")
    parser.add_argument(dev.CHILD_FLAG, type=int, dest="parent", help=argparse.SUPPRESS)
    known = parser.parse_args(argv)
    os.umask(0o022)
    if known.parent:
        dev.die_with(known.parent)
    points.name_process("raft")
    log = Log().bind(process="raft")
    try:
        return asyncio.run(run(settings.load(known.root, os.environ), log))
    except Halt as halt:
        log.error("raft.halted", reason=str(halt))
        return 70
    except Problem as problem:
        log.error("raft.refused", code=problem.code, detail=problem.detail, hint=problem.hint)
        sys.stderr.flush()
        return type(problem).exit_code
