"""What the demo says: where everything is, what to try, and how all of it stands."""

from __future__ import annotations

import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.lab.cluster import LabCluster
from tests.lab.host import LabHost
from tests.lab.spaces import start_ticks

# What a node says whose cluster goes on without it (``daemon.membership``: GIVEN_UP, PARTED).
RECOVERED = "recovered without this node"


def say(text: str) -> None:
    print(f"demo: {text}", flush=True)


def tell(cluster: LabCluster, ports: dict[str, int], center: str, machines: dict[str, str], seconds: float) -> None:
    """The closing words: where the panels are, how to sign in, what to try."""
    several = len(ports) > 1
    panels = ", ".join(f"https://127.0.0.1:{port}{f' ({name})' if several else ''}" for name, port in ports.items())
    called = {name: f"hello-{name}" if several else "hello" for name in ports}
    said = [f"panels    {panels}" if several else f"panel     {panels}"]
    if center:
        said.insert(0, f"center    https://127.0.0.1:1997 (on {center}: the same, at the cluster's own address)")
    said += [
        f"sign in   {password(cluster.hosts['h1'])}",
        f"machines  {', '.join(f'{called[name]} at {address}' for name, address in machines.items())}",
        f"ready     after {seconds:.0f} s; the browser warns of the certificate: the cluster is its own CA",
        "",
        "try (as root: each command asks the host that it is called after)",
        f"  export PATH={cluster.state}/bin:$PATH",
        *_first(several),
        "",
        *(_cluster() if several else ()),
        "make demo-down ends it and leaves nothing behind",
    ]
    print("\n" + "\n".join(f"  {line}".rstrip() for line in said) + "\n")


def _first(several: bool) -> list[str]:
    if several:
        return ["  h1 node list", "  h2 vm list", "  h3 quorum"]
    create = "  h1 vm create --name second --image tiny --network lab --memory 256"
    return ["  h1 vm list", create, "  h1 vm stop hello"]


def _cluster() -> list[str]:
    return [
        "how all of it stands, and what becomes of it without its leader",
        "  make demo-look      # girginosvm, panel and machine of each host",
        "  make demo-kill      # SIGKILL to girginosvm on the host that leads; says who leads then",
        "  make demo-back      # starts it again",
        "",
    ]


def look(cluster: LabCluster, ports: dict[str, int], center: str, machines: dict[str, str]) -> None:
    """A line for each host: is girginosvm there, who leads, does its panel answer, since when its machine runs."""
    seen = {name: cluster.membership(name) for name in ports}
    leader = next((one["leader"] for one in seen.values() if one["quorum"] and one["leader"]), "")
    from_here = next(iter(cluster.hosts.values()))
    rows = [("HOST", "GIRGINOSVM", "PANEL", "MACHINE", "QEMU", "ANSWERS")]
    for name, port in ports.items():
        pids = cluster.hosts[name].emulators()
        rows.append((
            name + (", center" if name == center else ""),
            "away" if not seen[name]["cluster"] else "leads" if name == leader else "follows",
            panel(port),
            machines[name],
            ", ".join(f"pid {pid} for {age(pid)}" for pid in pids) or "none",
            "yes" if from_here.pings(machines[name]) else "no",
        ))  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print()
    for row in rows:
        print("  " + "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip())
    print()


def apart(seen: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Which host goes on by itself after `cluster recover`, and which say that it did so without them. ``seen``: what
    each host says of its cluster. ("", []) while they are one cluster, or have not all said what they are."""
    outside = sorted(name for name, one in seen.items() if any(RECOVERED in line for line in one.get("problems", ())))
    inside = [name for name, one in seen.items() if name not in outside and one["leader"] == name]
    return (inside[0], outside) if len(inside) == 1 and len(outside) == len(seen) - 1 and outside else ("", [])


def tell_apart(cluster: LabCluster, survivor: str, outside: list[str]) -> None:
    """How to go on after a recovery: nobody comes back by itself."""
    center = f"https://{cluster.membership(survivor)['members'][0]['api']}"
    they, them = ("They are", "each of them") if len(outside) > 1 else ("It is", "it")
    said = [
        f"{survivor} was recovered without {' and '.join(outside)}, and goes on by itself, as was confirmed to it.",
        f"{they} no member of it any more, and waiting changes nothing. Every machine runs on.",
        "",
        f"to bring {them} back in, with its running machine:",
    ]
    for name in outside:
        said += [
            f"  {survivor} membership token create",
            f"  {name} membership join --center {center} --token ops-... --confirm",
        ]
    said.append("or, to begin anew: make demo-down, then make demo")
    print("\n" + "\n".join(f"  {line}".rstrip() for line in said) + "\n")


def age(pid: int) -> str:
    """How long a process has run (proc(5): its start is in ticks since the machine booted)."""
    up_s = float(Path("/proc/uptime").read_text().split()[0])
    seconds = int(up_s - int(start_ticks(pid) or 0) / os.sysconf("SC_CLK_TCK"))
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"


def panel(port: int) -> str:
    """What the panel published on ``port`` answers; its certificate, of the cluster itself, is not asked here."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/", timeout=5, context=context) as answer:
            return f":{port} {answer.status}"
    except (OSError, urllib.error.URLError):
        return f":{port} away"


def password(host: LabHost) -> str:
    """How the first administrator signs in: the agent keeps the one-time password in a file that only root reads."""
    log = host.state / "agent.log"
    file = host.root / "var/lib/girginosvm/pki/first-password"
    told = re.search(rb'first-administrator.*?email[^a-z]+([^\s",]+)', log.read_bytes())
    email = told[1].decode() if told else "the first administrator"
    if not file.exists():
        return f"{email}, with the password chosen at the first sign-in"
    return f"{email} with the one-time password {file.read_text().strip()}"
