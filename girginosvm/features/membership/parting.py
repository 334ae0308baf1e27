"""What goes with a node that leaves or is removed, said before anything is done."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Annotated, Any, Final

import msgspec

from girginosvm.core.action import Stream, action
from girginosvm.core.errors import InUse, Missing, Problem, Unsafe
from girginosvm.core.fields import Ref, field
from girginosvm.features.center import api as centers
from girginosvm.state.reader import Reader

_NAMED: Final = 10


class Machine(msgspec.Struct, frozen=True):
    """A machine on the node, and the addresses that others may get once it is given up. ``heard``: ``state`` is how it
    is; false: how it was when the node was last heard of."""

    name: str
    state: str
    addresses: list[str]
    heard: bool = True


class Parting(msgspec.Struct, frozen=True, kw_only=True):
    """What the cluster loses with a node. ``refused``: why the request would be refused now; empty: it would be done.
    ``disks``: kept disks on it; ``images``: those that no other node has; ``center``: where it serves as one, else
    empty. ``vote`` and ``keys`` are sentences."""

    member: str
    name: str
    refused: str
    vote: str
    keys: str
    center: str
    disks: list[str]
    images: list[str]
    machines: list[Machine]


class Lost(msgspec.Struct, frozen=True):
    """The part of it that is in the database."""

    center: str
    disks: list[str]
    images: list[str]
    machines: list[Machine]


class Voice(msgspec.Struct, frozen=True):
    """Who votes and is reached, as the node that is asked sees it, by name."""

    voters: Set[str]
    reached: Set[str]


@action(
    "GET /v1/membership/members/{member}/parting", permission="membership.read",
    summary="Show what the cluster loses with a node that is removed", answers=Parting,
)  # fmt: skip
class ForeseeRemoval(Stream, frozen=True, kw_only=True):
    """Changes nothing. What `membership remove --dry-run` shows."""

    member: Annotated[Ref, field("Node.", ref="member")]
    lost: Annotated[bool, field("As if the machines on it were given up.")] = False


@action(
    "GET /v1/membership/leave", permission="membership.read",
    summary="Show what the cluster loses when the node that is asked leaves", answers=Parting,
)  # fmt: skip
class ForeseeLeaving(Stream, frozen=True, kw_only=True):
    """Changes nothing. What `membership leave --dry-run` shows."""

    confirm: Annotated[bool, field("Makes no difference here.")] = False


def removable(db: Any, member: str, *, lost: bool) -> str:
    """The name of a member that may be removed, or of one that was given up and is still described; a problem when it
    may not. ``lost``: with the machines on it. ``db``: a reader or a transaction."""
    row = db.one("SELECT name FROM member WHERE id = ?", (member,))
    left = None if row else db.one("SELECT name FROM member_gone WHERE id = ?", (member,))
    row = row or (left if left and db.one("SELECT 1 FROM node WHERE id = ?", (member,)) else None)
    if row is None:
        raise Missing("member-missing", f"there is no member {member}")
    if left is None and not db.one("SELECT 1 FROM member WHERE id <> ? LIMIT 1", (member,)):
        raise Unsafe("last-member", f"{row['name']} is the whole cluster")
    vms = machines(db, member)
    if vms and not lost:
        raise InUse(
            "node-has-machines", f"{counted(vms)} on {row['name']}: {named(vms)}",
            hint="destroy them first; or, when the host is switched off for good, say --lost: they are given up",
        )  # fmt: skip
    return str(row["name"])


def machines(db: Any, node: str) -> tuple[str, ...]:
    """Names of the machines on a node. ``db``: a reader or a transaction."""
    return tuple(vm["name"] for vm in db.all("SELECT name FROM vm WHERE node = ? ORDER BY name, id", (node,)))


def counted(names: tuple[str, ...]) -> str:
    """``1 machine is``, ``3 machines are``."""
    return "1 machine is" if len(names) == 1 else f"{len(names)} machines are"


def named(names: tuple[str, ...]) -> str:
    """The first of them."""
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def lost_with(reader: Reader, member: str, *, heard: bool = True) -> Lost:
    """Everything that is on a node and nowhere else. ``heard``: the node is, from where it is read."""
    vms = reader.all(
        "SELECT vm.name, ifnull(f.state, '') AS state, "
        "ifnull((SELECT group_concat(text, ' ') FROM lease WHERE lease.vm = vm.id), '') AS addresses "
        "FROM vm LEFT JOIN vm_found f ON f.vm = vm.id WHERE vm.node = ? ORDER BY vm.name, vm.id",
        (member,),
    )
    images = reader.all(
        "SELECT name FROM image JOIN image_copy c ON c.image = image.id AND c.node = ? AND c.state = 'ready' "
        "WHERE NOT EXISTS (SELECT 1 FROM image_copy o WHERE o.image = image.id AND o.node <> ? AND o.state = 'ready') "
        "ORDER BY name",
        (member, member),
    )
    return Lost(
        center=centers.of_node(reader, member).public_url,
        disks=[row["path"] for row in reader.all("SELECT path FROM disk_kept WHERE node = ? ORDER BY path", (member,))],
        images=[row["name"] for row in images],
        machines=[Machine(row["name"], row["state"] or "building", row["addresses"].split(), heard) for row in vms],
    )


def vote_of(name: str, voice: Voice) -> str:
    """What becomes of its vote."""
    if name not in voice.voters:
        return "it does not vote"
    left = voice.voters - {name}
    there = left & voice.reached
    say = f"it votes: {len(left)} of {len(voice.voters)} voters are left, {len(there)} of them reached"
    if 2 * len(there) > len(left):
        return f"{say}; changes stay possible"
    return f"{say}: nothing could be changed without it, so its vote is kept until others are back"


def keys_after(names: Mapping[str, str], member: str, voice: Voice) -> str:
    """The cluster goes over to keys that the node has never seen. ``names``: every member's, by id."""
    away = sorted(name for one, name in names.items() if one != member and name not in voice.reached)
    waits = f"; that waits for {', '.join(away)}, not reached now" if away else ""
    return f"the cluster goes over to a new CA and a new cluster key once every other member has them{waits}"


def refusal(check: Any) -> str:
    """What ``check`` refuses, as a sentence; empty when it lets pass."""
    try:
        check()
    except Problem as problem:
        return f"{problem.detail} ({problem.code})" + (f"; {problem.hint}" if problem.hint else "")
    return ""
