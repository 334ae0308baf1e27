"""What a node says of itself, and what people say of it."""

from typing import Annotated

import msgspec

from girginosvm.core.action import Command, action
from girginosvm.core.errors import Conflict, Forbidden, Overreach
from girginosvm.core.fields import Name, Ref, Sequence, field
from girginosvm.core.host import HostFacts
from girginosvm.features.node.api import close, known, newest, open_again, own, record_release
from girginosvm.state.tx import Tx


@action(
    "POST /v1/nodes/report",
    permission="node.report",
    summary="A node describes itself",
    audit="{name} described itself",
    answers=dict[str, str],
)
class ReportNode(Command, frozen=True, kw_only=True):
    """Upsert the speaking node's own row; nobody else's."""

    node: Annotated[str, field("Member id.", max_length=64)]
    name: Annotated[Name, field("Name.")]
    facts: Annotated[HostFacts, field("What it found.")]
    reserve_bytes: Annotated[int, field("Memory that machines never get.", ge=0)] = 0
    sequence: Sequence = 0

    def apply(self, tx: Tx) -> dict[str, str]:
        own(tx, self.node)
        newest(tx, self.node, "node", self.sequence)
        before = tx.one("SELECT created_index FROM node WHERE id = ?", (self.node,))
        same = tx.one("SELECT id FROM node WHERE name = ?", (self.name,))
        if same is not None and same["id"] != self.node:
            raise Conflict("node-name-taken", f"node {same['id']} has the name {self.name} already")
        tx.run("DELETE FROM node WHERE id = ?", (self.node,))
        facts = self.facts
        tx.insert(
            "node", id=self.node, created_index=before["created_index"] if before else tx.index, name=self.name,
            hostname=facts.hostname, cpus=facts.cpus, cpu_model=facts.cpu_model, memory_bytes=facts.memory_bytes,
            reserve_bytes=self.reserve_bytes, kernel=facts.kernel, os=facts.os, libvirt=facts.libvirt,
            qemu=facts.qemu, acceleration=facts.acceleration.value, acceleration_reason=facts.acceleration_reason,
            firmwares=msgspec.json.encode(facts.firmwares).decode(),
            addresses=msgspec.json.encode(facts.addresses).decode(), reported_at_ms=tx.at_ms,
        )  # fmt: skip
        if before is None:
            tx.event("node.added", "node", self.node, f"node {self.name} came up ({facts.acceleration.value})")
        return {"node": self.node}


@action(
    "POST /v1/nodes/release",
    permission="node.report",
    summary="A node says which release it runs",
    audit="{node} runs release {release}",
    answers=dict[str, str],
)
class ReportRelease(Command, frozen=True, kw_only=True):
    """Said at each start, and every few hours where there are others: what all of them support is what the cluster may
    go on to (``RaiseLevel``)."""

    node: Annotated[str, field("Member id.", max_length=64)]
    release: Annotated[str, field("Release.", min_length=1, max_length=64)]
    level: Annotated[int, field("Highest feature level that it supports.", ge=1, le=1_000_000)]
    sequence: Sequence = 0

    def apply(self, tx: Tx) -> dict[str, str]:
        own(tx, self.node)
        newest(tx, self.node, "release", self.sequence)
        if tx.one("SELECT 1 FROM member_gone WHERE id = ?", (self.node,)):
            raise Forbidden("member-gone", f"{self.node} was removed from this cluster")
        record_release(tx, self.node, self.release, self.level)
        return {"node": self.node}


Node = Annotated[Ref, field("Node.", ref="node")]


class Cordoned(msgspec.Struct, frozen=True):
    """The node, and who else keeps it closed: a person, a maintenance, a drain."""

    node: str
    closed_by: list[str]


def _closed_by(tx: Tx, node: str) -> list[str]:
    return [row["holder"] for row in tx.all("SELECT holder FROM node_cordon WHERE node = ? ORDER BY holder", (node,))]


@action(
    "POST /v1/nodes/away", permission="node.report", summary="The leader says whether it reaches a node",
    audit="node {node} away: {away}", answers=dict[str, str],
)  # fmt: skip
class ReportAway(Command, frozen=True, kw_only=True):
    """Machines on it stay as they are; it takes no new ones until it is reached again. Nobody can say of itself that it
    is away; that it is back, whoever leads by now can."""

    node: Annotated[str, field("Member id.", max_length=64)]
    away: Annotated[bool, field("It is not reached.")]

    def apply(self, tx: Tx) -> dict[str, str]:
        row = known(tx, self.node)
        if self.away and tx.node == self.node:
            raise Overreach("not-your-row", f"node {tx.node} said of itself that it is away")
        before = tx.one("SELECT since_ms FROM node_away WHERE node = ?", (self.node,))
        if self.away and before is None:
            tx.insert("node_away", node=self.node, since_ms=tx.at_ms)
            tx.event("node.away", "node", self.node, f"node {row['name']} is not reached by the node that leads")
        elif not self.away and before is not None:
            tx.run("DELETE FROM node_away WHERE node = ?", (self.node,))
            tx.event("node.back", "node", self.node, f"node {row['name']} is reached again")
        return {"node": self.node}


@action(
    "POST /v1/nodes/{node}/cordon",
    cli="node cordon",
    permission="node.cordon",
    summary="Let no new machine onto a node; those that are there stay",
    audit="cordon node {node}",
    answers=Cordoned,
    examples=("girginosvm node cordon h2 --why disks",),
)
class CordonNode(Command, frozen=True, kw_only=True):
    """Placement passes the node by, and says why."""

    node: Node

    def apply(self, tx: Tx) -> Cordoned:
        row = known(tx, self.node)
        if close(tx, self.node, "person"):
            tx.event("node.cordoned", "node", self.node, f"node {row['name']} takes no new machines")
        return Cordoned(self.node, _closed_by(tx, self.node))


@action(
    "POST /v1/nodes/{node}/uncordon",
    cli="node uncordon",
    permission="node.cordon",
    summary="Let new machines onto a node again",
    audit="uncordon node {node}",
    answers=Cordoned,
)
class UncordonNode(Command, frozen=True, kw_only=True):
    """Take a cordon back. One that a maintenance or a drain holds stays until that ends."""

    node: Node

    def apply(self, tx: Tx) -> Cordoned:
        row = known(tx, self.node)
        if open_again(tx, self.node, "person"):
            tx.event("node.uncordoned", "node", self.node, f"node {row['name']} is no longer cordoned")
        return Cordoned(self.node, _closed_by(tx, self.node))


class Maintained(msgspec.Struct, frozen=True):
    """The node, the machines that are on it (the first 100 by name), and in words what becomes of them."""

    node: str
    vms: int
    names: list[str]
    detail: str


def _maintained(tx: Tx, node: str, name: str) -> Maintained:
    load = tx.one("SELECT vms FROM node_load WHERE node = ?", (node,))
    count = load["vms"] if load else 0
    names = [row["name"] for row in tx.all("SELECT name FROM vm WHERE node = ? ORDER BY name, id LIMIT 100", (node,))]
    detail = f"no machine is on {name}"
    if count:
        few = ", ".join(names[:5]) + (f" and {count - 5} more" if count > 5 else "")
        detail = f"{few} stay{'s' if count == 1 else ''} on {name}: machines cannot be moved to another node yet"
    return Maintained(node, count, names, detail)


@action(
    "POST /v1/nodes/{node}/maintenance",
    cli="node maintenance on",
    permission="node.maintain",
    summary="Begin work on a node: it takes no new machines",
    audit="begin maintenance of node {node}",
    answers=Maintained,
    examples=("girginosvm node maintenance on h2 --why firmware",),
)
class BeginMaintenance(Command, frozen=True, kw_only=True):
    """Cordons it. Its machines stay and go on running: the answer names them."""

    node: Node

    def apply(self, tx: Tx) -> Maintained:
        row = known(tx, self.node)
        if close(tx, self.node, "maintenance"):
            tx.event("node.maintenance-begun", "node", self.node, f"node {row['name']} is in maintenance")
        return _maintained(tx, self.node, row["name"])


@action(
    "DELETE /v1/nodes/{node}/maintenance",
    cli="node maintenance off",
    permission="node.maintain",
    summary="End the work on a node: it takes new machines again",
    audit="end maintenance of node {node}",
    answers=Cordoned,
)
class EndMaintenance(Command, frozen=True, kw_only=True):
    """Takes back the cordon that the maintenance began with; one by a person stays."""

    node: Node

    def apply(self, tx: Tx) -> Cordoned:
        row = known(tx, self.node)
        if open_again(tx, self.node, "maintenance"):
            tx.event("node.maintenance-ended", "node", self.node, f"the maintenance of node {row['name']} has ended")
        return Cordoned(self.node, _closed_by(tx, self.node))


@action(
    "POST /v1/nodes/{node}/domain",
    cli="node domain",
    permission="node.locate",
    summary="Say what fails together with a node: a rack, a power feed, a room",
    audit="put node {node} into failure domain {domain}",
    answers=dict[str, str],
    examples=("girginosvm node domain h2 --domain rack1",),
)
class SetDomain(Command, frozen=True, kw_only=True):
    """Nodes of one domain fail together: machines of one anti-affinity group are spread over domains."""

    node: Node
    domain: Annotated[
        str,
        field(
            "Failure domain; empty: it fails alone.",
            pattern=r"^([A-Za-z0-9][A-Za-z0-9_.:/-]{0,62})?$",
            wants="letters, digits and _ . : / -, a letter or digit first, 63 characters at most",
        ),
    ]

    def apply(self, tx: Tx) -> dict[str, str]:
        row = known(tx, self.node)
        before = tx.one("SELECT domain FROM node_domain WHERE node = ?", (self.node,))
        if (before["domain"] if before else "") != self.domain:
            tx.run("DELETE FROM node_domain WHERE node = ?", (self.node,))
            if self.domain:
                tx.insert("node_domain", node=self.node, domain=self.domain)
            text = f"is in failure domain {self.domain}" if self.domain else "is in no failure domain"
            tx.event("node.located", "node", self.node, f"node {row['name']} {text}")
        return {"node": self.node, "domain": self.domain}
