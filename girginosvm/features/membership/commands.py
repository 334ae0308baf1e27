"""Letting nodes in and out. ``membership.report`` marks what a node says of itself, or after it has seen a token."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec

from girginosvm.core.action import Command, Stream, action
from girginosvm.core.errors import Conflict, Forbidden, Missing, Unsafe
from girginosvm.core.fields import Name, Ref, Sequence, field
from girginosvm.features.center import api as centers
from girginosvm.features.membership import api, lead, model, parting, tokens
from girginosvm.features.node import api as nodes
from girginosvm.state.db import Row
from girginosvm.state.tx import Tx

MemberId = Annotated[str, field("Member id.", min_length=36, max_length=36)]
Hash = Annotated[str, field("SHA-256, hex.", pattern=r"^[0-9a-f]{64}$", wants="64 hex digits")]
Place = Annotated[
    str,
    field(
        "IP address and port.",
        pattern=r"^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:]+\]):\d{1,5}$",
        wants="an IP address and a port, as 192.0.2.1:1995 or [2001:db8::1]:1995",
        max_length=64,
    ),
]
NodeRef = Annotated[str, field("Node; empty: the one that is asked.", ref="member", max_length=63)]
Release = Annotated[str, field("Release that it runs.", max_length=64)]
Level = Annotated[int, field("Highest feature level that it supports.", ge=1, le=1_000_000)]
Answer = dict[str, Any]


class Removed(msgspec.Struct, frozen=True):
    """Who it was, and which machines were given up with it."""

    member: str
    name: str
    lost: tuple[str, ...]


class Drained(msgspec.Struct, frozen=True):
    """The node, and the machines that are still on it."""

    node: str
    machines: tuple[str, ...]


class Ordered(msgspec.Struct, frozen=True):
    """The node, and in which order it should lead."""

    node: str
    order: str


@action(
    "POST /v1/membership/describe", permission="membership.report", summary="A member says where it is",
    audit="member {name} described itself", answers=Answer,
)  # fmt: skip
class DescribeMember(Command, frozen=True, kw_only=True):
    """Upsert the speaking node's own row: the founder's first one, or the end of a joining."""

    member: MemberId
    name: Name
    address: Place
    api: Place
    witness: Annotated[bool, field("It votes and keeps the log, and runs no machines.")] = False
    sequence: Sequence = 0

    def apply(self, tx: Tx) -> Answer:
        nodes.own(tx, self.member)
        api.check_places(self.address, self.api)
        nodes.newest(tx, self.member, "member", self.sequence)
        if tx.one("SELECT 1 FROM member_gone WHERE id = ?", (self.member,)):
            raise Forbidden("member-gone", f"{self.name} was removed from this cluster")
        row = tx.one("SELECT * FROM member WHERE id = ?", (self.member,))
        other = tx.one(
            "SELECT name FROM member WHERE id <> ? AND (name = ? OR address = ?) ORDER BY id",
            (self.member, self.name, self.address),
        )
        if other is not None:
            raise Conflict("member-same", f"{self.name} at {self.address} is what member {other['name']} calls itself")
        tx.run("DELETE FROM member WHERE id = ?", (self.member,))
        tx.insert(
            "member", id=self.member, created_index=row["created_index"] if row else tx.index, name=self.name,
            address=self.address, api=self.api, state="member", witness=int(self.witness),
            at_ms=row["at_ms"] if row else tx.at_ms, drained=row["drained"] if row else 0,
            lead=row["lead"] if row else "",
        )  # fmt: skip
        if row is None or row["state"] == "joining":
            tx.event("membership.joined", "membership", self.member, f"{self.name} is a member of the cluster")
        return {"member": self.member}


@action(
    "POST /v1/membership/tokens/record", permission="membership.report", summary="Record a token to join with",
    audit="create a token to join with", answers=Answer,
)  # fmt: skip
class RecordJoinToken(Command, frozen=True, kw_only=True):
    """For ten minutes of log time, and one node. Old ones go on the way."""

    token_hash: Hash

    def apply(self, tx: Tx) -> Answer:
        tx.run("DELETE FROM join_token WHERE expires_at_ms <= ?", (tx.at_ms - model.TOKEN_MS,))
        expires = tx.at_ms + model.TOKEN_MS
        tx.insert(
            "join_token", token_hash=self.token_hash, created_index=tx.index, created_by=tx.actor.name,
            expires_at_ms=expires, used_by="", revoked_at_ms=None,
        )  # fmt: skip
        text = f"made the token {tokens.id_of(self.token_hash)} to join the cluster with"
        tx.event("membership.token-created", "membership", "", text)
        return {"expires_at_ms": expires}


@action(
    "POST /v1/membership/members", permission="membership.report", summary="Let a node in that showed a token",
    audit="let node {name} in", answers=Answer,
)  # fmt: skip
class AdmitMember(Command, frozen=True, kw_only=True):
    """The token and the conflicts are looked at once more, in log order: of two nodes with one token one comes in."""

    token_hash: Hash
    member: MemberId
    name: Name
    address: Place
    api: Place
    witness: Annotated[bool, field("It votes and keeps the log, and runs no machines.")] = False
    brought: Annotated[model.Brought, field("What it brings.")] = model.Brought()
    release: Release = ""
    level: Level = 1

    def apply(self, tx: Tx) -> Answer:
        api.check_token(tx, self.token_hash, self.member, tx.at_ms)
        api.check_places(self.address, self.api)
        if tx.one("SELECT 1 FROM member WHERE id = ?", (self.member,)):
            return {"member": self.member}
        if tx.one("SELECT 1 FROM member_gone WHERE id = ?", (self.member,)):
            raise Forbidden("member-gone", "this member was removed; a node that comes back does so under a new id")
        against = api.conflicts(
            tx, self.name, self.address, self.brought, release=self.release, level=self.level
        )  # fmt: skip
        if against:
            raise Conflict("join-conflicts", "; ".join(against[:20]))
        was, before = api.given_up(tx, self.name), api.forsaken(tx, self.name, self.address)
        for one in filter(None, (was, before)):  # what people have said of the host stays true of it
            nodes.succeed(tx, one, self.member)
            centers.succeed(tx, one, self.member)
        if was:  # it comes back with everything that it was: its machines follow under their own ids
            nodes.forget_node(tx, was)
        if before:
            api.leave(tx, before, self.name, "it was let in again under another id")
        tx.run("UPDATE join_token SET used_by = ? WHERE token_hash = ?", (self.member, self.token_hash))
        tx.insert(
            "member", id=self.member, created_index=tx.index, name=self.name, address=self.address, api=self.api,
            state="joining", witness=int(self.witness), at_ms=tx.at_ms, drained=0,
            lead=api.lead_of_gone(tx, before, was),
        )  # fmt: skip
        nodes.record_release(tx, self.member, self.release, self.level)
        brings = f", and brings {self.brought.text}" if self.brought.text else ""
        tx.event("membership.admitted", "membership", self.member, f"{self.name} is let in{brings}")
        return {"member": self.member}


@action(
    "DELETE /v1/membership/members/{member}", cli="membership remove", permission="membership.remove",
    summary="Remove a node that is gone for good, or was drained", audit="remove member {member}", answers=Removed,
    destroys=True, foresees="/v1/membership/members/{member}/parting",
    examples=("girginosvm membership remove n3", "girginosvm membership remove n3 --lost --dry-run"),
)  # fmt: skip
class RemoveMember(Command, frozen=True, kw_only=True):
    """It is no member from here on, and its id never becomes one again; the leader takes its vote, and then the cluster
    goes over to a CA and a key that it has never seen. What was on it is answered, and with ``lost`` given up. After
    a recovery: what is still described of a host that was given up."""

    member: Annotated[Ref, field("Node.", ref="member")]
    lost: Annotated[bool, field("It is switched off for good: give up the machines on it.")] = False

    def apply(self, tx: Tx) -> Removed:
        name = parting.removable(tx, self.member, lost=self.lost)
        vms = parting.machines(tx, self.member)
        nodes.forget_node(tx, self.member)
        centers.forget_node(tx, self.member)
        if api.standing(tx, self.member) == "member":
            api.leave(tx, self.member, name, tx.why)
        lost = f"; given up with it: {', '.join(vms)}" if vms else ""
        tx.event("membership.removed", "membership", self.member, f"{name} is no member any more{lost}"[:2000])
        return Removed(self.member, name, vms)


@action(
    "POST /v1/membership/drain", cli="membership drain", permission="membership.drain",
    summary="Prepare a node to be switched off: it gives leadership and vote away", audit="drain {node}",
    answers=Drained, examples=("girginosvm membership drain", "girginosvm membership drain --node n3"),
)  # fmt: skip
class DrainMember(Command, frozen=True, kw_only=True):
    """It stays a member and keeps the log; it gets no new machines. The machines on it stay and are listed: moving them
    is not built yet."""

    node: NodeRef = ""

    def apply(self, tx: Tx) -> Drained:
        row = _member(tx, self.node)
        if not tx.one("SELECT 1 FROM member WHERE id <> ? AND drained = 0 AND state = 'member' LIMIT 1", (self.node,)):
            raise Unsafe("last-member", f"nobody is left to take the vote of {row['name']}")
        if not row["drained"]:
            tx.run("UPDATE member SET drained = 1 WHERE id = ?", (self.node,))
            nodes.close(tx, self.node, "drain")
            tx.event("membership.drained", "membership", self.node, f"{row['name']} gives its vote away")
        return Drained(row["name"], parting.machines(tx, self.node))


@action(
    "POST /v1/membership/undrain", cli="membership undrain", permission="membership.drain",
    summary="Take a drained node back: it may vote and lead again", audit="undrain {node}", answers=Drained,
)  # fmt: skip
class UndrainMember(Command, frozen=True, kw_only=True):
    """Whether it votes again is agreement's own choice: as many vote as the cluster needs."""

    node: NodeRef = ""

    def apply(self, tx: Tx) -> Drained:
        row = _member(tx, self.node)
        if row["drained"]:
            tx.run("UPDATE member SET drained = 0 WHERE id = ?", (self.node,))
            nodes.open_again(tx, self.node, "drain")
            tx.event("membership.undrained", "membership", self.node, f"{row['name']} may vote again")
        return Drained(row["name"], parting.machines(tx, self.node))


@action(
    "POST /v1/membership/lead", cli="membership lead", permission="membership.lead",
    summary="Say whether a node should lead the cluster first, last, or like any other", audit="{node} leads {order}",
    answers=Ordered,
    examples=("girginosvm membership lead --node n1 --order first",),
)  # fmt: skip
class OrderLead(Command, frozen=True, kw_only=True):
    """A preference, no more: whoever leads last still leads when nobody else can, and a node leads only while it votes.
    The lead goes to a preferred node that is reached at once, without a request failing."""

    node: NodeRef = ""
    order: Annotated[lead.Lead, field("Its turn; a witness of which nothing was said leads last.")]

    def apply(self, tx: Tx) -> Ordered:
        row = _member(tx, self.node)
        if row["lead"] != self.order:
            tx.run("UPDATE member SET lead = ? WHERE id = ?", (self.order, self.node))
            how = "like any other" if self.order == "any" else self.order
            tx.event("membership.lead", "membership", self.node, f"{row['name']} is to lead {how}")
        return Ordered(row["name"], self.order)


def _member(tx: Tx, member: str) -> Row:
    row = tx.one("SELECT * FROM member WHERE id = ?", (member,))
    if row is None:
        raise Missing("member-missing", f"there is no member {member}")
    return row


@action(
    "POST /v1/membership/tokens", cli="membership token create", permission="membership.token",
    summary="Make a token that lets one node in, within ten minutes", answers=model.JoinToken, status=201,
    examples=("girginosvm membership token create",),
)  # fmt: skip
class CreateJoinToken(Stream, frozen=True, kw_only=True):
    """The answer shows the token, once. It carries the fingerprint of the cluster's CA: the node that joins trusts
    nobody else."""

    keyed: ClassVar[bool] = True


@action(
    "POST /v1/membership/join", cli="membership join", permission="membership.join",
    summary="Make this node a member of another cluster", answers=model.Joined, status=202,
    examples=("girginosvm membership join --center https://192.0.2.10:1997 --token ops-...",),
)  # fmt: skip
class JoinCluster(Stream, frozen=True, kw_only=True):
    """This node's own cluster of one ends: its people, tokens and history go into an archive; its machines, images and
    disks come along. Running machines run on."""

    center: Annotated[str, field("Any node of the cluster, as https://HOST:PORT.", max_length=300)]
    token: Annotated[str, field("Token of `membership token create`.", min_length=10, max_length=200)]
    confirm: Annotated[bool, field("Also when it brings machines or images along.")] = False
    rehearse: Annotated[bool, field("Only say what it would bring, and what stands against it.")] = False


@action(
    "POST /v1/witness", cli="witness add", permission="membership.join",
    summary="Make this host the witness of a cluster: it votes, and has no machines", answers=model.Joined, status=202,
    examples=("girginosvm witness add --center https://192.0.2.10:1997 --token ops-...",),
)  # fmt: skip
class AddWitness(Stream, frozen=True, kw_only=True):
    """Two hosts alone stop changing anything when one of them is lost, since neither can know that the other is not
    there any more. A third voter, on any small host with the setting `witness = true`, settles that."""

    center: Annotated[str, field("Any node of the cluster, as https://HOST:PORT.", max_length=300)]
    token: Annotated[str, field("Token of `membership token create`.", min_length=10, max_length=200)]


@action(
    "POST /v1/membership/leave", cli="membership leave", permission="membership.leave",
    summary="Take this node out of its cluster: it begins anew as a cluster of one", answers=model.Left, status=202,
    destroys=True, foresees="/v1/membership/leave", examples=("girginosvm membership leave --confirm",),
)  # fmt: skip
class LeaveCluster(Stream, frozen=True, kw_only=True):
    """Only a node without machines leaves by itself. What it knew of the cluster goes into an archive. A node that was
    removed while it was away can do so without asking anybody. One that was let in and never got the cluster's state
    becomes again what it was before, with its machines."""

    confirm: Annotated[bool, field("That is meant.")] = False


@action(
    "GET /v1/membership/standing", permission="membership.admit", summary="Whether a member still is one",
    answers=dict[str, str], public=True,
)  # fmt: skip
class AskStanding(Stream, frozen=True, kw_only=True):
    """A node that hears nobody asks the others' API: was it removed? Ids are secret enough that nobody learns anything
    by guessing them."""

    member: MemberId


@action(
    "POST /v1/membership/admit", permission="membership.admit", summary="Ask to be let in, with a token",
    answers=model.Admission, public=True,
)  # fmt: skip
class AskAdmission(Stream, frozen=True, kw_only=True):
    """What a node that joins asks of a cluster. The token is the proof; nothing is told without it."""

    body_bytes: ClassVar[int] = 4 * 1024 * 1024

    token: Annotated[str, field("The token.", min_length=10, max_length=200)]
    member: MemberId
    name: Name
    address: Place
    api: Place
    request: Annotated[str, field("Signing request, PEM; empty: a rehearsal.", max_length=4096)] = ""
    witness: Annotated[bool, field("It votes and keeps the log, and runs no machines.")] = False
    brought: Annotated[model.Brought, field("What it brings.")] = model.Brought()
    release: Release = ""
    level: Level = 1


@action(
    "GET /v1/membership/authority", permission="membership.admit", summary="The certificate of the cluster's CA",
    answers=dict[str, str], public=True,
)  # fmt: skip
class ShowAuthority(Stream, frozen=True, kw_only=True):
    """For a node that joins: it compares the fingerprint with its token's before it trusts anything."""


@action(
    "GET /v1/membership", cli="membership status", permission="membership.read",
    summary="Show the cluster as the node that is asked sees it", answers=model.Membership,
)  # fmt: skip
class ShowMembership(Stream, frozen=True, kw_only=True):
    """Answered by the process itself: who leads and who is reached is not in the database. An observer does not look at
    other observers: of these a voter says whether they are reached."""
