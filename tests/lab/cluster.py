"""Several lab hosts on one switch, with girginosvm on each: alone at first, then members of one cluster."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.lab.host import LabHost
from tests.lab.product import NETWORK, Product
from tests.lab.spaces import until
from tests.lab.started import Started
from tests.lab.switch import Switch
from tests.scenarios.node import Door

_NOTHING: dict[str, Any] = {"cluster": "", "leader": "", "term": 0, "voters": 0, "quorum": False, "members": []}
BOOTING = 2  # guests at once: emulated, each takes a whole core while it boots


class LabCluster(Started):
    """Hosts h1, h2, ...; ``kept`` ones outlive this process, ``find`` takes them over and ``stop`` ends them."""

    def __init__(self, count: int = 3, state: Path | None = None, *, keep: bool = False) -> None:
        self.state = state or Path(tempfile.mkdtemp(prefix="gvm-cluster-", dir="/var/tmp"))
        self.switch = Switch(self.state / "switch", keep=keep)
        names = [f"h{number}" for number in range(1, count + 1)]
        self.hosts = {name: LabHost(self.state / name, name=name, keep=keep, switch=self.switch) for name in names}
        self.nodes = {name: Product(host) for name, host in self.hosts.items()}

    # -- life

    def start(self) -> None:
        """Boot the hosts; nothing of girginosvm runs on them yet."""
        self.state.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o711)
        self.switch.start()
        for host in self.hosts.values():
            host.start()

    def find(self) -> bool:
        """Take over the kept one; whether all of it runs."""
        return all([self.switch.find(), *(host.find() for host in self.hosts.values())])

    def stop(self) -> None:
        """End all of it and delete its state. May be called again."""
        for host in self.hosts.values():
            host.stop()
        self.switch.stop()
        shutil.rmtree(self.state, ignore_errors=True)

    # -- use

    def begin(self, tiny: Path) -> None:
        """girginosvm on every host, a cluster of one each, with the tiny image and the network ``lab``."""
        for node in self.nodes.values():
            node.prepare({"tiny": tiny})
            node.launch()
        for node in self.nodes.values():
            node.wait()
            node("image", "pull", "tiny")
            node("net", "pool", "add", *NETWORK)

    def machines(self, prefix: str, *, named: bool = True) -> dict[str, str]:
        """A machine on each host, called ``prefix`` and (if ``named``) the host's name; answers their addresses, once
        each has answered a ping. Two boot at a time."""
        booting: dict[str, str] = {}
        addresses: dict[str, str] = {}
        for name, node in self.nodes.items():
            if len(booting) == BOOTING:
                del booting[self._answering(booting)]
            address = addresses[name] = f"10.78.0.{100 + int(name.removeprefix('h'))}"
            where = ("--image", "tiny", "--network", "lab", "--memory", "128", "--address", address)
            node("vm", "create", "--name", f"{prefix}{name if named else ''}", *where)
            booting[name] = address
        while booting:
            del booting[self._answering(booting)]
        return addresses

    def _answering(self, booting: dict[str, str]) -> str:
        """One of them that answers; it has to within 3 minutes."""
        host = next(iter(self.hosts.values()))

        def answers() -> str | None:
            return next((name for name, address in booting.items() if host.pings(address)), None)

        return until(answers, 180, f"a ping from one of {', '.join(booting.values())}")

    def join(self, name: str, through: str = "h1") -> Any:
        """Node ``name`` becomes a member of the cluster of ``through``, with all that it has; what it said."""
        token = self.nodes[through]("membership", "token", "create")["token"]
        center = f"https://{self.hosts[through].address}:1996"
        said = self.nodes[name]("membership", "join", "--center", center, "--token", token, "--confirm")

        def member() -> bool:
            seen = self.membership(name)
            return seen["cluster"] == said["cluster"] and any(
                one["here"] and one["state"] == "member" for one in seen["members"]
            )

        until(member, 60, f"{name} to be a member")
        self.nodes[name].wait()
        return said

    def membership(self, name: str) -> Any:
        """The cluster as node ``name`` sees it; an empty one while it does not answer."""
        try:
            status, seen = Door(self.hosts[name].root).once("GET", "/v1/membership")
        except OSError:
            status, seen = 0, None
        return seen if status == 200 else dict(_NOTHING)

    def voters(self, count: int, seconds: float = 90) -> None:
        """Until every node sees so many voters, and who leads."""

        def settled() -> bool:
            seen = [self.membership(name) for name in self.nodes]
            return all(one["voters"] == count and one["leader"] and one["quorum"] for one in seen)

        until(settled, seconds, f"{count} voters")

    def leader(self, *asked: str, besides: str = "", seconds: float = 30) -> str:
        """Who leads, as all of ``asked`` (empty: everybody) see it, once it is another than ``besides``."""

        def look() -> str | None:
            seen = {self.membership(name)["leader"] for name in asked or self.nodes}
            leader = seen.pop() if len(seen) == 1 else ""
            return leader if leader and leader != besides else None

        return until(look, seconds, f"a leader{f' besides {besides}' if besides else ''}")

    def others(self, name: str) -> list[str]:
        """Every node but this one."""
        return [one for one in self.nodes if one != name]

    def emulators(self) -> dict[str, list[int]]:
        """The pids of the machines' QEMU processes, host by host."""
        return {name: sorted(host.emulators()) for name, host in self.hosts.items()}
