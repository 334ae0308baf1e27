"""The cluster's certificate authority in the log: kept once, and replaced when somebody has left who knows its key.

Offered, then used once every member trusts it, then alone once nobody shows an older one: no node is cut off on the
way, and each step's premise is looked at once more in log order.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from girginosvm.core.action import Command, action
from girginosvm.core.errors import Conflict, Missing, Stale
from girginosvm.core.fields import field
from girginosvm.features.membership import api
from girginosvm.features.membership.commands import MemberId
from girginosvm.features.node import api as nodes
from girginosvm.state.tx import Tx

Answer = dict[str, Any]


@action(
    "POST /v1/membership/authority", permission="membership.report", summary="Keep the cluster's CA in the database",
    audit="kept the cluster's CA", answers=Answer,
)  # fmt: skip
class KeepAuthority(Command, frozen=True, kw_only=True):
    """Once: every node can then let others in, and renew its own certificate. The key is sealed."""

    certificate: Annotated[str, field("Certificate, PEM.", max_length=4096)]
    key: Annotated[str, field("Its key, PEM.", max_length=4096, secret="seal")]

    def apply(self, tx: Tx) -> Answer:
        if tx.one("SELECT 1 FROM ca LIMIT 1"):
            raise Conflict("authority-kept", "the cluster has its CA already")
        tx.insert(
            "ca", generation=1, certificate=self.certificate, sealed_key=self.key, sealed_cluster_key="", phase="used",
            born_index=tx.index, at_ms=tx.at_ms,
        )  # fmt: skip
        return {"kept": True}


@action(
    "POST /v1/membership/trust", permission="membership.report", summary="A member says which CA it trusts and shows",
    audit="member {member} trusts CA {trusts}", answers=Answer,
)  # fmt: skip
class ReportTrust(Command, frozen=True, kw_only=True):
    """The newest CA that it accepts others by, and the one that has signed what it shows."""

    member: MemberId
    trusts: Annotated[int, field("Generation.", ge=0)]
    shows: Annotated[int, field("Generation.", ge=0)]

    def apply(self, tx: Tx) -> Answer:
        nodes.own(tx, self.member)
        if not tx.one("SELECT 1 FROM member WHERE id = ?", (self.member,)):
            raise Missing("member-missing", f"{self.member} is no member")
        tx.run(
            "INSERT INTO member_trust VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
            "trusts = max(trusts, excluded.trusts), shows = max(shows, excluded.shows)",
            (self.member, self.trusts, self.shows),
        )
        return {"member": self.member}


@action(
    "POST /v1/membership/authority/offer", permission="membership.report", summary="Offer the cluster its next CA",
    audit="offered the next CA", answers=Answer,
)  # fmt: skip
class OfferAuthority(Command, frozen=True, kw_only=True):
    """A CA and a cluster key that no node has seen which is not a member any more. Said by the leader once those are
    out of reach of the log: what stands here they would read otherwise."""

    certificate: Annotated[str, field("The CA's certificate.", max_length=4096)]
    ca_key: Annotated[str, field("Its key, sealed with the cluster key that comes along.", max_length=4096)]
    cluster_key: Annotated[str, field("The next cluster key, sealed with the one before.", max_length=500)]

    def apply(self, tx: Tx) -> Answer:
        newest = tx.one("SELECT max(generation) AS generation FROM ca")
        if newest is None or not newest["generation"] or not api.owes_new_keys(tx):
            raise Stale("authority-passed", "nobody has left since the cluster's last change of CA")
        generation = newest["generation"] + 1
        tx.insert(
            "ca", generation=generation, certificate=self.certificate, sealed_key=self.ca_key,
            sealed_cluster_key=self.cluster_key, phase="offered", born_index=tx.index, at_ms=tx.at_ms,
        )  # fmt: skip
        tx.event("membership.authority", "membership", "", f"CA {generation} is offered: a member has left")
        return {"generation": generation}


@action(
    "POST /v1/membership/authority/advance", permission="membership.report", summary="Go on to the next CA",
    audit="CA {generation} is {phase}", answers=Answer,
)  # fmt: skip
class AdvanceAuthority(Command, frozen=True, kw_only=True):
    """``used``: every member trusts it, so its certificates may be shown. ``alone``: nobody shows an older one, so
    those are trusted no more. The premise is looked at once more, in log order."""

    generation: Annotated[int, field("Generation.", ge=1)]
    phase: Annotated[Literal["used", "alone"], field("What it becomes.")]

    def apply(self, tx: Tx) -> Answer:
        row = tx.one("SELECT * FROM ca WHERE generation = ?", (self.generation,))
        newest = tx.one("SELECT max(generation) AS generation FROM ca")
        if row is None or newest is None or newest["generation"] != self.generation:
            raise Stale("authority-passed", f"CA {self.generation} is not the newest one")
        if (row["phase"] == "offered") != (self.phase == "used"):
            raise Stale("authority-passed", f"CA {self.generation} is {row['phase']} already")
        lacks = tx.all(
            "SELECT name FROM member LEFT JOIN member_trust t ON t.member = member.id "
            "WHERE ifnull(iif(?, t.trusts, t.shows), 0) < ? ORDER BY member.id",
            (self.phase == "used", self.generation),
        )
        if lacks:
            raise Conflict("authority-awaited", f"not yet on {', '.join(one['name'] for one in lacks[:10])}")
        if self.phase == "used":
            tx.run("UPDATE ca SET phase = 'old' WHERE generation < ?", (self.generation,))
            tx.run("UPDATE ca SET phase = 'used' WHERE generation = ?", (self.generation,))
        else:
            tx.run("DELETE FROM ca WHERE generation < ?", (self.generation,))
            tx.run("UPDATE ca SET sealed_cluster_key = '' WHERE generation = ?", (self.generation,))
        what = "signs for the members" if self.phase == "used" else "is the only one that is trusted"
        tx.event("membership.authority", "membership", "", f"CA {self.generation} {what}")
        return {"generation": self.generation}
