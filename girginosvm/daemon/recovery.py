"""The raft process's side of ``cluster recover``: what a survivor was told to become, step by step and crash-safe.

    raft/recover is written, flushed, renamed   before: the old cluster; from here on: this node alone
    ->  the journal says so (a higher term, an entry that changes the members, a roster of one), in one flush
    ->  whatever the journal holds is applied: a cluster of one has nobody who could know better
    ->  the first entry of the new history says who was given up, who said so, and why
    ->  raft/recover goes

Every step finds out whether it was done, so each start finishes what a death has left.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec

from girginosvm.core import codec
from girginosvm.core.access import Actor
from girginosvm.core.clock import Chance, Clock, new_request_id
from girginosvm.core.codec import Envelope
from girginosvm.core.entries import Entry
from girginosvm.core.errors import HostFault, Unsafe, problem_of
from girginosvm.core.log import Log
from girginosvm.core.points import reach
from girginosvm.core.units import MIB, shown
from girginosvm.daemon import durable
from girginosvm.features.cluster.commands import RecordRecovery
from girginosvm.features.cluster.model import GivenUp
from girginosvm.raft import recovery
from girginosvm.raft.journal import Base, Journal, Vote
from girginosvm.raft.log import Rosters, roster_of
from girginosvm.raft.membership import Roster
from girginosvm.raft.standing import Status

_FILE: Final = "recover"
_HEARD_MS: Final = 2000  # elections take less
_ROOM_BYTES: Final = 24 * MIB  # a journal's segment is 16 MiB


class Plan(msgspec.Struct, frozen=True):
    """What was decided, as the file has it. ``request``: the id of the entry that says so in the log."""

    member: str
    gone: tuple[GivenUp, ...]
    rejoin: tuple[GivenUp, ...]
    last_index: int
    last_term: int
    words: str
    actor: Actor
    request: str


def sight_of(status: Status) -> recovery.Sight:
    """How a node stands, as a decision needs it. A cluster of one names no voters: it is the only one."""
    own = frozenset({status.member})
    age_ms = status.leader_age_ms
    return recovery.Sight(
        member=status.member, voters=frozenset(status.deciding) or own, electable=frozenset(status.electable) or own,
        members=frozenset(status.everybody) or own, reached=frozenset(status.reached),
        last=Base(status.last_index, status.last_term), halted=status.halted or status.lacking,
        led=status.role == "leader" or (bool(status.leader) and age_ms is not None and age_ms < _HEARD_MS),
    )  # fmt: skip


def take(folder: Path, status: Status, wish: recovery.Wish, clock: Clock, chance: Chance) -> None:
    """Write down that this node goes on alone, in ``folder``. Looks once more at what can be seen from here, since time
    has passed: Unsafe ``recover-...``, HostFault ``disk-full``, and nothing is changed."""
    _check_room(folder, folder.parent / "db")
    names = dict(wish.names)
    verdict = recovery.decide(sight_of(status), frozenset(wish.gone), None, names)
    if isinstance(verdict, recovery.Refusal):
        raise Unsafe(verdict.code, verdict.reason, hint=verdict.hint)

    def called(ids: tuple[str, ...]) -> tuple[GivenUp, ...]:
        return tuple(GivenUp(one, names.get(one, one)) for one in ids)

    plan = Plan(
        status.member, called(verdict.gone), called(verdict.rejoin), status.last_index, status.last_term, wish.words,
        msgspec.msgpack.decode(wish.actor, type=Actor),
        new_request_id(clock, chance, not_before_ms=status.last_at_ms),
    )  # fmt: skip
    try:
        durable.replace(folder / _FILE, msgspec.json.encode(plan), point="recover.written")
    except OSError as fault:
        raise HostFault("recover-unwritten", f"{folder / _FILE} cannot be written: {fault}") from fault


def _check_room(*folders: Path) -> None:
    """What comes behind the file needs room, too: without it this node would be neither the old cluster nor the new
    one until somebody makes some."""
    for folder in folders:
        if not folder.is_dir():
            continue
        room = os.statvfs(folder)
        free = room.f_bavail * room.f_frsize
        if free < _ROOM_BYTES:
            detail = f"{folder} has {shown(free)} left, and going on alone needs {shown(_ROOM_BYTES)}"
            raise HostFault("disk-full", f"{detail}; nothing was changed")


def found(folder: Path, member: str) -> Plan | None:
    """What an earlier life of ``member`` has decided and not finished; None: nothing."""
    path = folder / _FILE
    try:
        plan = msgspec.json.decode(path.read_bytes(), type=Plan)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as fault:
        raise HostFault("recover-unwritten", f"{path} cannot be read: {fault}") from fault
    if plan.member != member:
        raise HostFault("recover-unwritten", f"{path} is of member {plan.member}, and this one is {member}")
    return plan


def settle(journal: Journal, roster: Roster, plan: Plan, log: Log, *, stamp_ms: int) -> Roster:
    """The journal goes on with this node as its only member; answers that roster. One flush: a death leaves the old
    one, or the new one; what is there of it, a term that rose or an entry, is no harm twice. ``stamp_ms``: the
    database's."""
    change = recovery.survival(roster, plan.member)
    alone = roster.after(change)
    if roster_of(journal) == alone:
        return alone
    term = recovery.term_after(journal.vote.term, journal.last_term)
    at_ms = max([stamp_ms, *(one.at_ms for one in journal.entries[-1:])])
    entry = Entry(journal.last_index + 1, term, at_ms, plan.member, (), change=change)
    reach("recover.journal:before")
    try:
        journal.set_vote(Vote(term, plan.member))
        journal.append(entry)
        journal.set_members(msgspec.msgpack.encode(Rosters(((entry.index, alone),))))
        journal.flush()
    except OSError as fault:
        raise HostFault("journal-faulty", f"the journal does not take who is left: {fault}") from fault
    reach("recover.journal:after")
    journal.entries.append(entry)  # as if opening had found it
    log.warning("raft.recovers", term=term, index=entry.index, without=[one.name for one in plan.gone])
    return alone


async def record(
    folder: Path, plan: Plan, propose: Callable[[bytes], Awaitable[bytes]], clock: Clock, chance: Chance, *,
    stamp_ms: int,
) -> None:  # fmt: skip
    """The first entry of the new history, once; then the file goes. A problem: the next start tries again."""
    body = codec.encode(
        RecordRecovery(
            member=plan.member, recovery=plan.request, gone=plan.gone, rejoin=plan.rejoin, last_index=plan.last_index,
            last_term=plan.last_term, proof=plan.words,
        )
    )  # fmt: skip
    ids = (plan.request, new_request_id(clock, chance, not_before_ms=stamp_ms))
    for request in ids:
        envelope = Envelope(
            request, plan.actor, plan.words[:200], RecordRecovery.__name__, RecordRecovery.action.version,
            msgspec.Raw(body),
        )  # fmt: skip
        outcome = codec.outcome(await propose(codec.encode(envelope)))
        if outcome.problem is None:
            break
        # Switched off for a day in between: the id is too old to be known.
        if outcome.problem.code != "stale-request" or request == ids[-1]:
            raise problem_of(outcome.problem)
    reach("recover.recorded:before")
    (folder / _FILE).unlink()
    durable.flush(folder)
    reach("recover.recorded:after")
