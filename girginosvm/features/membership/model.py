"""Public forms of membership, and what a node that joins brings along."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from girginosvm.core.words import Said

TOKEN_MS: Final = 10 * 60 * 1000

Text = Annotated[str, Meta(max_length=255)]


class BroughtVm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A machine on a node that joins: what of it has to be unique in the cluster."""

    id: Text
    name: Text
    project: Text
    macs: Annotated[tuple[Text, ...], Meta(max_length=64)] = ()
    leases: Annotated[tuple[tuple[Text, Text], ...], Meta(max_length=64)] = ()  # network by name, address
    disks: Annotated[
        tuple[Text, ...], Meta(max_length=64)
    ] = ()  # files outside the pools, of machines that were adopted


class BroughtNetwork(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network that machines of a node that joins are on."""

    name: Text
    kind: Text
    bridge: Text
    cidr: Text
    gateway: Text


class BroughtPool(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pool that disks of a node that joins lie in."""

    name: Text
    path: Text


class BroughtImage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An image in the store of a node that joins."""

    id: Text
    name: Text
    sha256: Text


class Brought(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that a node would bring into a cluster."""

    vms: Annotated[tuple[BroughtVm, ...], Meta(max_length=5000)] = ()
    networks: Annotated[tuple[BroughtNetwork, ...], Meta(max_length=200)] = ()
    pools: Annotated[tuple[BroughtPool, ...], Meta(max_length=200)] = ()
    images: Annotated[tuple[BroughtImage, ...], Meta(max_length=1000)] = ()

    @property
    def text(self) -> str:
        """In words; empty when it is nothing that anybody would miss."""
        parts = [(len(self.vms), "machine"), (len(self.images), "image")]
        return ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in parts if count)


class JoinToken(msgspec.Struct, frozen=True, kw_only=True):
    """A fresh token to join with. It is in this answer and nowhere else; it is taken back by its ``id``."""

    id: str
    token: str
    expires_at: str
    command: str


class PeerAt(msgspec.Struct, frozen=True):
    """Where a member listens for the others, and whether it votes."""

    id: str
    address: str
    voter: bool


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """What a node that was let in needs. A rehearsal has ``cluster`` and ``conflicts`` only."""

    cluster: str
    nodes: int
    conflicts: tuple[str, ...] = ()
    certificate: str = ""
    authority: str = ""
    authority_key: str = ""
    cluster_key: str = ""
    members: tuple[PeerAt, ...] = ()


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """What joining came to, or with ``dry_run`` would come to."""

    member: str
    cluster: str
    nodes: int
    brings: str
    conflicts: tuple[str, ...]
    archive: str


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What leaving came to."""

    cluster: str
    archive: str


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One member, as the node that is asked knows it. ``state``: joining, member. ``role``: leader, follower, observer.
    ``reached`` is null where it is not looked at from here: an observer has no line to other observers. ``lag``
    (entries that it lacks) is known to the leader only; null: unknown here. ``heard``: what this node shows of its
    machines is how they are, and not how they were. ``order``: whether it should lead first, last, or as any other.
    ``level`` is the highest feature level that its ``release`` supports; 0 before it has said so."""

    id: str
    name: str
    address: str
    api: str
    state: str
    role: str
    reached: bool | None
    heard: bool
    lag: int | None
    witness: bool
    drained: bool
    order: str
    here: bool
    release: str
    level: int


class Membership(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The cluster as the node that is asked sees it. ``leader`` is a node's name, empty while nobody leads; ``last_*``
    is the end of this node's log, committed or not. ``level`` is the active feature level, ``level_reason`` why it is
    not raised further, and ``level_said`` what that was made of, for whoever says it in another language. ``recovers``:
    this node was told a moment ago to go on alone. ``parted``: names of members that say that they were recovered
    without this node, which has a majority of its own all the same: there are two clusters."""

    cluster: str
    node: str
    leader: str
    term: int
    applied_index: int
    last_index: int
    last_term: int
    voters: int
    voters_reached: int
    quorum: bool
    level: int
    level_reason: str
    level_said: Said
    members: list[Member]
    problems: list[str]
    recovers: bool = False
    parted: str = ""
