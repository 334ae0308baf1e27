"""The stand-in's part about nodes and members: who is in, who is reached, and what is done about them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web

from girginosvm.core.words import said
from girginosvm.features.node.words import TEXTS

NOW = (datetime.now(UTC) - timedelta(seconds=95)).isoformat()
WAITS = said("level.waits", level=2, names=[said("level.supports", name="n3", release="0.1.0", level=1)])
HOLDERS = {"cordon": "person", "uncordon": "person", "maintenance": "maintenance"}
STATES = {"person": "cordoned", "maintenance": "maintenance", "drain": "draining"}


def problem(
    status: int, code: str, detail: str, faults: list[Any] | None = None, *, family: str = "Invalid"
) -> web.Response:
    """A problem document."""
    body = {"type": f"/problems/{code}", "status": status, "code": code, "detail": detail, "errors": faults or [],
            "family": family}  # fmt: skip
    return web.json_response(body, status=status, content_type="application/problem+json")


def placement(node: str) -> dict[str, Any]:
    """Why a machine is on this node, as its sheet says it."""
    return {"node": node, "generation": 1, "at": NOW, "reasons": reasons(node)}


def reason(node: str, word: str, **values: Any) -> dict[str, Any]:
    """What placement says of a node, by its word."""
    return {"node": node, "text": TEXTS[word].format(**values), "word": word, "values": values}


def reasons(node: str) -> list[dict[str, Any]]:
    """What placement says of three nodes."""
    found = [
        reason("n1", "could", share=37), reason("n2", "could", share=41),
        reason("n3", "cordoned-why", why="its disks are changed"),
    ]  # fmt: skip
    return [reason(node, "best", of=2, share=25), *(one for one in found if one["node"] != node)]


class Members(ABC):
    """Nodes and members. ``away``: names that n1 does not reach; ``unseen``: at which it does not look; ``lone``: n1 is
    alone; ``witness``: as one."""

    def __init__(self, world: dict[str, dict[str, Any]]) -> None:
        self.world = world
        self.index = 200
        self.away: set[str] = set()
        self.parted = ""  # who was recovered without n1
        self.unseen: set[str] = set()  # neither they nor n1 have a vote
        self.lone = self.leaderless = self.witness = False
        self.centers: dict[str, dict[str, Any]] = {}
        self.joins: list[dict[str, Any]] = []
        self.invited: list[dict[str, str]] = []
        self.drained: set[str] = set()
        self.orders: dict[str, str] = {}
        self.retention = {"event_days": 400, "operation_days": 90}
        self.ill: list[dict[str, Any]] = []  # of the doctor's checks
        self.deeds: list[tuple[str, str, str]] = []  # method, path, X-Why
        self.asked: list[dict[str, str]] = []  # of placement

    @abstractmethod
    def publish(self, table: str, events: list[Any]) -> None:
        """Tell everybody."""

    def membership(self) -> dict[str, Any]:
        """The cluster as n1 sees it: three voters and what else there is, n1 leads while it reaches two."""
        nodes = list(self.world["nodes"].values())[: 1 if self.lone else None]
        voters = [node["name"] for node in nodes[:3] if node["id"] not in self.drained]
        reached = [name for name in voters if name not in self.away]
        quorum = 2 * len(reached) > len(voters)
        members = [
            {"id": node["id"], "name": node["name"], "address": f"192.0.2.{10 + n}:1995", "state": "member",
             "api": f"192.0.2.{10 + n}:1996", "lag": None,
             "reached": None if node["name"] in self.unseen else node["name"] not in self.away,
             "heard": node["name"] == "n1" or (quorum and node["name"] not in self.away),
             "witness": self.witness, "here": node["name"] == "n1", "drained": node["id"] in self.drained,
             "order": self.orders.get(node["id"], "any"),
             "role": "leader" if quorum and n == 1 else "voter" if node["name"] in voters else "observer"}
            for n, node in enumerate(nodes, 1)
        ]  # fmt: skip
        return {"cluster": "0b9d1c52-7f6e-4f0e-9c83-4a3f4a0d2f10", "node": "n1", "leader": "n1" if quorum else "",
                "term": 7, "applied_index": self.index, "voters": len(voters), "voters_reached": len(reached),
                "quorum": quorum, "level": 1, "level_reason": WAITS.text,
                "level_said": msgspec.to_builtins(WAITS), "members": members, "problems": [],
                **({"parted": self.parted} if self.parted else {})}  # fmt: skip

    async def show_membership(self, _: web.Request) -> web.Response:
        return web.json_response(self.membership())

    async def show_doctor(self, _: web.Request) -> web.Response:
        """All is well, but for what ``ill`` says."""
        if self.leaderless:
            return problem(503, "raft-away", "the raft process of this node does not answer", family="Busy")
        well = [{"name": name, "state": "ok", "says": f"{name} is well", "next": ""} for name in ("raft", "journal")]
        said = {"verdict": "ok", "node": "n1", "version": "0.1.0", "at": NOW, "checks": [*self.ill, *well]}
        return web.json_response(said)

    async def show_centers(self, _: web.Request) -> web.Response:
        return web.json_response({"items": list(self.centers.values()), "applied_index": self.index})

    async def make_token(self, _: web.Request) -> web.Response:
        if self.leaderless:
            return problem(503, "no-leader", "no leader was found in time; nothing was done", family="NoQuorum")
        until = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
        command = "girginosvm membership join --center https://192.0.2.11:1996 --token ops-shown-once"
        token = f"3f9a1c20d4e{len(self.invited)}"
        self.invited.append({"id": token, "state": "active", "created_by": "ada", "created_at": NOW,
                             "expires_at": until, "used_by": ""})  # fmt: skip
        self.publish("join_token", [])
        made = {"id": token, "token": "ops-shown-once", "expires_at": until, "command": command}
        return web.json_response(made, status=201)

    async def show_tokens(self, _: web.Request) -> web.Response:
        return web.json_response({"items": self.invited, "next": "", "applied_index": self.index})

    async def revoke_token(self, request: web.Request) -> web.Response:
        self.deeds.append((request.method, request.path, ""))
        self.invited = [one for one in self.invited if one["id"] != request.match_info["id"]]
        self.publish("join_token", [])
        return web.json_response({"token": request.match_info["id"]})

    async def remove_member(self, request: web.Request) -> web.Response:
        node = self.world["nodes"][request.match_info["id"]]
        if not (await request.json()).get("lost"):
            return problem(409, "node-has-machines", f"3333 machines are on {node['name']}: billing-00002, ...")
        del self.world["nodes"][node["id"]]
        self.publish("member", [])
        return web.json_response({"member": node["id"], "name": node["name"], "lost": []})

    async def center(self, request: web.Request) -> web.Response:
        body = await request.json()
        node = next(one for one in self.world["nodes"].values() if one["name"] == body["node"])
        if request.match_info["verb"] == "demote":
            del self.centers[node["id"]]
        else:
            self.centers[node["id"]] = {
                "node": node["id"], "name": node["name"], "state": "serving", "bind": body["bind"],
                "public_url": body["public_url"], "problem": "", "since": NOW,
            }  # fmt: skip
        self.publish("center", [])
        return web.json_response({"node": node["name"]})

    async def join(self, request: web.Request) -> web.Response:
        self.joins.append(body := await request.json())
        if not body.get("token", "").startswith("ops-"):
            detail = "this is no token of `membership token create`: it is not whole"
            return problem(422, "join-token-unreadable", detail)
        against = ["the cluster has a node named n1 already (setting node_name)"] if "other" in body["center"] else []
        answer = {"member": "m-9", "cluster": "5f2a7e10-0000-4000-8000-000000000001", "nodes": 3, "conflicts": against,
                  "brings": "2 machines, 1 image", "archive": "/var/lib/girginosvm/archive/0b9d1c52-1764"}  # fmt: skip
        return web.json_response(answer, status=200 if body.get("rehearse") else 202)

    async def tend(self, request: web.Request) -> web.Response:
        """Cordon, uncordon, maintenance, domain."""
        self.deeds.append((request.method, request.path, request.headers.get("X-Why", "")))
        node, verb = self.world["nodes"][request.match_info["id"]], request.match_info["verb"]
        if verb == "domain":
            node = {**node, "domain": (await request.json())["domain"]}
        else:
            holds = verb == "cordon" or (verb == "maintenance" and request.method == "POST")
            node = self.closed(node, HOLDERS[verb], request.headers.get("X-Why", ""), holds=holds)
        self.world["nodes"][node["id"]] = node
        self.publish("node_cordon", [])
        return web.json_response({"node": node["id"], "closed_by": [one["holder"] for one in node["cordons"]]})

    def closed(self, node: dict[str, Any], holder: str, why: str, *, holds: bool) -> dict[str, Any]:
        """The node with or without this holder's cordon."""
        rest = [one for one in node["cordons"] if one["holder"] != holder]
        now = [{"holder": holder, "by": "operator", "why": why, "since": NOW}] if holds else []
        cordons = sorted(rest + now, key=lambda one: str(one["holder"]))
        return {**node, "cordons": cordons, "state": STATES[cordons[0]["holder"]] if cordons else "ready"}

    async def drain(self, request: web.Request) -> web.Response:
        """Drain and undrain; the last one that votes may not be drained."""
        self.deeds.append((request.method, request.path, request.headers.get("X-Why", "")))
        wanted, holds = (await request.json())["node"], request.match_info["verb"] == "drain"
        node = next(one for one in self.world["nodes"].values() if one["name"] == wanted)
        if holds and len(self.drained) == 2:
            return problem(409, "last-member", f"nobody is left to take the vote of {wanted}", family="Unsafe")
        self.drained = self.drained | {node["id"]} if holds else self.drained - {node["id"]}
        self.world["nodes"][node["id"]] = self.closed(node, "drain", "", holds=holds)
        self.publish("member", [])
        return web.json_response({"node": wanted, "machines": []})

    async def show_retention(self, _: web.Request) -> web.Response:
        return web.json_response(self.retention)

    async def retain(self, request: web.Request) -> web.Response:
        """How long the history is kept."""
        self.retention |= await request.json()
        return web.json_response(self.retention)

    async def order_lead(self, request: web.Request) -> web.Response:
        """Whether a node leads first, last, or as any other."""
        self.deeds.append((request.method, request.path, request.headers.get("X-Why", "")))
        asked = await request.json()
        node = next(one for one in self.world["nodes"].values() if one["name"] == asked["node"])
        self.orders[node["id"]] = asked["order"]
        self.publish("member", [])
        return web.json_response(asked)

    async def leave(self, request: web.Request) -> web.Response:
        """This node has machines: it stays."""
        self.deeds.append((request.method, request.path, ""))
        return problem(409, "node-has-machines", "3333 machines are on this node: billing-00002, ...", family="InUse")

    async def placement(self, request: web.Request) -> web.Response:
        """n2, unless more memory is asked for than any node has."""
        self.asked.append(dict(request.query))
        if int(request.query.get("memory_mb", 1024)) > 262144:
            short = [reason(name, "memory", free="108 GiB", asked="512 GiB") for name in ("n1", "n2", "n3")]
            return web.json_response({"node": "", "code": "memory-short", "fit": 0, "nodes": 3, "reasons": short})
        return web.json_response({"node": "n2", "code": "", "fit": 2, "nodes": 3, "reasons": reasons("n2")})
