"""Founding: one transaction, so that a crash leaves a founded cluster or none. What all nodes go on to together. The
last resort: one node goes on."""

from typing import Annotated, Any

from girginosvm.core import levels
from girginosvm.core.action import Command, Stream, action
from girginosvm.core.errors import Conflict, Stale
from girginosvm.core.fields import Ref, field
from girginosvm.features.center import api as centers
from girginosvm.features.cluster import model
from girginosvm.features.event import api as events
from girginosvm.features.membership import api as membership
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
    """The first pool and the first network, and how long history is kept. Said by a node to itself at its first
    start."""

    pool_path: Annotated[str, field("Directory of the first pool.", max_length=255)]
    reserve_percent: Annotated[int, field("Share of it that stays free.", ge=0, le=90)] = 5
    nat_cidr: Annotated[str, field("Network of the first NAT.", max_length=18)] = "192.168.196.0/24"
    nat_gateway: Annotated[str, field("The node's address in it.", max_length=15)] = "192.168.196.1"
    event_days: events.EventDays = 400
    operation_days: events.OperationDays = 90

    def apply(self, tx: Tx) -> dict[str, bool]:
        if tx.one("SELECT 1 FROM event WHERE kind = 'cluster.founded' LIMIT 1"):
            raise Conflict("founded", "this cluster is founded already")
        AddPool(name="default", path=self.pool_path, reserve_percent=self.reserve_percent).apply(tx)
        AddNetwork(
            name="default", kind="nat", bridge="br-nat", cidr=self.nat_cidr, gateway=self.nat_gateway,
        ).apply(tx)  # fmt: skip
        events.retain(tx, events.Retention(self.event_days, self.operation_days))
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


@action(
    "POST /v1/cluster/recovered",
    permission="cluster.report",
    summary="Say in the log that this node goes on alone",
    audit="recovered the cluster on {member}",
    answers=dict[str, bool],
)
class RecordRecovery(Command, frozen=True, kw_only=True):
    """The first entry of a history that one survivor goes on with. Everybody else is no member from here on and comes
    back under another id; what was on their hosts stays described until `membership remove` gives it up, or the host
    brings it back."""

    member: Annotated[str, field("The survivor's member id.", max_length=64)]
    recovery: Annotated[str, field("Id of this recovery.", max_length=36)]
    gone: Annotated[tuple[model.GivenUp, ...], field("Who is gone for good.", max_length=300)]
    rejoin: Annotated[tuple[model.GivenUp, ...], field("Who is there and has to come back.", max_length=300)] = ()
    last_index: Annotated[int, field("The last entry of the survivor's log.", ge=0)]
    last_term: Annotated[int, field("Its term.", ge=0)]
    proof: Annotated[str, field("How it is known that they are gone.", max_length=1000)]

    def apply(self, tx: Tx) -> dict[str, bool]:
        nodes.own(tx, self.member)
        if tx.one("SELECT 1 FROM event WHERE noun = 'cluster' AND subject_id = ? LIMIT 1", (self.recovery,)):
            return {"recorded": False}
        known = [row["id"] for row in tx.all("SELECT id FROM member WHERE id <> ? ORDER BY id", (self.member,))]
        told = {one.id: one.name for one in (*self.gone, *self.rejoin)}
        ends = []
        for one in (*told, *(one for one in known if one not in told)):
            membership.give_up(tx, one, told)
            ends += [nodes.called(tx, one)] if centers.give_up(tx, one) else []
            nodes.lose(tx, one)
        incarnation = tx.begin_anew()
        center = f"; no center until it is back: {', '.join(ends)}" if ends else ""
        back = f"; to come back under another id: {_named(self.rejoin)}" if self.rejoin else ""
        tx.event(
            "cluster.recovered", "cluster", self.recovery,
            f"goes on without {_named(self.gone)} from entry {self.last_index} of term {self.last_term}{back}{center}. "
            f"The proof: {self.proof}"[:2000],
            gone=[one.id for one in self.gone], rejoin=[one.id for one in self.rejoin], last_index=self.last_index,
            last_term=self.last_term, incarnation=incarnation, proof=self.proof,
        )  # fmt: skip
        return {"recorded": True}


def _named(members: tuple[model.GivenUp, ...]) -> str:
    return ", ".join(one.name for one in members)


@action(
    "POST /v1/cluster/recover", cli="cluster recover", permission="cluster.recover",
    summary="The last resort: go on with this node alone, when most voters are gone for good",
    answers=model.Recovery, status=200,
    examples=(
        "girginosvm cluster recover",
        "girginosvm cluster recover --without n2 --proof ticket-4711:n2-burnt",
    ),
)  # fmt: skip
class RecoverCluster(Stream, frozen=True, kw_only=True):
    """Without options it only shows: who votes, who is reached, how far this node's log goes, what may be lost, and the
    command to confirm. As root on the surviving node itself. It needs proof in your own words, which the history keeps:
    if a node that is given up still runs somewhere with others, there are two clusters from then on."""

    without: Annotated[tuple[Ref, ...], field("A node that is gone for good.", ref="member", max_length=300)] = ()
    proof: Annotated[
        str, field("How you know that they are gone for good; 10 characters or more.", max_length=1000)
    ] = ""
    i_am_sure: Annotated[str, field("In place of a proof: the sentence that it shows, typed.", max_length=1000)] = ""
    dry_run: Annotated[bool, field("Only show what would become of it.")] = False
