"""Reading machines: ours and foreign in one list."""

from typing import Annotated, Any, Final

import msgspec

from girginosvm.core.action import Page, Query, Stream, action
from girginosvm.core.errors import Missing
from girginosvm.core.fields import Ref, field
from girginosvm.core.units import GIB, MIB
from girginosvm.features.node import api as nodes
from girginosvm.features.operation.queries import Operation, ProblemShown
from girginosvm.features.operation.queries import shown as operation_shown
from girginosvm.features.times import rfc3339
from girginosvm.state.page import page
from girginosvm.state.reader import Reader


class Disk(msgspec.Struct, frozen=True):
    """One disk."""

    path: str
    pool: str
    size_gb: int
    format: str
    image: str
    full_copy: bool


class Nic(msgspec.Struct, frozen=True):
    """One interface."""

    mac: str
    network: str
    bridge: str
    address: str
    tap: str


class Vm(msgspec.Struct, frozen=True, kw_only=True):
    """A machine. ``desired`` is what was asked, ``state`` what its node last said. ``heard``: that is how it is; false:
    how it was before its node fell silent, or the node that is asked was cut off."""

    id: str
    name: str
    project: str
    state: str
    state_reason: str
    desired: str
    heard: bool
    node: str
    vcpu: int
    memory_mb: int
    disk_gb: int
    addresses: list[str]
    macs: list[str]
    network: str
    image: str
    firmware: str
    acceleration: str
    agent: bool
    ours: bool
    generation: int
    problem: ProblemShown | None
    created_at: str | None


class Reason(msgspec.Struct, frozen=True):
    """What was found of one node; ``node`` is empty where further ones are counted. ``word`` and ``values`` are what
    ``text`` was made of, for whoever says it in another language; empty where there is no such word."""

    node: str
    text: str
    word: str = ""
    values: dict[str, str | int] = {}


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Why a machine is on its node: what placement found of each when it was decided, the chosen one first."""

    node: str
    generation: int
    at: str
    reasons: list[Reason]


class VmDetail(Vm, frozen=True, kw_only=True):
    """A machine with all that hangs on it."""

    disks: list[Disk]
    nics: list[Nic]
    ssh_keys: list[str]
    tags: list[str]
    notes: str
    external_id: str
    anti_affinity: str
    anti_affinity_soft: bool
    placement: Placement | None
    operations: list[Operation]


class Vms(msgspec.Struct, frozen=True):
    """A page of machines."""

    items: list[Vm]
    next: str
    applied_index: int


# What a machine is called: what runs wins over what is asked, work in progress over rest.
_STATE: Final = """CASE
  WHEN vm.doomed <> '' THEN 'destroying'
  WHEN found.state IS NULL OR found.generation = 0 THEN
    CASE WHEN found.problem_code <> '' THEN 'failed' ELSE 'building' END
  WHEN vm.power = 'on' AND found.state IN ('stopped', 'crashed') AND found.problem_code <> '' THEN 'failed'
  WHEN vm.power = 'on' AND found.state = 'stopped' AND
    NOT (found.reason = 'shutdown' AND found.generation = vm.generation) THEN 'starting'
  WHEN vm.power = 'off' AND found.state = 'running' THEN 'stopping'
  WHEN vm.power = 'off' AND found.state = 'crashed' THEN 'stopped'
  ELSE found.state END"""
_COLUMNS: Final = f"""vm.id, vm.created_index, vm.name, vm.project, {_STATE} AS state,
  ifnull(found.reason, '') AS reason, vm.power AS desired, node.name AS node_name, vm.node, vm.vcpu, vm.memory_bytes,
  ifnull((SELECT sum(size_bytes) FROM vm_disk WHERE vm_disk.vm = vm.id), 0) AS disk_bytes,
  ifnull((SELECT group_concat(address, ' ') FROM vm_nic WHERE vm_nic.vm = vm.id AND address <> ''), '') AS addresses,
  ifnull((SELECT group_concat(mac, ' ') FROM vm_nic WHERE vm_nic.vm = vm.id), '') AS macs,
  ifnull((SELECT network.name FROM vm_nic JOIN network ON network.id = vm_nic.network
    WHERE vm_nic.vm = vm.id AND vm_nic.n = 0), '') AS network,
  vm.image_name AS image, vm.firmware, ifnull(found.acceleration, '') AS acceleration,
  ifnull(found.agent, 0) AS agent, 1 AS ours, vm.generation, ifnull(found.problem_code, '') AS problem_code,
  ifnull(found.problem, '') AS problem, vm.created_at_ms"""
_OURS: Final = f"""SELECT {_COLUMNS} FROM vm
  LEFT JOIN vm_found found ON found.vm = vm.id LEFT JOIN node ON node.id = vm.node"""
_FOREIGN: Final = """SELECT f.id, f.created_index, f.name, '' , 'foreign', f.state, '', node.name, f.node, f.vcpu,
  f.memory_bytes, 0, '', '', '', '', f.firmware, '', 0, 0, 0, '', '', NULL
  FROM vm_foreign f LEFT JOIN node ON node.id = f.node WHERE NOT EXISTS (SELECT 1 FROM vm WHERE vm.id = f.id)"""
COLUMNS: Final = {
    name: name
    for name in ("id", "name", "project", "state", "desired", "vcpu", "addresses", "macs", "network", "image",
                 "firmware", "acceleration", "agent", "ours")
} | {"node": "node_name", "memory_mb": f"memory_bytes / {MIB}", "disk_gb": f"disk_bytes / {GIB}",
     "created_at": "created_at_ms", "state_reason": "reason"}  # fmt: skip

INDEXED: Final = frozenset({"name"})


class _Aside(msgspec.Struct, frozen=True):
    """What is said of machines beside their rows: nodes that nobody hears, and machines with a second domain that runs
    on another node, by id."""

    lost: frozenset[str]
    twice: dict[str, ProblemShown]


def _aside(reader: Reader) -> _Aside:
    rows = reader.all(
        "SELECT f.id, node.name, f.node FROM vm_foreign f CROSS JOIN vm ON vm.id = f.id AND vm.node <> f.node "
        "LEFT JOIN node ON node.id = f.node WHERE f.state IN ('running', 'paused') ORDER BY f.node, f.id"
    )
    twice = {
        row["id"]: ProblemShown(
            code="runs-twice", detail=f"{row['name'] or row['node']} runs a domain of this machine too: look at both "
            "hosts, and end the one that does not belong there before its data is damaged",
        )
        for row in rows
    }  # fmt: skip
    return _Aside(nodes.unheard(reader), twice)


def _fields(row: dict[str, Any], aside: _Aside) -> dict[str, Any]:
    return {
        "id": row["id"], "name": row["name"], "project": row["project"], "state": row["state"],
        "state_reason": row["reason"], "desired": row["desired"], "heard": row["node"] not in aside.lost,
        "node": row["node_name"] or row["node"],
        "vcpu": row["vcpu"], "memory_mb": row["memory_bytes"] // MIB, "disk_gb": row["disk_bytes"] // GIB,
        "addresses": row["addresses"].split(), "macs": row["macs"].split(), "network": row["network"],
        "image": row["image"], "firmware": row["firmware"], "acceleration": row["acceleration"],
        "agent": bool(row["agent"]), "ours": bool(row["ours"]), "generation": row["generation"],
        "problem": aside.twice.get(row["id"])
        or (ProblemShown(row["problem_code"], row["problem"]) if row["problem_code"] else None),
        "created_at": rfc3339(row["created_at_ms"]) if row["created_at_ms"] is not None else None,
    }  # fmt: skip


def resolve(reader: Reader, text: str) -> str | None:
    """A machine's id by id or by name (in any project while names do not collide)."""
    row = reader.one("SELECT id FROM vm WHERE id = ?", (text,))
    if row is None:
        found = reader.all("SELECT id FROM vm WHERE name = ? ORDER BY project <> 'default', id LIMIT 1", (text,))
        row = found[0] if found else None
    return row["id"] if row else None


def node_of(reader: Reader, vm: str) -> str:
    """The node that a machine is on; Missing ``vm-missing``."""
    row = reader.one("SELECT node FROM vm WHERE id = ?", (vm,))
    if row is None:
        raise Missing("vm-missing", f"there is no machine {vm}")
    return str(row["node"])


@action("GET /v1/vms", cli="vm list", permission="vm.read", summary="List machines", answers=Vms)
class ListVms(Page, frozen=True, kw_only=True):
    """A page of machines. Foreign domains come with ``foreign=true``, on the first page's order by name."""

    foreign: Annotated[bool, field("Also domains that are not ours.")] = False

    def fetch(self, reader: Reader) -> Vms:
        sql = f"{_OURS} UNION ALL {_FOREIGN}" if self.foreign else _OURS
        found, following = page(reader, sql, COLUMNS, self, indexed=INDEXED)
        aside = _aside(reader)
        return Vms([Vm(**_fields(row, aside)) for row in found], following, reader.applied_index)


@action("GET /v1/vms/{vm}", cli="vm show", permission="vm.read", summary="Show one machine", answers=VmDetail)
class ShowVm(Query, frozen=True, kw_only=True):
    """One machine."""

    rows = (
        ("vm", "id"), ("vm_found", "vm"), ("vm_disk", "vm"), ("vm_nic", "vm"), ("placement", "vm"),
        ("operation", "subject_id"),
    )  # fmt: skip
    vm: Annotated[Ref, field("Machine.", ref="vm")]

    def fetch(self, reader: Reader) -> VmDetail:
        row = reader.one(f"SELECT * FROM ({_OURS}) WHERE id = ?", (self.vm,))
        if row is None:
            raise Missing("vm-missing", f"there is no machine {self.vm}")
        more = reader.one("SELECT * FROM vm WHERE id = ?", (self.vm,)) or {}
        return VmDetail(
            **_fields(row, _aside(reader)),
            disks=_disks(reader, self.vm),
            nics=_nics(reader, self.vm),
            ssh_keys=msgspec.json.decode(more["ssh_keys"]),
            tags=msgspec.json.decode(more["tags"]),
            notes=more["notes"],
            external_id=more["external_id"],
            anti_affinity=more["anti_affinity"],
            anti_affinity_soft=bool(more["anti_affinity_soft"]),
            placement=_placement(reader, self.vm),
            operations=_operations(reader, self.vm),
        )


def _disks(reader: Reader, vm: str) -> list[Disk]:
    rows = reader.all(
        "SELECT vm_disk.*, pool.name AS pool_name, image.name AS image_name FROM vm_disk "
        "LEFT JOIN pool ON pool.id = vm_disk.pool LEFT JOIN image ON image.id = vm_disk.image "
        "WHERE vm = ? ORDER BY n",
        (vm,),
    )
    return [
        Disk(row["path"], row["pool_name"] or "", row["size_bytes"] // GIB, row["format"], row["image_name"] or "",
             bool(row["full_copy"]))
        for row in rows
    ]  # fmt: skip


def _nics(reader: Reader, vm: str) -> list[Nic]:
    rows = reader.all(
        "SELECT vm_nic.*, network.name AS network_name, ifnull(network.bridge, vm_nic.bridge) AS on_bridge "
        "FROM vm_nic LEFT JOIN network ON network.id = vm_nic.network WHERE vm = ? ORDER BY n",
        (vm,),
    )
    return [Nic(row["mac"], row["network_name"] or "", row["on_bridge"], row["address"], row["tap"]) for row in rows]


def _operations(reader: Reader, vm: str) -> list[Operation]:
    """The newest, first."""
    rows = reader.all(
        "SELECT operation.*, node.name AS node_name FROM operation LEFT JOIN node ON node.id = operation.node "
        "WHERE subject_id = ? ORDER BY operation.created_index DESC, operation.id LIMIT 20",
        (vm,),
    )
    return [operation_shown(row) for row in rows]


def _placement(reader: Reader, vm: str) -> Placement | None:
    row = reader.one(
        "SELECT placement.*, node.name FROM placement LEFT JOIN node ON node.id = placement.node WHERE vm = ?", (vm,)
    )
    if row is None:  # a machine from before reasons were kept
        return None
    reasons = [Reason(*reason) for reason in msgspec.json.decode(row["reasons"])]
    return Placement(
        node=row["name"] or row["node"], generation=row["generation"], at=rfc3339(row["at_ms"]), reasons=reasons
    )


@action(
    "GET /v1/vms/{vm}/serial",
    cli="vm serial",
    permission="vm.read",
    summary="Print what a machine said on its serial port",
    audit="",
)
class SerialOutput(Stream, frozen=True, kw_only=True):
    """The end of the serial log as text; with ``follow`` what comes after, as it comes."""

    vm: Annotated[Ref, field("Machine.", ref="vm")]
    follow: Annotated[bool, field("Go on until interrupted.")] = False
    tail: Annotated[int, field("Bytes from the end.", ge=0, le=1024 * 1024)] = 65536
