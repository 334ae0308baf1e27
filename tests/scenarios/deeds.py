"""What a person can ask of a node, each as something that can be interrupted anywhere, and the points on its path.

``points`` names methods (both sides of ``name`` are meant) and single points (``name:side``). A deed is killed at every
one of them; together they have to be all points that the code has (``test_crash``).
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from girginosvm.core.host import FoundDomain, Power
from girginosvm.hypervisor.fake.domains import FakeDomains
from girginosvm.hypervisor.fake.state import State
from tests.lab import mirror
from tests.scenarios import audit
from tests.scenarios.node import Node, qcow2

_numbers = itertools.count(1)
# The way of every write, and what every round looks at.
WRITE = "agent/propose agent/propose:sent raft/journal.write raft/journal.flush raft/machine.apply"
LOOK = "agent/domains.observe agent/volumes.observe agent/bridges.observe agent/filter.observe"


class Deed(msgspec.Struct, frozen=True):
    """``before`` makes room for it, ``act`` asks (with a key) and answers, ``after`` undoes it. ``{last}`` in a path is
    the id that ``before`` answered."""

    name: str
    points: str
    act: Callable[[Node, str, Any], Any]
    before: Callable[[Node], Any] = lambda node: None
    after: Callable[[Node, Any], None] = lambda node, answer: None

    def path(self) -> list[str]:
        """Every point that this deed is killed at, with its process."""
        found = []
        for word in self.points.split():
            found += [word] if ":" in word else [f"{word}:before", f"{word}:after"]
        return found


def ask(method: str, path: str, body: Any = None) -> Callable[[Node, str, Any], Any]:
    """A request whose path names what ``before`` made."""
    return lambda node, key, made: node.ask(method, path.format(last=made), body, key=key)


def create(node: Node, key: str = "", made: Any = None, **more: Any) -> Any:
    body = {"name": f"web{next(_numbers)}" if made is None else made, "image": "tiny", "memory_mb": 256, **more}
    return node.ask("POST", "/v1/vms", body, key=key)


def running(node: Node) -> str:
    vm = str(create(node)["vm"])
    node.until(f"/v1/vms/{vm}", lambda found: found["state"] == "running")
    return vm


def stopped(node: Node) -> str:
    vm = str(create(node, start=False)["vm"])
    node.until(f"/v1/vms/{vm}", lambda found: found["state"] == "stopped")
    return vm


def done(answer: Any) -> Any:
    """The answer, which is no problem."""
    assert "code" not in answer, answer
    return answer


def purge(node: Node, answer: Any) -> None:
    done(node.ask("DELETE", f"/v1/vms/{answer['vm']}", {"purge": True, "force": True}))


def forget(node: Node, answer: Any) -> None:
    """The kept disk's row by the product; its file stays by promise, so it goes by hand."""
    (disk,) = node.ask("GET", "/v1/disks")["items"]
    assert disk["path"].endswith(f"{answer['vm']}-0.qcow2")
    done(node.ask("DELETE", f"/v1/disks/{disk['id']}"))
    with State(node.root / audit.HOME / "fake-host.json").edit("volumes") as volumes:
        del volumes[str(Path(node.root, disk["path"].lstrip("/")))]


def stranger(node: Node) -> str:
    """A running domain that somebody else made."""
    machine = str(uuid.uuid4())
    domain = FoundDomain(id=machine, name=f"old{next(_numbers)}", ours=False, power=Power.RUNNING, memory_bytes=1 << 28)
    FakeDomains(State(node.root / audit.HOME / "fake-host.json")).put(domain)
    node.until("/v1/vms?foreign=true", lambda found: machine in {row["id"] for row in found["items"]})
    return machine


def network(node: Node) -> str:
    body = {"name": f"net{next(_numbers)}", "bridge": f"br{next(_numbers)}"}
    return str(node.ask("POST", "/v1/networks", body)["network"])


def publish(node: Node) -> str:
    """A mirror with an image of more than one chunk; answers its directory."""
    folder = node.root / "mirror"
    if not folder.exists():
        folder.mkdir()
        mirror.write(folder, {"large": qcow2(node.root / "large.qcow2", 3, full=True)})
    return str(folder)


def pull(node: Node, key: str, made: Any) -> Any:
    return node.ask("POST", "/v1/images/pull", {"name": "large", "source": made, "insecure": True}, key=key)


def upload(node: Node, key: str, made: Any) -> Any:
    """An upload has no key: sent again, it is the first one or is told that it is here."""
    said = node.upload("large", node.root / "mirror/large.qcow2")
    assert said.get("code", "image-exists") == "image-exists", said
    return {"image": "large"}


def remove_image(node: Node, answer: Any) -> None:
    done(node.ask("DELETE", f"/v1/images/{answer['image']}"))


def an_image(node: Node) -> str:
    publish(node)
    upload(node, "", None)
    return "large"


def number(node: Node) -> int:
    """A number that nothing was called by yet."""
    return next(_numbers)


def add_network(node: Node, key: str, made: Any) -> Any:
    body = {"name": f"net{made}", "bridge": f"br{made}", "kind": "nat", "cidr": "10.8.0.0/24", "gateway": "10.8.0.1"}
    return node.ask("POST", "/v1/networks", body, key=key)


def add_pool(node: Node, key: str, made: Any) -> Any:
    return node.ask("POST", "/v1/pools", {"name": f"pool{made}", "path": f"/srv/pool{made}"}, key=key)


def wake(node: Node, key: str, made: Any) -> Any:
    """The agent dies for another reason, and is killed again on its way up."""
    node.kill("agent")
    return {"items": node.ask("GET", "/v1/nodes")["items"]}


def long_log(node: Node, key: str, made: Any) -> Any:
    """Enough entries for new segments, a checkpoint, and the end of old segments."""
    for number in range(60):
        made = node.ask("POST", "/v1/tokens", {"name": f"log-{next(_numbers)}-{number}", "role": "viewer"})
        assert "token" in made or made["code"] == "token-exists", made  # they take no key
    return {}


DEEDS = (
    Deed("create", f"{WRITE} {LOOK} agent/volumes.ensure_pool agent/volumes.ensure agent/seeds.ensure "
         "agent/seed.rename agent/filter.apply agent/domains.define agent/domains.start",
         create, lambda node: f"web{next(_numbers)}", purge),
    Deed("destroy and purge", f"{WRITE} {LOOK} agent/domains.power_off agent/domains.undefine agent/volumes.remove "
         "agent/seeds.remove agent/filter.apply",
         ask("DELETE", "/v1/vms/{last}", {"purge": True, "force": True}), running),
    Deed("destroy and keep", "agent/propose agent/domains.undefine agent/seeds.remove agent/filter.apply "
         "raft/machine.apply",
         ask("DELETE", "/v1/vms/{last}", {"force": True}), running, forget),
    Deed("stop with force", "agent/propose:sent agent/domains.define agent/domains.power_off raft/journal.flush",
         ask("POST", "/v1/vms/{last}/stop", {"force": True}), running, purge),
    Deed("stop gracefully", "agent/domains.define agent/domains.shutdown",
         ask("POST", "/v1/vms/{last}/stop", {}), running, purge),
    Deed("start", "agent/propose:after agent/domains.define agent/domains.start",
         ask("POST", "/v1/vms/{last}/start", {}), stopped, purge),
    Deed("reboot", "agent/domains.define agent/domains.reboot",
         ask("POST", "/v1/vms/{last}/reboot", {}), running, purge),
    Deed("adopt", "agent/propose:sent agent/domains.adopt",
         ask("POST", "/v1/vms/{last}/adopt", {}), stranger, purge),
    Deed("image pull", "agent/propose:sent agent/images.ensure agent/image.chunk:after agent/image.rename",
         pull, publish, remove_image),
    Deed("image upload", "agent/upload.write agent/images.inspect agent/upload.rename agent/propose agent/propose:sent "
         "raft/machine.apply",
         upload, publish, remove_image),
    Deed("image rm", "agent/propose:sent agent/images.remove",
         ask("DELETE", "/v1/images/{last}"), an_image),
    Deed("network add", "agent/propose:sent agent/bridges.ensure",
         add_network, number, lambda node, answer: done(node.ask("DELETE", f"/v1/networks/{answer['network']}"))),
    Deed("network rm", "agent/propose:sent agent/bridges.remove",
         ask("DELETE", "/v1/networks/{last}"), network),
    Deed("pool add", "agent/propose:sent agent/volumes.ensure_pool agent/volumes.sweep agent/volumes.facts "
         "agent/volumes.observe",
         add_pool, number, lambda node, answer: done(node.ask("DELETE", f"/v1/pools/{answer['pool']}"))),
    Deed("coming up", "agent/facts.observe agent/images.sweep agent/volumes.sweep agent/volumes.facts agent/propose",
         wake),
    Deed("a long log", "raft/journal.roll raft/journal.drop raft/machine.checkpoint", long_log),
)  # fmt: skip
# A node's first start: the points that are passed once in its life.
FIRST_START = Deed(
    "first start", "raft/identity.rename raft/journal.begun raft/vote.set raft/journal.roll raft/journal.flush "
    "raft/machine.apply "
    "agent/cluster-key.rename agent/first-password.rename agent/pki.ca.key agent/pki.ca.crt agent/pki.server.pem "
    "agent/pki.authority.pem "
    "agent/propose agent/propose:sent agent/volumes.ensure_pool agent/bridges.ensure",
    lambda node, key, made: {},
)  # fmt: skip
# What a fake host does not have: a volume built by qemu-img in a real directory.
REAL_VOLUME = ("agent/volume.link:before", "agent/volume.link:after", "agent/program.run:after")
