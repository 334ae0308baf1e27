"""Making a node a center, and an ordinary node again. A center holds nothing of its own: several at once are fine."""

from __future__ import annotations

from typing import Annotated

from girginosvm.core.action import Command, action
from girginosvm.core.errors import Invalid, Missing, Unsafe
from girginosvm.core.fields import Sequence, field
from girginosvm.core.places import is_place
from girginosvm.features.auth import api as auth
from girginosvm.features.node import api as nodes
from girginosvm.state.tx import Tx

NodeRef = Annotated[str, field("Node; empty: the one that is asked.", ref="member", max_length=63)]
Bind = Annotated[
    str,
    field(
        "Where it listens.",
        pattern=r"^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:]+\]):\d{1,5}$",
        wants="an IP address and a port, as 0.0.0.0:1997",
        max_length=64,
    ),
]
Url = Annotated[
    str,
    field(
        "How people reach it.",
        pattern=r"^https://[A-Za-z0-9.\[\]:-]{1,250}/?$",
        wants="an https address without a path, as https://center.example.net:1997",
        max_length=260,
    ),
]


@action(
    "POST /v1/center/promote", cli="center promote", permission="center.promote",
    summary="Make a node a center: the cluster's panel and API on port 1997", audit="promote {node} to center",
    answers=dict[str, str],
    examples=(
        "girginosvm center promote --bind 0.0.0.0:1997 --public-url https://center.example.net:1997",
    ),
)  # fmt: skip
class PromoteCenter(Command, frozen=True, kw_only=True):
    """The node opens the port. With a password, the administrator of that address gets it, or is made."""

    node: NodeRef = ""
    bind: Bind = "0.0.0.0:1997"
    public_url: Url
    admin_email: Annotated[str, field("Administrator's e-mail address.", max_length=254)] = "admin@local"
    admin_password: Annotated[
        str, field("Administrator's password, 12 characters or more.", max_length=256, secret="hash", file="password")
    ] = ""

    def apply(self, tx: Tx) -> dict[str, str]:
        name = _name(tx, self.node)
        if not is_place(self.bind):
            raise Invalid("body-invalid", f"{self.bind} is no IP address and port, as 0.0.0.0:1997")
        if self.admin_password:
            auth.make_administrator(tx, self.admin_email, self.admin_password)
        known = tx.one("SELECT created_index, at_ms FROM center WHERE node = ?", (self.node,))
        tx.run("DELETE FROM center WHERE node = ?", (self.node,))
        tx.insert(
            "center", node=self.node, created_index=known["created_index"] if known else tx.index, bind=self.bind,
            public_url=self.public_url.rstrip("/"), at_ms=known["at_ms"] if known else tx.at_ms,
        )  # fmt: skip
        tx.event("center.promoted", "center", self.node, f"{name} is a center at {self.public_url} ({self.bind})")
        return {"node": name, "bind": self.bind, "public_url": self.public_url}


@action(
    "POST /v1/center/demote", cli="center demote", permission="center.demote",
    summary="Make a center an ordinary node again", audit="demote {node}", answers=dict[str, str],
    destroys=True, foresees="/v1/centers", examples=("girginosvm center demote --confirm",),
)  # fmt: skip
class DemoteCenter(Command, frozen=True, kw_only=True):
    """The port closes. Nothing is lost: whatever a center shows, every node has."""

    node: NodeRef = ""
    confirm: Annotated[bool, field("That is meant.")] = False

    def apply(self, tx: Tx) -> dict[str, str]:
        name = _name(tx, self.node)
        if tx.one("SELECT 1 FROM center WHERE node = ?", (self.node,)) is None:
            raise Missing("center-missing", f"{name} is no center")
        if not self.confirm:
            raise Unsafe("confirm-missing", f"the port of {name} closes for everybody who uses it", hint="--confirm")
        tx.run("DELETE FROM center WHERE node = ?", (self.node,))
        tx.event("center.demoted", "center", self.node, f"{name} is no center any more")
        return {"node": name}


@action(
    "POST /v1/center/report", permission="center.report", summary="A node says whether it serves as a center",
    audit="{node} reported its center", answers=dict[str, str],
)  # fmt: skip
class ReportCenter(Command, frozen=True, kw_only=True):
    """Where it listens, empty when nowhere, and why not."""

    node: Annotated[str, field("Member id.", max_length=64)]
    bind: Annotated[str, field("Where it listens.", max_length=64)] = ""
    problem: Annotated[str, field("Why it does not.", max_length=500)] = ""
    sequence: Sequence = 0

    def apply(self, tx: Tx) -> dict[str, str]:
        nodes.own(tx, self.node)
        nodes.newest(tx, self.node, "center", self.sequence)
        tx.run("DELETE FROM center_found WHERE node = ?", (self.node,))
        if self.bind or self.problem:
            tx.insert("center_found", node=self.node, bind=self.bind, problem=self.problem, at_ms=tx.at_ms)
        return {"node": self.node}


def _name(tx: Tx, node: str) -> str:
    row = tx.one("SELECT name FROM member WHERE id = ?", (node,))
    if row is None:
        raise Missing("member-missing", f"there is no member {node}; a node needs an address to be one")
    return str(row["name"])
