"""``girginosvm raft``: journal, consensus, apply. The only writer of the state database."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys

import msgspec

from girginosvm import __version__
from girginosvm.core import codec, points, settings
from girginosvm.core.clock import SystemChance, SystemClock, new_request_id
from girginosvm.core.entries import Halt
from girginosvm.core.errors import HostFault, Problem
from girginosvm.core.log import Log
from girginosvm.core.settings import Settings
from girginosvm.daemon import dev, identity
from girginosvm.features.registry import REGISTRY
from girginosvm.raft.alone import Alone
from girginosvm.raft.disk import RealDisk
from girginosvm.raft.journal import Journal
from girginosvm.raft.propose import serve
from girginosvm.state.machine import Machine, opened


def _open_disk(config: Settings) -> RealDisk:
    path = config.path("raft", "journal")
    try:
        return RealDisk(path)
    except BlockingIOError as fault:
        raise HostFault("journal-locked", f"another raft process has {path} open") from fault


async def _migrate(machine: Machine, alone: Alone, member: str, log: Log) -> None:
    """Bring the tables to this release's through the log, before anybody else may propose."""
    request_id = new_request_id(SystemClock(), SystemChance(), not_before_ms=machine.last_stamp_ms())
    command = machine.migration(request_id, member)
    if command is not None:
        outcome = codec.outcome(await alone.propose(command))
        log.info("schema.migrated", index=outcome.index, steps=msgspec.msgpack.decode(outcome.value))


async def run(config: Settings, log: Log) -> int:
    """Until SIGTERM or SIGINT."""
    clock, chance = SystemClock(), SystemChance()
    # QEMU passes through to its disks; the database and the journal are nobody's but ours.
    config.path().mkdir(mode=0o751, parents=True, exist_ok=True)
    config.path().chmod(0o751)
    config.path("db").mkdir(mode=0o700, exist_ok=True)
    disk = _open_disk(config)
    known, database = config.path("raft", "member.json"), config.path("db", "state.db")
    if database.exists() and not known.exists():
        raise HostFault("identity-broken", f"{known} is gone, and {database} belongs to the node that it named")
    member = identity.ensure(known, clock, chance)
    machine = opened(database, REGISTRY, log, incarnation=member.cluster)
    journal = Journal(disk, segment_bytes=config.journal_segment_bytes, applied=machine.applied_index())
    if journal.cut_bytes:
        log.warning("journal.torn-end-cut", bytes=journal.cut_bytes)
    alone = Alone(journal, machine, clock, log, node=member.member, compact_entries=config.journal_compact_entries)
    await alone.start()
    await _migrate(machine, alone, member.member, log)
    server = await serve(config.run_path("raft.sock"), alone, release=__version__, member=member.member, log=log)
    log.info("raft.up", member=member.member, applied_index=machine.applied_index())
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    await stop.wait()
    server.close()
    await alone.stop()
    machine.close()
    return 0


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
