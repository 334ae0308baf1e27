"""Several nodes over one engine: what placement tests stand on."""

from __future__ import annotations

from typing import Any

import msgspec
from features.engine import FACTS, NODE, Engine

from girginosvm.core.units import GIB
from girginosvm.features.node.commands import ReportNode
from girginosvm.features.storage.commands import ReportPool
from girginosvm.features.vm.commands import CreateVm


def pool_of(engine: Engine, name: str = "default") -> str:
    """A pool's id."""
    return str(engine.rows("SELECT id FROM pool WHERE name = ?", name)[0]["id"])


def add_node(engine: Engine, node: str, *, memory_gb: int = 16, **fields: Any) -> None:
    """A node that has said what it is; its name is its id, but ``h1`` for the engine's own."""
    facts = msgspec.structs.replace(FACTS, memory_bytes=memory_gb * GIB, firmwares=fields.pop("firmwares", ()))
    name = "h1" if node == NODE else node
    engine.run(ReportNode(node=node, name=name, facts=facts, **fields), node=node)


def add_pool(engine: Engine, node: str, *, free_gb: int = 200, pool: str = "default", **fields: Any) -> None:
    """What a node has of a pool."""
    size = free_gb * GIB
    words = {"capacity_bytes": size, "free_bytes": size, "allocated_bytes": 0} | fields
    engine.run(ReportPool(pool=pool_of(engine, pool), node=node, **words), node=node)


def cluster(engine: Engine, *nodes: str) -> str:
    """A founded cluster of n1 and these, 16 GiB and 200 GiB each; answers the image's id."""
    image = engine.furnish()
    for node in nodes:
        add_node(engine, node)
        add_pool(engine, node)
    return image


def created(engine: Engine, name: str, **fields: Any) -> dict[str, Any]:
    """A machine of the first image on the first network and pool, at whatever node; what the command answers."""
    ids = {noun: engine.rows(f"SELECT id FROM {noun} ORDER BY created_index")[0]["id"] for noun in ("image", "network")}
    answer: dict[str, Any] = engine.run(CreateVm(**({"name": name, "pool": pool_of(engine), **ids} | fields)))
    return answer
