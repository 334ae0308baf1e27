"""The door of membership: who is in, and who was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from girginosvm.core.errors import Busy, Invalid, Unauthenticated
from girginosvm.core.places import is_place
from girginosvm.features.membership.model import Brought, BroughtNetwork, BroughtPool, BroughtVm
from girginosvm.features.node import api as nodes
from girginosvm.state.reader import Reader
from girginosvm.state.tx import Tx

# Why a member is gone that a survivor gave up.
RECOVERED: Final = "the cluster was recovered without it"


class Row(msgspec.Struct, frozen=True):
    """A member as the database has it. ``lead``: in which order it should lead; "" when nobody has said."""

    id: str
    name: str
    address: str
    api: str
    state: str
    witness: bool
    drained: bool = False
    lead: Literal["", "first", "any", "last"] = ""


def members(reader: Reader) -> tuple[Row, ...]:
    """Everybody who is in, or on the way in, in order of name."""
    rows = reader.all("SELECT id, name, address, api, state, witness, drained, lead FROM member ORDER BY name")
    return tuple(
        Row(
            row["id"], row["name"], row["address"], row["api"], row["state"], bool(row["witness"]),
            bool(row["drained"]), row["lead"],
        )
        for row in rows
    )  # fmt: skip


def gone(reader: Reader) -> frozenset[str]:
    """Who left or was removed."""
    return frozenset(row["id"] for row in reader.all("SELECT id FROM member_gone ORDER BY id"))


def standing(db: Reader | Tx, member: str) -> str:
    """``member`` (also one on the way in), ``gone``, or ``unknown``."""
    if db.one("SELECT 1 FROM member WHERE id = ?", (member,)):
        return "member"
    return "gone" if db.one("SELECT 1 FROM member_gone WHERE id = ?", (member,)) else "unknown"


def why_gone(reader: Reader, member: str) -> str:
    """For what reason a member is none any more; empty for one that is, or never was."""
    row = reader.one("SELECT reason FROM member_gone WHERE id = ?", (member,))
    return str(row["reason"]) if row else ""


def leave(tx: Tx, member: str, name: str, reason: str) -> None:
    """The member is none any more, and its id never comes back."""
    row = tx.one("SELECT lead FROM member WHERE id = ?", (member,))
    tx.run("DELETE FROM member WHERE id = ?", (member,))
    tx.run("DELETE FROM member_trust WHERE member = ?", (member,))
    nodes.forget_release(tx, member)
    tx.insert(
        "member_gone", id=member, created_index=tx.index, name=name, reason=reason, at_ms=tx.at_ms,
        lead=row["lead"] if row else "",
    )  # fmt: skip


def give_up(tx: Tx, member: str, names: Mapping[str, str]) -> None:
    """A recovered cluster goes on without this member; also one that agreement knows and no row, whose name is in
    ``names``. One that left in an entry before has left."""
    if tx.one("SELECT 1 FROM member_gone WHERE id = ?", (member,)):
        return
    row = tx.one("SELECT name FROM member WHERE id = ?", (member,))
    leave(tx, member, row["name"] if row else names.get(member, member), RECOVERED)


def lead_of_gone(tx: Tx, *members: str) -> str:
    """The turn to lead that one of these ids had of a host that comes back; "" when nobody has said one."""
    for member in members:
        row = tx.one("SELECT lead FROM member_gone WHERE id = ?", (member,))
        if row is not None and row["lead"]:
            return str(row["lead"])
    return ""


def api_of(reader: Reader, member: str) -> str:
    """Where a member answers others (IP:port); Busy ``node-unreachable`` for one that has not said it."""
    row = reader.one("SELECT api FROM member WHERE id = ?", (member,))
    if row is None or not row["api"]:
        raise Busy("node-unreachable", f"node {member} has not said where it is reached", retry_after_s=2)
    return str(row["api"])


class Ca(msgspec.Struct, frozen=True):
    """One of the cluster's CAs. ``phase``: offered, used, old. Keys are sealed, PEM and base64 inside."""

    generation: int
    certificate: str
    sealed_key: str
    sealed_cluster_key: str
    phase: str


def owes_new_keys(db: Any) -> bool:
    """Somebody who knows the newest CA's key is not a member any more. ``db``: a reader or a transaction."""
    return bool(
        db.one("SELECT 1 FROM member_gone WHERE created_index > (SELECT ifnull(max(born_index), 0) FROM ca) LIMIT 1")
    )


class Trust(msgspec.Struct, frozen=True):
    """Which CA a member trusts at least, and which one signed what it shows; 0 before it has said so."""

    member: str
    trusts: int
    shows: int


def cas(reader: Reader) -> tuple[Ca, ...]:
    """The CAs, the oldest first; none before the first one was kept."""
    rows = reader.all(
        "SELECT generation, certificate, sealed_key, sealed_cluster_key, phase FROM ca ORDER BY generation"
    )
    return tuple(Ca(**row) for row in rows)


def trusts(reader: Reader) -> tuple[Trust, ...]:
    """What each member has said of the CAs, in order of id."""
    rows = reader.all(
        "SELECT member.id AS member, ifnull(t.trusts, 0) AS trusts, ifnull(t.shows, 0) AS shows FROM member "
        "LEFT JOIN member_trust t ON t.member = member.id ORDER BY member.id"
    )
    return tuple(Trust(**row) for row in rows)


def check_token(db: Any, token_hash: str, member: str, now_ms: int) -> None:
    """Unauthenticated ``join-token`` unless a token with this hash may still be used, or was used by ``member`` itself
    (its first try was cut off). One answer for unknown, expired, revoked and used. ``db``: a reader or a
    transaction."""
    row = db.one("SELECT * FROM join_token WHERE token_hash = ? AND revoked_at_ms IS NULL", (token_hash,))
    if row is None or row["used_by"] not in ("", member) or (not row["used_by"] and row["expires_at_ms"] <= now_ms):
        raise _useless()


def recorded(reader: Reader, token_hash: str) -> bool:
    """A token to join with that has this hash was made."""
    return reader.one("SELECT 1 FROM join_token WHERE token_hash = ?", (token_hash,)) is not None


def check_unspent(reader: Reader, token_hash: str) -> None:
    """Unauthenticated ``join-token`` once the node that used this token is in, or ten minutes are over by the log's
    time. It may ask again until then, since its first try may have been cut off; later the answer, which has the
    cluster's keys, would be for anybody who finds the token and knows an id."""
    row = reader.one(
        "SELECT expires_at_ms, state FROM join_token LEFT JOIN member ON id = used_by WHERE token_hash = ? "
        "AND revoked_at_ms IS NULL",
        (token_hash,),
    )
    if row is None or row["state"] == "member" or row["expires_at_ms"] <= reader.at_ms:
        raise _useless()


def _useless() -> Unauthenticated:
    return Unauthenticated(
        "join-token", "this token lets nobody in: it is unknown, older than 10 minutes, was used, or was revoked",
        hint="girginosvm membership token create, on a node of the cluster, makes one",
    )  # fmt: skip


def forsaken(db: Any, name: str, address: str) -> str:
    """The id under which this very node was let in before and never came: it died on the way, and begins anew under
    another. Empty when there is none."""
    row = db.one("SELECT id FROM member WHERE name = ? AND address = ? AND state = 'joining'", (name, address))
    return row["id"] if row else ""


def given_up(db: Any, name: str) -> str:
    """The id of a member that is none any more and whose host is still described: a recovery gave it up, and nobody has
    removed it yet. Empty when there is none. ``db``: a reader or a transaction."""
    row = db.one("SELECT node.id FROM node JOIN member_gone ON member_gone.id = node.id WHERE node.name = ?", (name,))
    return row["id"] if row else ""


def check_places(*places: str) -> None:
    """Invalid ``body-invalid`` for an address that is none: it would go into the roster, where everybody dials it."""
    for place in places:
        if not is_place(place):
            raise Invalid("body-invalid", f"{place} is no IP address and port, as 192.0.2.1:1995 or [2001:db8::1]:1995")


def conflicts(
    db: Any, name: str, address: str, brought: Brought, *, release: str, level: int
) -> tuple[str, ...]:  # fmt: skip
    """Why a node cannot come in as it is, a sentence each; nothing is half taken over. A host that was given up and
    comes back with all its machines takes the place of what it was. ``db``: a reader or a transaction."""
    found = []
    if level < db.level:
        found.append(f"the cluster is at feature level {db.level}, and release {release} of {name} supports {level}: "
                     "upgrade it first")  # fmt: skip
    again, was = forsaken(db, name, address), given_up(db, name)
    brings = {vm.id for vm in brought.vms}
    left = [
        vm["name"] for vm in db.all("SELECT id, name FROM vm WHERE node = ? ORDER BY id", (was,))
        if vm["id"] not in brings
    ]  # fmt: skip
    if left:
        found.append(
            f"the cluster gave node {name} up, and still has {len(left)} machines on it that this node does not bring: "
            f"{', '.join(left[:10])} (girginosvm membership remove {name} --lost gives them up)"
        )
    elif db.one(
        "SELECT 1 FROM node WHERE name = ? AND id <> ? UNION SELECT 1 FROM member WHERE name = ? AND id <> ?",
        (name, was, name, again),
    ):
        found.append(f"the cluster has a node named {name} already (setting node_name)")
    other = db.one("SELECT name FROM member WHERE address = ? AND id <> ?", (address, again))
    if other is not None:
        found.append(f"node {other['name']} of the cluster has the address {address} (setting address)")
    for vm in brought.vms:
        found += _of_vm(db, was, vm)
    found += [said for net in brought.networks if (said := _of_network(db, net))]
    found += [said for pool in brought.pools if (said := _of_pool(db, pool))]
    return tuple(found)


def _of_network(db: Any, net: BroughtNetwork) -> str:
    row = db.one("SELECT * FROM network WHERE name = ?", (net.name,))
    if row is None:
        taken = db.one("SELECT 1 FROM network WHERE bridge = ?", (net.bridge,))
        return f"bridge {net.bridge} of network {net.name} belongs to another network of the cluster" if taken else ""
    if (row["kind"], row["bridge"], row["cidr"]) == (net.kind, net.bridge, net.cidr):
        return ""
    there = f"{row['kind']} {row['cidr'] or row['bridge']}"
    return f"network {net.name} is {net.kind} {net.cidr or net.bridge} here, and {there} in the cluster"


def _of_pool(db: Any, pool: BroughtPool) -> str:
    row = db.one("SELECT path FROM pool WHERE name = ?", (pool.name,))
    if row is None:
        taken = db.one("SELECT 1 FROM pool WHERE path = ?", (pool.path,))
        return f"{pool.path} of pool {pool.name} is another pool of the cluster" if taken else ""
    return "" if row["path"] == pool.path else f"pool {pool.name} is {pool.path} here, and {row['path']} in the cluster"


def _of_vm(db: Any, was: str, vm: BroughtVm) -> list[str]:
    found, name, project = [], vm.name, vm.project
    if db.one("SELECT 1 FROM vm WHERE project = ? AND name = ? AND node <> ?", (project, name, was)):
        found.append(f"project {project} of the cluster has a machine named {name} already")
    for mac in vm.macs:
        row = db.one("SELECT name FROM vm_nic JOIN vm ON vm.id = vm_nic.vm WHERE mac = ? AND node <> ?", (mac, was))
        if row is not None:
            found.append(f"machine {name} has the MAC address {mac} of the cluster's machine {row['name']}")
    for network, address in vm.leases:
        row = db.one(
            "SELECT vm.name FROM lease JOIN network ON network.id = lease.network JOIN vm ON vm.id = lease.vm "
            "WHERE network.name = ? AND text = ? AND vm.node <> ?",
            (network, address, was),
        )
        if row is not None:
            found.append(f"machine {name} has {address} of network {network}, which the cluster's {row['name']} has")
    for path in vm.disks:
        row = db.one("SELECT name FROM vm_disk JOIN vm ON vm.id = vm_disk.vm WHERE path = ? AND node <> ?", (path, was))
        if row is not None:  # on shared storage it is the same file; nobody can tell from here
            found.append(f"machine {name} has the disk {path}, and so has the cluster's machine {row['name']}")
    return found
