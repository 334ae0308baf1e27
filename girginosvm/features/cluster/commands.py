"""Founding: one transaction, so that a crash leaves a founded cluster or none."""

from typing import Annotated

from girginosvm.core.action import Command, action
from girginosvm.core.errors import Conflict
from girginosvm.core.fields import field
from girginosvm.features.network.commands import AddNetwork
from girginosvm.features.storage.commands import AddPool
from girginosvm.state.tx import Tx


@action(
    "POST /v1/cluster/found",
    permission="cluster.report",
    summary="Found a cluster of one",
    audit="founded the cluster",
    answers=dict[str, bool],
)
class FoundCluster(Command, frozen=True, kw_only=True):
    """The first pool and the first network. Said by a node to itself at its first start."""

    pool_path: Annotated[str, field("Directory of the first pool.", max_length=255)]
    reserve_percent: Annotated[int, field("Share of it that stays free.", ge=0, le=90)] = 5
    nat_cidr: Annotated[str, field("Network of the first NAT.", max_length=18)] = "192.168.196.0/24"
    nat_gateway: Annotated[str, field("The node's address in it.", max_length=15)] = "192.168.196.1"

    def apply(self, tx: Tx) -> dict[str, bool]:
        if tx.one("SELECT 1 FROM event WHERE kind = 'cluster.founded' LIMIT 1"):
            raise Conflict("founded", "this cluster is founded already")
        AddPool(name="default", path=self.pool_path, reserve_percent=self.reserve_percent).apply(tx)
        AddNetwork(
            name="default", kind="nat", bridge="br-nat", cidr=self.nat_cidr, gateway=self.nat_gateway,
        ).apply(tx)  # fmt: skip
        tx.event("cluster.founded", "cluster", tx.node, "founded a cluster of one")
        return {"founded": True}


@action(
    "POST /v1/cluster/key-mark",
    permission="cluster.report",
    summary="Record which key secrets are sealed with",
    audit="recorded the mark of the cluster's key",
    answers=dict[str, bool],
)
class RecordKeyMark(Command, frozen=True, kw_only=True):
    """Said once, by the first node that has the key: a node with another key is told so at its start, not when a
    machine of last year does not start."""

    mark: Annotated[str, field("What the key makes of a text that never changes.", min_length=64, max_length=64)]

    def apply(self, tx: Tx) -> dict[str, bool]:
        row = tx.one("SELECT mark FROM cluster_key WHERE one = ?", (1,))
        if row is None:
            tx.insert("cluster_key", one=1, mark=self.mark)
            return {"recorded": True}
        if row["mark"] != self.mark:
            raise Conflict("cluster-key-damaged", "this cluster's secrets are sealed with another key")
        return {"recorded": False}
