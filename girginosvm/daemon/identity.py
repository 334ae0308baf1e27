"""Which member this node is: made once, by the raft process, before anything is written to the log."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from girginosvm.core.clock import Chance, Clock, new_request_id
from girginosvm.core.errors import HostFault
from girginosvm.core.points import reach
from girginosvm.daemon import durable
from girginosvm.raft.journal import Journal
from girginosvm.raft.membership import Roster

_BEGUN: Final = "journal.begun"


class Member(msgspec.Struct, frozen=True):
    """A node's own ids. A wiped node gets new ones: it may have voted under the old."""

    member: str
    cluster: str
    created_at_ms: int


def load(path: Path) -> Member:
    """The identity at ``path``; HostFault when it is there and unreadable."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Member)
    except msgspec.MsgspecError as fault:
        raise HostFault("identity-broken", f"{path} is damaged: {fault}") from fault


def first_roster(path: Path) -> Roster | None:
    """The members of the cluster that this node was admitted to, as they were then; None when it was not."""
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Roster)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as fault:
        raise HostFault("identity-broken", f"{path} is damaged: {fault}") from fault


def check_journal(folder: Path, *, there: bool) -> None:
    """HostFault ``journal-lost`` when the member in ``folder`` began a journal and there is none: it has forgotten whom
    it voted for and what it acknowledged, so it may do neither again under its name."""
    if not there and (folder / _BEGUN).exists():
        raise HostFault(
            "journal-lost", f"the journal of this node is gone: {folder / _BEGUN} says that there was one",
            hint="it does not take part again under its old name: girginosvm explain journal-lost",
        )  # fmt: skip


def begin_journal(folder: Path, journal: Journal) -> None:
    """Say durably that there is a journal, before the first promise is made. Nothing when that is said."""
    if (folder / _BEGUN).exists():
        return
    try:
        if not journal.segments:  # what is said has to be so
            journal.set_vote(journal.vote)
            journal.flush()
        reach("journal.begun:before")
        durable.write(folder / _BEGUN, b"")
        durable.flush(folder)
        reach("journal.begun:after")
    except OSError as fault:
        raise HostFault("journal-faulty", f"the journal's disk does not take the first record: {fault}") from fault


def ensure(path: Path, clock: Clock, chance: Chance) -> Member:
    """The identity at ``path``, made when there is none: written aside, flushed, renamed."""
    if path.exists():
        return load(path)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    member = Member(new_request_id(clock, chance), new_request_id(clock, chance), clock.wall_ms())
    durable.replace(path, msgspec.json.encode(member), point="identity.rename")
    return member
