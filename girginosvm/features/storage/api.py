"""The door of storage: booking room inside the transaction that needs it."""

from girginosvm.core.errors import Busy, HostFault, Missing, OverQuota
from girginosvm.core.units import shown
from girginosvm.state.tx import Tx


def book(tx: Tx, pool: str, node: str, size_bytes: int) -> str:
    """Room for a disk of this size on a node; answers the pool's path.

    A disk is booked with its whole size, though it starts small, so that no pool is ever filled past its reserve:
    ``room = free + already allocated by our disks - booked by all our disks - reserve``, over all pools of the node
    that share the file system.
    """
    row = tx.one("SELECT * FROM pool WHERE id = ?", (pool,))
    if row is None:
        raise Missing("pool-missing", f"there is no storage pool {pool}")
    found = tx.one("SELECT * FROM pool_found WHERE pool = ? AND node = ?", (pool, node))
    if found is None:
        raise Busy("pool-unknown", f"pool {row['name']} has not been seen on its node yet", retry_after_s=2)
    if found["problem"]:
        raise HostFault("pool-faulty", f"pool {row['name']}: {found['problem']}")
    shared = tx.one(
        "SELECT min(free_bytes) AS free, sum(allocated_bytes) AS allocated, ifnull(sum(booked_bytes), 0) AS booked "
        "FROM pool_found f LEFT JOIN pool_load load ON load.pool = f.pool AND load.node = f.node "
        "WHERE f.node = ? AND (f.pool = ? OR f.filesystem <> '' AND f.filesystem = ?) AND f.problem = ''",
        (node, pool, found["filesystem"]),
    )
    assert shared is not None  # the pool's own row is one of them
    reserve = found["capacity_bytes"] * row["reserve_percent"] // 100
    room = shared["free"] + shared["allocated"] - shared["booked"] - reserve
    if size_bytes > room:
        raise OverQuota(
            "pool-full",
            f"pool {row['name']} has {shown(max(room, 0))} left above its reserve of {shown(reserve)}; "
            f"{shown(size_bytes)} asked",
        )
    return str(row["path"])


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
