"""Founding: one transaction, so that a crash leaves a founded cluster or none. And what all nodes go on to together."""

from typing import Annotated, Any

from girginosvm.core import levels
from girginosvm.core.action import Command, action
from girginosvm.core.errors import Conflict, Stale
from girginosvm.core.fields import field
from girginosvm.features.network.commands import AddNetwork
from girginosvm.features.node import api as nodes
from girginosvm.features.storage.commands import AddPool
from girginosvm.state.migrate import Step
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


Ids = Annotated[tuple[str, ...], field("Member ids.", max_length=1000)]


@action(
    "POST /v1/cluster/level",
    permission="cluster.report",
    summary="Go on to a feature level that every node supports",
    audit="raised the feature level to {level}",
    answers=dict[str, Any],
)
class RaiseLevel(Command, frozen=True, kw_only=True):
    """Said by the leader when ``levels.may_raise`` allows it, and looked at once more in log order. Tables and level
    move in one entry. A node whose release does not know the level applies nothing behind this entry."""

    level: Annotated[int, field("Feature level.", ge=1, le=1_000_000)]
    voters: Ids
    reached: Ids
    steps: Annotated[tuple[Step, ...], field("The migrations of that level.", max_length=1000)]

    def apply(self, tx: Tx) -> dict[str, Any]:
        if self.level <= tx.level:
            raise Stale("level-passed", f"the cluster is at feature level {tx.level} already")
        verdict = levels.may_raise(
            tx.level, nodes.releases(tx), frozenset(self.voters), tx.at_ms, reached=frozenset(self.reached)
        )
        if verdict.level < self.level:
            raise Conflict("level-held", verdict.reason)
        ran = tx.raise_level(self.level, self.steps)
        text = f"the cluster goes on to feature level {self.level}: {verdict.reason}"
        tx.event("cluster.level-raised", "cluster", "", text[:2000], level=self.level, migrations=ran)
        return {"level": self.level, "migrations": ran}
