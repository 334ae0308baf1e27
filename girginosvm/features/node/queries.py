"""Reading nodes."""

from typing import Annotated, Any, Final

import msgspec

from girginosvm.core.action import Page, Query, Stream, action
from girginosvm.core.errors import Missing
from girginosvm.core.fields import Ref, field
from girginosvm.core.units import MIB
from girginosvm.core.words import Said, read
from girginosvm.features.node.api import IS_SILENT, unheard
from girginosvm.features.times import rfc3339
from girginosvm.state.page import page
from girginosvm.state.reader import Reader


class Cordon(msgspec.Struct, frozen=True, kw_only=True):
    """Why a node takes no new machines. ``holder``: person, maintenance or drain; ``by``: who asked for it."""

    holder: str
    by: str
    why: str
    since: str


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A host that runs the product. ``state``: ready; cordoned, maintenance or draining; silent when the leader does
    not reach it, or when it has not said for three minutes that it is there, and as long as the node that is asked
    hears of nobody: no leader would tell it. Only a ready one takes new machines.
    ``heard``: what is said of it and its machines is how they are; false: how they were at ``seen_at``, its last
    report. A node reports when something changes, and once a minute where there are others, so that ``seen_at`` of one
    that is heard may be older. ``level`` is the highest feature level that its ``release`` supports; 0 before it has
    said so."""

    id: str
    name: str
    state: str
    cordons: list[Cordon]
    domain: str
    hostname: str
    cpus: int
    cpu_model: str
    memory_mb: int
    memory_used_mb: int
    memory_reserve_mb: int
    vcpus: int
    vms: int
    kernel: str
    os: str
    libvirt: str
    qemu: str
    acceleration: str
    acceleration_reason: str
    acceleration_said: Said | None
    firmwares: list[str]
    addresses: list[str]
    release: str
    level: int
    heard: bool
    seen_at: str


class Nodes(msgspec.Struct, frozen=True):
    """A page of nodes."""

    items: list[Node]
    next: str
    applied_index: int


_SQL: Final = f"""
SELECT node.*, ifnull(load.vms, 0) AS vms, ifnull(load.memory_bytes, 0) AS used_bytes, ifnull(load.vcpus, 0) AS vcpus,
  ifnull(node_domain.domain, '') AS domain, ifnull(said.release, '') AS release, ifnull(said.level, 0) AS level, CASE
    WHEN {IS_SILENT} OR node.id IN (SELECT value FROM json_each(?)) THEN 'silent'
    ELSE ifnull((SELECT CASE holder WHEN 'person' THEN 'cordoned' WHEN 'drain' THEN 'draining' ELSE holder END
      FROM node_cordon WHERE node_cordon.node = node.id ORDER BY holder LIMIT 1), 'ready') END AS state
FROM node LEFT JOIN node_load load ON load.node = node.id LEFT JOIN node_domain ON node_domain.node = node.id
LEFT JOIN node_release said ON said.node = node.id"""
COLUMNS: Final = {
    name: name
    for name in (
        "id", "name", "state", "domain", "hostname", "cpus", "acceleration", "kernel", "os", "vms", "release", "level",
    )
}  # fmt: skip


def cordons(reader: Reader, *nodes: str) -> dict[str, list[Cordon]]:
    """Who keeps each of these nodes closed."""
    found: dict[str, list[Cordon]] = {node: [] for node in nodes}
    marks = ", ".join("?" * len(nodes))
    for row in reader.all(f"SELECT * FROM node_cordon WHERE node IN ({marks}) ORDER BY node, holder", nodes):
        found[row["node"]].append(
            Cordon(holder=row["holder"], by=row["actor"], why=row["why"], since=rfc3339(row["at_ms"]))
        )
    return found


def shown(row: dict[str, Any], cordoned: list[Cordon], *, heard: bool) -> Node:
    """A row as its public form."""
    return Node(
        id=row["id"], name=row["name"], state=row["state"], cordons=cordoned, domain=row["domain"],
        hostname=row["hostname"], cpus=row["cpus"], cpu_model=row["cpu_model"],
        memory_mb=row["memory_bytes"] // MIB, memory_used_mb=row["used_bytes"] // MIB,
        memory_reserve_mb=row["reserve_bytes"] // MIB, vcpus=row["vcpus"], vms=row["vms"], kernel=row["kernel"],
        os=row["os"], libvirt=row["libvirt"], qemu=row["qemu"], acceleration=row["acceleration"],
        acceleration_reason=row["acceleration_reason"],
        acceleration_said=read(row["acceleration_reason"], "acceleration"),
        firmwares=msgspec.json.decode(row["firmwares"]), addresses=msgspec.json.decode(row["addresses"]),
        release=row["release"], level=row["level"],
        heard=heard, seen_at=rfc3339(row["reported_at_ms"]),
    )  # fmt: skip


def _json(nodes: frozenset[str]) -> str:
    return msgspec.json.encode(sorted(nodes)).decode()


def resolve(reader: Reader, text: str) -> str | None:
    """A node's id by name or id."""
    row = reader.one("SELECT id FROM node WHERE id = ? OR name = ?", (text, text))
    return row["id"] if row else None


@action("GET /v1/nodes", cli="node list", permission="node.read", summary="List nodes", answers=Nodes)
class ListNodes(Page, frozen=True, kw_only=True):
    """A page of nodes."""

    def fetch(self, reader: Reader) -> Nodes:
        lost = unheard(reader)
        found, following = page(reader, _SQL, COLUMNS, self, bound=(_json(lost),))
        closed = cordons(reader, *(row["id"] for row in found))
        items = [shown(row, closed[row["id"]], heard=row["id"] not in lost) for row in found]
        return Nodes(items, following, reader.applied_index)


@action("GET /v1/nodes/{node}", cli="node show", permission="node.read", summary="Show one node", answers=Node)
class ShowNode(Query, frozen=True, kw_only=True):
    """One node."""

    rows = (("node_cordon", "node"), ("node_domain", "node"), ("node_away", "node"))
    node: Annotated[Ref, field("Node.", ref="node")]

    def fetch(self, reader: Reader) -> Node:
        lost = unheard(reader)
        row = reader.one(f"SELECT * FROM ({_SQL}) WHERE id = ?", (_json(lost), self.node))
        if row is None:
            raise Missing("node-missing", f"there is no node {self.node}")
        return shown(row, cordons(reader, self.node)[self.node], heard=self.node not in lost)


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the node that was asked is. ``halted`` says why it applies nothing any more; empty: it does. ``problems``
    are sentences about all that is not as it should be, that one included."""

    node: str
    version: str
    applied_index: int
    halted: str
    problems: list[str]


@action(
    "GET /v1/health",
    cli="health",
    permission="self.read",
    summary="Say how the node that is asked is",
    answers=Health,
)
class ShowHealth(Stream, frozen=True, kw_only=True):
    """Answered by the process itself: it is about this process, not about the database."""
