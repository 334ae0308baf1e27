"""Reading pools."""

from typing import Any, Final

import msgspec

from girginosvm.core.action import Page, action
from girginosvm.core.units import GIB
from girginosvm.features.times import rfc3339
from girginosvm.state.page import page
from girginosvm.state.reader import Reader


class PoolHere(msgspec.Struct, frozen=True, kw_only=True):
    """A pool on one node."""

    node: str
    capacity_bytes: int
    free_bytes: int
    booked_bytes: int
    problem: str


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """A directory of disks. Sizes are of the nodes that have reported, together; ``nodes`` has them one by one."""

    id: str
    name: str
    path: str
    reserve_percent: int
    capacity_bytes: int
    free_bytes: int
    booked_bytes: int
    reserved_bytes: int
    problem: str
    nodes: list[PoolHere]


class Pools(msgspec.Struct, frozen=True):
    """A page of pools."""

    items: list[Pool]
    next: str
    applied_index: int


_SQL: Final = """
SELECT pool.*, ifnull((SELECT sum(capacity_bytes) FROM pool_found WHERE pool = pool.id), 0) AS capacity_bytes,
  ifnull((SELECT sum(free_bytes) FROM pool_found WHERE pool = pool.id), 0) AS free_bytes,
  ifnull((SELECT sum(booked_bytes) FROM pool_load WHERE pool_load.pool = pool.id), 0) AS booked_bytes,
  ifnull((SELECT group_concat(ifnull(node.name, f.node) || ': ' || problem, '; ') FROM pool_found f
    LEFT JOIN node ON node.id = f.node WHERE f.pool = pool.id AND problem <> ''), '') AS problem
FROM pool""".replace("WHERE pool = pool.id", "WHERE pool_found.pool = pool.id")
COLUMNS: Final = {name: name for name in ("id", "name", "path", "capacity_bytes", "free_bytes", "booked_bytes")}


def here(reader: Reader, *pools: str) -> dict[str, list[PoolHere]]:
    """What each node has of these pools, in order of the nodes' names."""
    found: dict[str, list[PoolHere]] = {pool: [] for pool in pools}
    marks = ", ".join("?" * len(pools))
    for row in reader.all(
        f"SELECT f.*, ifnull(node.name, f.node) AS name, ifnull(booked_bytes, 0) AS booked FROM pool_found f "
        f"LEFT JOIN node ON node.id = f.node LEFT JOIN pool_load l ON l.pool = f.pool AND l.node = f.node "
        f"WHERE f.pool IN ({marks}) ORDER BY name, f.node, f.pool",
        pools,
    ):
        found[row["pool"]].append(
            PoolHere(
                node=row["name"], capacity_bytes=row["capacity_bytes"], free_bytes=row["free_bytes"],
                booked_bytes=row["booked"], problem=row["problem"],
            )
        )  # fmt: skip
    return found


def shown(row: dict[str, Any], nodes: list[PoolHere]) -> Pool:
    """A row as its public form."""
    return Pool(
        id=row["id"], name=row["name"], path=row["path"], reserve_percent=row["reserve_percent"],
        capacity_bytes=row["capacity_bytes"], free_bytes=row["free_bytes"], booked_bytes=row["booked_bytes"],
        reserved_bytes=row["capacity_bytes"] * row["reserve_percent"] // 100, problem=row["problem"], nodes=nodes,
    )  # fmt: skip


class KeptDisk(msgspec.Struct, frozen=True, kw_only=True):
    """A disk whose machine was destroyed without purging it. ``image`` is what it is a copy on write of."""

    id: str
    path: str
    pool: str
    vm: str
    size_gb: int
    image: str
    node: str
    since: str


class KeptDisks(msgspec.Struct, frozen=True):
    """A page of kept disks."""

    items: list[KeptDisk]
    next: str
    applied_index: int


_KEPT: Final = """
SELECT d.*, pool.name AS pool_name, ifnull(image.name, '') AS image_name, ifnull(node.name, d.node) AS node_name
FROM disk_kept d
LEFT JOIN pool ON pool.id = d.pool LEFT JOIN image ON image.id = d.image LEFT JOIN node ON node.id = d.node"""


def resolve_disk(reader: Reader, text: str) -> str | None:
    """A kept disk's id by path or id."""
    row = reader.one("SELECT id FROM disk_kept WHERE id = ? OR path = ?", (text, text))
    return row["id"] if row else None


def resolve(reader: Reader, text: str) -> str | None:
    """A pool's id by name or id."""
    row = reader.one("SELECT id FROM pool WHERE id = ? OR name = ?", (text, text))
    return row["id"] if row else None


@action("GET /v1/pools", cli="storage pool list", permission="pool.read", summary="List storage pools", answers=Pools)
class ListPools(Page, frozen=True, kw_only=True):
    """A page of pools."""

    def fetch(self, reader: Reader) -> Pools:
        found, following = page(reader, _SQL, COLUMNS, self)
        nodes = here(reader, *(row["id"] for row in found))
        return Pools([shown(row, nodes[row["id"]]) for row in found], following, reader.applied_index)


@action(
    "GET /v1/disks",
    cli="storage disk list",
    permission="disk.read",
    summary="List disks kept of destroyed machines",
    answers=KeptDisks,
)
class ListDisks(Page, frozen=True, kw_only=True):
    """A page of kept disks."""

    def fetch(self, reader: Reader) -> KeptDisks:
        names = {"id": "id", "path": "path", "pool": "pool_name", "vm": "vm_name", "image": "image_name",
                 "node": "node_name"}  # fmt: skip
        found, following = page(reader, _KEPT, names, self)
        items = [
            KeptDisk(
                id=row["id"], path=row["path"], pool=row["pool_name"] or "", vm=row["vm_name"],
                size_gb=row["size_bytes"] // GIB, image=row["image_name"], node=row["node_name"],
                since=rfc3339(row["at_ms"]),
            )
            for row in found
        ]  # fmt: skip
        return KeptDisks(items, following, reader.applied_index)
