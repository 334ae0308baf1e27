"""Writing pools."""

from typing import Annotated

from girginosvm.core.action import Command, action
from girginosvm.core.errors import Conflict, Fault, InUse, Invalid, Missing
from girginosvm.core.fields import Name, Ref, Sequence, field
from girginosvm.features.node import api as nodes
from girginosvm.state.tx import Tx


@action(
    "POST /v1/pools",
    cli="storage pool add",
    permission="pool.create",
    summary="Add a storage pool: a directory on every node",
    audit="added pool {name} at {path}",
    answers=dict[str, str],
    status=201,
    examples=("girginosvm storage pool add --name fast --path /var/lib/girginosvm/storage/fast",),
)
class AddPool(Command, frozen=True, kw_only=True):
    """Describe a pool; each node makes the directory and reports its room."""

    name: Annotated[Name, field("Name of the pool.")]
    path: Annotated[
        str,
        field(
            "Absolute path of the directory.",
            pattern=r"^(/[A-Za-z0-9._-]+)+$",
            wants="an absolute path of letters, digits and . _ -, without / at its end",
            max_length=255,
        ),
    ]
    reserve_percent: Annotated[int, field("Share that is never filled, percent.", ge=0, le=90, flag="reserve")] = 5

    def apply(self, tx: Tx) -> dict[str, str]:
        if {".", ".."} & set(self.path.split("/")):
            detail = f"the path {self.path} has . or .. in it"
            raise Invalid("path-odd", detail, faults=(Fault("/path", detail),))
        same = tx.one("SELECT * FROM pool WHERE name = ? OR path = ? ORDER BY id", (self.name, self.path))
        if same is not None:
            raise Conflict("pool-exists", f"pool {same['name']} is at {same['path']}")
        pool = tx.new_id()
        tx.insert("pool", id=pool, created_index=tx.index, name=self.name, path=self.path,
                  reserve_percent=self.reserve_percent)  # fmt: skip
        tx.event("pool.added", "pool", pool, f"added pool {self.name} at {self.path}")
        return {"pool": pool}


@action(
    "DELETE /v1/pools/{pool}",
    cli="storage pool rm",
    permission="pool.delete",
    summary="Forget a storage pool; its directory stays",
    audit="forgot pool {pool}",
    answers=dict[str, str],
)
class RemovePool(Command, frozen=True, kw_only=True):
    """Forget a pool that no disk uses."""

    pool: Annotated[Ref, field("Pool.", ref="pool")]

    def apply(self, tx: Tx) -> dict[str, str]:
        row = tx.one("SELECT * FROM pool WHERE id = ?", (self.pool,))
        if row is None:
            raise Missing("pool-missing", f"there is no storage pool {self.pool}")
        used = tx.one("SELECT count(*) AS n FROM vm_disk WHERE pool = ?", (self.pool,))
        if used and used["n"]:
            raise InUse("pool-in-use", f"pool {row['name']} holds {used['n']} disks")
        kept = tx.one("SELECT count(*) AS n FROM disk_kept WHERE pool = ?", (self.pool,))
        if kept and kept["n"]:
            raise InUse("pool-in-use", f"pool {row['name']} holds {kept['n']} disks kept of destroyed machines")
        tx.run("DELETE FROM pool WHERE id = ?", (self.pool,))
        tx.run("DELETE FROM pool_found WHERE pool = ?", (self.pool,))
        nodes.forget(tx, f"pool {self.pool}")
        tx.event("pool.removed", "pool", self.pool, f"forgot pool {row['name']}")
        return {"pool": self.pool}


@action(
    "DELETE /v1/disks/{disk}",
    cli="storage disk forget",
    permission="disk.delete",
    summary="Forget a disk kept of a destroyed machine; its file stays",
    audit="forgot disk {disk}",
    answers=dict[str, str],
    destroys=True,
)
class ForgetDisk(Command, frozen=True, kw_only=True):
    """The disk is somebody else's business from now on: its room and its image are no longer held for it."""

    disk: Annotated[str, field("Disk: its id or path.", ref="disk", max_length=400)]

    def apply(self, tx: Tx) -> dict[str, str]:
        row = tx.one("SELECT * FROM disk_kept WHERE id = ?", (self.disk,))
        if row is None:
            raise Missing("disk-missing", f"no kept disk {self.disk}")
        tx.run("DELETE FROM disk_kept WHERE id = ?", (self.disk,))
        tx.event("disk.forgotten", "disk", self.disk, f"forgot {row['path']}, kept of machine {row['vm_name']}")
        return {"disk": self.disk, "path": row["path"]}


@action(
    "POST /v1/pools/{pool}/report",
    permission="pool.report",
    summary="A node says what room its pool has",
    audit="reported pool {pool}",
    answers=dict[str, str],
)
class ReportPool(Command, frozen=True, kw_only=True):
    """Upsert what the speaking node found."""

    pool: Annotated[str, field("Pool.", max_length=64)]
    node: Annotated[str, field("Member id.", max_length=64)]
    capacity_bytes: Annotated[int, field("Size of its file system.", ge=0)]
    free_bytes: Annotated[int, field("Free for us (statfs f_bavail).", ge=0)]
    allocated_bytes: Annotated[int, field("Taken by volumes of ours.", ge=0)]
    problem: Annotated[str, field("Why it cannot be used; empty: it can.", max_length=500)] = ""
    filesystem: Annotated[str, field("The file system it is on; pools on one share its room.", max_length=64)] = ""
    sequence: Sequence = 0

    def apply(self, tx: Tx) -> dict[str, str]:
        nodes.own(tx, self.node)
        if tx.one("SELECT 1 FROM pool WHERE id = ?", (self.pool,)) is None:
            return {"pool": self.pool}
        nodes.newest(tx, self.node, f"pool {self.pool}", self.sequence)
        tx.run(
            "INSERT OR REPLACE INTO pool_found VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (self.pool, self.node, self.capacity_bytes, self.free_bytes, self.allocated_bytes, self.problem, tx.at_ms,
             self.filesystem),
        )  # fmt: skip
        return {"pool": self.pool}
