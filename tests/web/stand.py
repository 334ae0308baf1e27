"""A daemon for the panel alone: its files, its shapes, and 10,000 machines that change. Nothing of it ships."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from girginosvm.core.words import Said, said
from tests.web.members import NOW, Members, placement, problem

ROOT = Path(__file__).resolve().parents[2]
COPIES = said("step.image", image="almalinux-10", node="n2")
KVM = said("acceleration.kvm", ms=212)
PAYLOAD = '"><img src=x onerror=document.title=1>'


def machine(n: int, nodes: int = 3) -> dict[str, Any]:
    """The nth machine."""
    states = ["running"] * 9 + ["stopped", "running", "running", "starting", "running", "paused", "failed"]
    state = states[n % len(states)] if n > 7 else "running"
    names = ["shop-web", "shop-db", "billing", "mail", "build", "crm", "intranet", "vpn"]
    name = PAYLOAD if n == 3 else f"{names[n % len(names)]}-{n:05d}"
    problem = {"code": "disk-full", "detail": "pool default on n1 has 2 GiB free, the disk needs 8 GiB more"}
    return {
        "id": f"vm-{n:05d}", "name": name, "project": "default", "state": state,
        "state_reason": {"running": "booted", "stopped": "shutdown", "paused": "ioerror"}.get(state, ""),
        "desired": "off" if state == "stopped" else "on", "node": f"n{n % nodes + 1}", "vcpu": 1 + n % 8,
        "memory_mb": 1024 * (1 + n % 16), "disk_gb": 10 + n % 90, "addresses": [f"10.{n // 250 % 250}.{n % 250}.7"],
        "macs": [f"52:54:00:00:{n // 256 % 256:02x}:{n % 256:02x}"], "network": "default", "image": "almalinux-10",
        "firmware": "uefi", "acceleration": "kvm", "agent": True, "ours": True, "generation": 1,
        "problem": problem if state == "failed" else None, "created_at": NOW,
    }  # fmt: skip


def operation(n: int, state: str, problem: Any = None) -> dict[str, Any]:
    """An operation."""
    return {
        "id": f"op-{n}", "kind": "vm.create", "noun": "vm", "subject_id": f"vm-{n:05d}", "subject_name": f"shop-{n}",
        "node": "n1", "state": state, "step": COPIES.text if state == "running" else state, "progress": None,
        "step_said": msgspec.to_builtins(COPIES) if state == "running" else None,
        "problem": problem, "actor": "operator", "created_at": NOW, "steps": [],
        "finished_at": None if state == "running" else NOW,
    }  # fmt: skip


def event(n: int, one: Said | None = None) -> dict[str, Any]:
    """A line of history."""
    one = one or said("event.vm.created", name=f"shop-{n}", image="almalinux-10")
    return {
        "id": f"ev-{n}", "index": 100 + n, "at": NOW, "kind": ".".join(one.code.split(".")[1:3]), "noun": "vm",
        "why": "", "subject_id": "vm-00000", "text": one.text, "text_said": msgspec.to_builtins(one),
        "actor": "operator",
    }  # fmt: skip


def world(machines: int, nodes: int = 3) -> dict[str, dict[str, Any]]:
    """Everything there is, by list and id; with more than three nodes they are in racks, four in each."""
    failed = {"code": "pool-full", "detail": "pool default on n1 would pass its reserve: 64 GiB asked, 41 GiB free"}
    node = {
        "hostname": "n1.example", "cpus": 32, "cpu_model": "AMD EPYC 9354P", "memory_mb": 262144,
        "memory_used_mb": 148480, "memory_reserve_mb": 8192, "vcpus": 96, "vms": machines // nodes, "kernel": "6.12.0",
        "os": "AlmaLinux 10.1", "libvirt": "11.5.0", "qemu": "10.1.0", "acceleration": "kvm",
        "acceleration_reason": KVM.text, "acceleration_said": msgspec.to_builtins(KVM),
        "firmwares": ["bios", "uefi"], "addresses": ["192.0.2.11"],
        "release": "0.1.0", "level": 1, "seen_at": "2099-01-01T00:00:00Z",
        "state": "ready", "cordons": [], "domain": "",
    }  # fmt: skip
    rows = {
        "vms": [machine(n, nodes) for n in range(machines)],
        "nodes": [{**node, "id": f"node-{n}", "name": f"n{n}", "domain": f"rack{n // 4 + 1}" if 3 < nodes > n else ""}
                  for n in range(1, nodes + 1)],
        "images": [{"id": "im-1", "name": "almalinux-10", "version": "10.1", "state": "ready", "format": "qcow2",
                    "signed": True, "size_bytes": 5 * 2**28, "virtual_gb": 10, "min_disk_gb": 10, "firmware": "uefi",
                    "sha256": "0" * 64, "source": "https://mirror.example/al10.qcow2", "problem": None,
                    "created_at": NOW}],
        "networks": [{"id": "net-1", "name": "default", "kind": "nat", "bridge": "br-default", "dns": [], "mtu": 1500,
                      "cidr": "10.10.0.0/16", "gateway": "10.10.0.1", "range_start": "10.10.0.10",
                      "range_end": "10.10.255.250", "leased": 12, "free": 540}],
        "pools": [{"id": "pool-1", "name": "default", "path": "/var/lib/girginosvm/disks", "reserve_percent": 5,
                   "capacity_bytes": 2**42, "free_bytes": 2**40, "booked_bytes": 2**41, "reserved_bytes": 2**38,
                   "problem": ""}],
        "leases": [{"id": "10.0.3.7", "address": "10.0.3.7", "mac": "52:54:00:00:00:03", "network": "default",
                    "vm": PAYLOAD, "vm_id": "vm-00003", "since": NOW}],
        "disks": [{"id": "disk-1", "path": "/var/lib/girginosvm/disks/old-0.qcow2", "pool": "default",
                   "vm": "old-shop", "size_gb": 20, "image": "almalinux-10", "since": NOW}],
        "users": [{"id": "u-1", "email": "operator", "role": "admin", "disabled": False, "sessions": 2,
                   "must_change_password": False, "created_at": NOW}],
        "tokens": [{"id": "t-1", "name": "billing", "role": "operator", "state": "active", "created_by": "operator",
                    "created_at": NOW, "expires_at": None}],
        "operations": [operation(1, "running"), operation(2, "failed", failed), operation(3, "done")],
        "events": [event(n) for n in range(30)],
    }  # fmt: skip
    return {name: {row["id"]: row for row in items} for name, items in rows.items()}


class Stand(Members):
    """The world and who listens to it."""

    def __init__(self, machines: int, nodes: int = 3) -> None:
        super().__init__(world(machines, nodes))
        self.listeners: set[asyncio.Queue[str]] = set()
        self.keys: list[str] = []
        self.cut = False
        self.uploads: list[tuple[str, bytes]] = []

    def publish(self, table: str, events: list[Any]) -> None:
        """Tell everybody."""
        self.index += 1
        data = json.dumps({"index": self.index, "tables": [table], "events": events})
        for queue in self.listeners:
            queue.put_nowait(f"id: a.{self.index}.0\nevent: change\ndata: {data}\n\n")

    async def list(self, request: web.Request) -> web.Response:
        rows = list(self.world[request.match_info["kind"]].values())
        limit, start = int(request.query.get("limit", 50)), int(request.query.get("cursor") or 0)
        if request.query.get("sort", "").startswith("-"):
            rows.reverse()
        following = str(start + limit) if start + limit < len(rows) else ""
        return web.json_response({"items": rows[start : start + limit], "next": following, "applied_index": self.index})

    async def show(self, request: web.Request) -> web.Response:
        row = self.world[request.match_info["kind"]].get(request.match_info["id"])
        if row is None:
            return problem(404, "vm-missing", f"there is no machine {request.match_info['id']}")
        disk = {"path": f"/var/lib/girginosvm/disks/{row['id']}-0.qcow2", "pool": "default", "size_gb": 10,
                "format": "qcow2", "image": "almalinux-10", "full_copy": False}  # fmt: skip
        nic = {"mac": "52:54:00:00:00:01", "network": "default", "bridge": "br-default", "address": "10.0.0.7"}
        more = {"disks": [disk], "nics": [nic], "ssh_keys": [], "tags": ["prod", PAYLOAD], "notes": PAYLOAD,
                "external_id": "", "operations": [operation(3, "done")], "anti_affinity": "",
                "anti_affinity_soft": False, "placement": placement(row.get("node", "n1"))}  # fmt: skip
        return web.json_response({**row, **more})

    async def create(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers.get("Idempotency-Key", ""))
        body = await request.json()
        vms = self.world["vms"]
        faults = []
        if not body.get("name") or " " in body["name"]:
            faults.append({"pointer": "/name", "detail": "lower-case letters, digits and dashes only"})
        if not isinstance(body.get("vcpu", 1), int) or body.get("vcpu", 1) > 512:
            one = said("fault.high", bound="512", value=str(body["vcpu"]))
            faults.append({"pointer": "/vcpu", "detail": one.text, "detail_said": msgspec.to_builtins(one)})
        if faults:
            return problem(422, "body-invalid", "the request cannot be right", faults)
        if any(vm["name"] == body["name"] for vm in vms.values()):
            return problem(409, "name-taken", f"project default has a machine named {body['name']} already")
        new = {**machine(0), **body, "id": f"vm-new-{len(vms)}", "state": "building"}
        vms[new["id"]] = new
        self.publish("vm", [{"id": "e", "noun": "vm", "subject_id": new["id"], "text": "", "kind": "", "actor": ""}])
        return web.json_response({"vm": new["id"], "operation": "op-1", "node": "n1"}, status=202)

    async def change(self, request: web.Request) -> web.Response:
        vm, verb = request.match_info["id"], request.match_info.get("verb", "destroy")
        row = self.world["vms"][vm]
        if verb == "destroy":
            del self.world["vms"][vm]
        else:
            self.world["vms"][vm] = {**row, "state": {"start": "running", "stop": "stopped"}.get(verb, row["state"])}
        event = {"id": "e", "noun": "vm", "subject_id": vm, "text": "", "kind": "", "actor": ""}
        self.publish("vm", [event])
        return web.json_response({"vm": vm, "operation": "op-1", "node": "n1"}, status=202)

    async def remove(self, request: web.Request) -> web.Response:
        kind, row = request.match_info["kind"], request.match_info["id"]
        if kind == "networks":
            return problem(409, "network-in-use", "12 interfaces are plugged into network default")
        del self.world[kind][row]
        self.publish({"images": "image", "disks": "disk_kept", "tokens": "token"}[kind], [])
        return web.json_response({})

    async def add(self, request: web.Request) -> web.Response:
        body = await request.json()
        row = {"id": f"t-{body['name']}", "state": "active", "created_by": "operator", "created_at": NOW,
               "expires_at": None, "role": "operator", **body}  # fmt: skip
        self.world["tokens"][row["id"]] = row
        self.publish("token", [])
        return web.json_response({**row, "token": "gvm_shown_once"})

    async def upload(self, request: web.Request) -> web.Response:
        self.uploads.append((request.match_info["name"], await request.read()))
        row = {**self.world["images"]["im-1"], "id": "im-new", "name": request.match_info["name"], "source": "upload"}
        self.world["images"]["im-new"] = row
        self.publish("image", [])
        return web.json_response({"image": "im-new"})

    async def stream(self, request: web.Request) -> web.StreamResponse:
        if self.cut:
            return problem(503, "too-many-listeners", "no stream now")
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        queue: asyncio.Queue[str] = asyncio.Queue()
        self.listeners.add(queue)
        try:
            await answer.write(f"id: a.{self.index}.0\nevent: reset\ndata: {{}}\n\n".encode())
            while not self.cut:
                await answer.write((await queue.get()).encode())
            return answer
        finally:
            self.listeners.discard(queue)

    async def serial(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await answer.prepare(request)
        await answer.write(b"[    0.000000] Linux version 6.12.0\r\n\x1b[32m[  OK  ]\x1b[0m Started sshd\r\nlogin: ")
        await asyncio.Event().wait()
        return answer


@web.middleware
async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
    """No token, no answer; the panel's own headers on everything."""
    path = request.path
    private = path.startswith("/v1") and not path.startswith(("/v1/auth", "/v1/health"))
    if private and request.headers.get("Authorization") not in ("Bearer good", "Bearer looks"):
        return problem(401, "token-invalid", "this token is not valid here, or no longer")
    response: web.StreamResponse = await handler(request)
    return response


async def headers(_: web.Request, response: web.StreamResponse) -> None:
    """The strict policy of the daemon."""
    from girginosvm.http import static

    response.headers["Content-Security-Policy"] = static.CSP
    response.headers["Cache-Control"] = "no-store"


async def login(request: web.Request) -> web.Response:
    """One password is right, and one is right until its owner has chosen another. Who is called viewer only looks."""
    body = await request.json()
    said, looks = body.get("password"), body.get("email") == "viewer"
    if said == "given":
        return web.json_response({"token": "good", "role": "admin", "must_change_password": True})
    if said != "right":
        return problem(401, "credentials-wrong", "the name or the password is wrong")
    return web.json_response({"token": "looks" if looks else "good", "role": "viewer" if looks else "admin"})


async def schema(_: web.Request) -> web.Response:
    """The real forms, of the real features."""
    import msgspec

    from girginosvm.features import registry
    from girginosvm.http import openapi

    return web.Response(body=msgspec.json.encode(openapi.forms(registry.REGISTRY)), content_type="application/json")


def app(stand: Stand) -> web.Application:
    """The whole of it."""
    made = web.Application(middlewares=[guard])
    made.on_response_prepare.append(headers)
    made.router.add_post("/v1/auth/login", login)
    made.router.add_post("/v1/auth/logout", _empty)
    made.router.add_get("/v1/health", _health)
    made.router.add_get("/v1/schema", schema)
    made.router.add_get("/v1/events/stream", stand.stream)
    made.router.add_get("/v1/vms/{id}/serial", stand.serial)
    made.router.add_get("/v1/membership", stand.show_membership)
    made.router.add_get("/v1/doctor", stand.show_doctor)
    made.router.add_get("/v1/centers", stand.show_centers)
    made.router.add_post("/v1/membership/tokens", stand.make_token)
    made.router.add_get("/v1/membership/tokens", stand.show_tokens)
    made.router.add_delete("/v1/membership/tokens/{id}", stand.revoke_token)
    made.router.add_post("/v1/membership/join", stand.join)
    made.router.add_delete("/v1/membership/members/{id}", stand.remove_member)
    made.router.add_post("/v1/center/{verb}", stand.center)
    made.router.add_post("/v1/membership/leave", stand.leave)
    made.router.add_post("/v1/membership/{verb:drain|undrain}", stand.drain)
    made.router.add_post("/v1/membership/lead", stand.order_lead)
    made.router.add_get("/v1/retention", stand.show_retention)
    made.router.add_post("/v1/retention", stand.retain)
    made.router.add_post("/v1/witness", stand.join)
    made.router.add_post("/v1/nodes/{id}/{verb}", stand.tend)
    made.router.add_delete("/v1/nodes/{id}/{verb}", stand.tend)
    made.router.add_get("/v1/placement", stand.placement)
    made.router.add_post("/v1/vms", stand.create)
    made.router.add_post("/v1/vms/{id}/{verb}", stand.change)
    made.router.add_delete("/v1/vms/{id}", stand.change)
    made.router.add_delete("/v1/{kind}/{id}", stand.remove)
    made.router.add_post("/v1/tokens", stand.add)
    made.router.add_post("/v1/images/upload/{name}", stand.upload)
    made.router.add_get("/v1/auth/whoami", _whoami)
    made.router.add_get("/v1/{kind}", stand.list)
    made.router.add_get("/v1/{kind}/{id}", stand.show)
    made.router.add_get("/", _index)
    made.router.add_static("/", ROOT / "assets" / "web")
    return made


async def _empty(_: web.Request) -> web.Response:
    return web.Response(status=204)


async def _whoami(request: web.Request) -> web.Response:
    role = "viewer" if request.headers["Authorization"] == "Bearer looks" else "admin"
    return web.json_response({"kind": "session", "name": "operator", "role": role, "must_change_password": False})


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"node": "n1", "version": "0.1.0", "applied_index": 1, "halted": ""})


async def _index(_: web.Request) -> web.FileResponse:
    return web.FileResponse(ROOT / "assets" / "web" / "index.html")


if __name__ == "__main__":
    web.run_app(app(Stand(int(sys.argv[2]))), host="127.0.0.1", port=int(sys.argv[1]), print=lambda _: None)
