"""Which member this node is: made once, by the raft process, before anything is written to the log."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from girginosvm.core.clock import Chance, Clock, new_request_id
from girginosvm.core.errors import HostFault
from girginosvm.core.points import reach
from girginosvm.raft.membership import Roster


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


def ensure(path: Path, clock: Clock, chance: Chance) -> Member:
    """The identity at ``path``, made when there is none: written aside, flushed, renamed."""
    if path.exists():
        return load(path)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    member = Member(new_request_id(clock, chance), new_request_id(clock, chance), clock.wall_ms())
    aside = path.with_suffix(".new")
    with open(aside, "wb") as out:
        out.write(msgspec.json.encode(member))
        out.flush()
        os.fsync(out.fileno())
    reach("identity.rename:before")
    os.rename(aside, path)
    reach("identity.rename:after")
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return member
