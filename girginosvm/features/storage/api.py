"""The door of storage: what room each node has, inside the transaction that needs it."""

import msgspec

from girginosvm.core.errors import Missing
from girginosvm.features.node.model import Pool
from girginosvm.state.reader import Reader
from girginosvm.state.tx import Tx


class Offer(msgspec.Struct, frozen=True):
    """A pool: its name, its directory, and what each node that shows it has of it."""

    name: str
    path: str
    nodes: dict[str, Pool]


def offer(db: Reader | Tx, pool: str) -> Offer:
    """What can be booked of a pool, node by node; Missing ``pool-missing``.

    A disk is booked with its whole size, though it starts small, so that no pool is ever filled past its reserve:
    ``room = free + already allocated by our disks - booked by all our disks - reserve``, over all pools of the node
    that share the file system.
    """
    row = db.one("SELECT * FROM pool WHERE id = ?", (pool,))
    if row is None:
        raise Missing("pool-missing", f"there is no storage pool {pool}")
    found = db.all(
        "SELECT f.node, f.capacity_bytes, f.problem, ("
        " SELECT min(free_bytes) + sum(allocated_bytes) - ifnull(sum(booked_bytes), 0) FROM pool_found o"
        " LEFT JOIN pool_load ON pool_load.pool = o.pool AND pool_load.node = o.node WHERE o.node = f.node AND"
        " o.problem = '' AND CASE f.filesystem WHEN '' THEN o.pool = f.pool ELSE o.filesystem = f.filesystem END"
        ") AS left_bytes FROM pool_found f WHERE f.pool = ? ORDER BY f.node",
        (pool,),
    )
    nodes = {}
    for one in found:
        reserve = one["capacity_bytes"] * row["reserve_percent"] // 100
        nodes[one["node"]] = Pool((one["left_bytes"] or 0) - reserve, reserve, one["problem"])
    return Offer(row["name"], row["path"], nodes)


def keep(tx: Tx, vm: str, name: str, node: str, *, unbuilt: tuple[int, ...] = ()) -> None:
    """The disks of a machine that goes without them: still booked, and their image still needed when they are copies
    on write, until somebody forgets them. ``unbuilt`` were never made: of them nothing is kept."""
    for disk in tx.all("SELECT * FROM vm_disk WHERE vm = ? ORDER BY n", (vm,)):
        if disk["n"] in unbuilt:
            continue
        tx.insert(
            "disk_kept", id=tx.new_id(), created_index=tx.index, path=disk["path"], pool=disk["pool"], node=node,
            size_bytes=disk["size_bytes"], image="" if disk["full_copy"] else disk["image"], vm_name=name,
            at_ms=tx.at_ms,
        )  # fmt: skip


class Found(msgspec.Struct, frozen=True):
    """A pool as a node last saw it."""

    name: str
    capacity_bytes: int
    free_bytes: int
    reserve_percent: int
    problem: str


def found(reader: Reader, node: str) -> tuple[Found, ...]:
    """What a node has said of its pools, in order of their names."""
    rows = reader.all(
        "SELECT name, capacity_bytes, free_bytes, reserve_percent, problem FROM pool_found f "
        "JOIN pool ON pool.id = f.pool WHERE f.node = ? ORDER BY name",
        (node,),
    )
    return tuple(Found(**row) for row in rows)
