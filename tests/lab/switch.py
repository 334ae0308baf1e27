"""The switch between the hosts of a lab, and what can go wrong on it.

A network namespace with two bridges: ``mgmt``, where hosts talk to each other, and ``guests``, which joins the hosts'
``br-vsw`` and has 10.78.0.1 to look from. Faults are made on the management links only: frames that are lost
(nftables, per direction), a cable that is out (the link is down), frames that come late (``delay.py``).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

from tests.lab.spaces import Spaces, ran, until
from tests.lab.started import Started

DELAY = Path(__file__).with_name("delay.py")


class Switch(Started):
    """Ends as a host does: with its owner, unless it is to ``keep``. Hosts are h1, h2, ...; hN is 10.77.0.(10+N)."""

    def __init__(self, state: Path | None = None, *, keep: bool = False) -> None:
        self.state = state or Path(tempfile.mkdtemp(prefix="gvm-switch-", dir="/var/tmp"))
        self._spaces = Spaces(self.state, kept=keep)
        self._ports: list[str] = []
        self._lost: set[tuple[str, str]] = set()
        self._late: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Switch it on; it is ready when this returns."""
        self.state.mkdir(parents=True, exist_ok=True)
        self._spaces.start(("net",), "switch", str(self.state))

        def ready() -> bool:
            self._spaces.alive()
            return (self.state / "ready").exists()

        until(ready, 10, "the switch")

    def find(self) -> bool:
        """Take over the kept one whose state is there; whether it runs."""
        return self._spaces.find()

    def stop(self) -> None:
        """End it: every link is down. May be called again."""
        self._spaces.end()
        for line in self._late.values():
            line.wait()
        self._late.clear()
        shutil.rmtree(self.state, ignore_errors=True)

    def processes(self) -> list[int]:
        """The pids, as seen from outside, of everything that runs in it."""
        return self._spaces.processes()

    def argv(self, *argv: str) -> list[str]:
        """``argv`` as a command line that runs on the switch."""
        return ["nsenter", "-t", str(self._spaces.pid), "-n", "-p", "--", *argv]

    def address(self, host: str) -> str:
        """A host's management address."""
        return f"10.77.0.{10 + _number(host)}"

    def plug(self, host: str, process: int) -> None:
        """Lay both cables of the host whose process 1 is ``process``."""
        number, inside = _number(host), ("nsenter", "-t", str(process), "-n")
        for port, device, bridge in ((f"m{number}", "mgmt0", "mgmt"), (f"g{number}", "vsw0", "guests")):
            card = ("name", device, "address", f"02:00:00:00:{ord(port[0]):02x}:{number:02x}")  # the same in every life
            self._run("ip", "link", "add", port, "type", "veth", "peer", *card, "netns", str(process))
            self._run("ip", "link", "set", port, "master", bridge, "up")
        ran([*inside, "ip", "addr", "add", f"{self.address(host)}/24", "dev", "mgmt0"], True, 10)
        ran([*inside, "ip", "link", "set", "mgmt0", "up"], True, 10)
        ran([*inside, "ip", "link", "set", "vsw0", "master", "br-vsw", "up"], True, 10)
        if host not in self._ports:
            self._ports.append(host)

    def unplug(self, host: str) -> None:
        """Take both cables of a host out that has ended: the kernel takes its time with what a namespace leaves."""
        for kind in "mg":
            self._run("ip", "link", "del", f"{kind}{_number(host)}", check=False)

    # -- faults

    def lose(self, senders: str | tuple[str, ...] = (), receivers: str | tuple[str, ...] = ()) -> None:
        """No frame of these senders reaches these receivers any more; empty: all hosts. The other way stays as it
        was."""
        self._lost |= {pair for pair in product(self._named(senders), self._named(receivers)) if pair[0] != pair[1]}
        self._apply()

    def part(self, side: str | tuple[str, ...], other: str | tuple[str, ...] = ()) -> None:
        """No frame passes between the two sides; ``other`` empty: all the rest."""
        rest = self._named(other) if other else tuple(name for name in self._ports if name not in self._named(side))
        self.lose(side, rest)
        self.lose(rest, side)

    def pull(self, host: str) -> None:
        """The management cable is out: the host sees its link go down."""
        self._run("ip", "link", "set", f"m{_number(host)}", "down")

    def delay(self, host: str, milliseconds: float) -> None:
        """Every frame to and from the host comes so much later."""
        self._on_time(host)
        port = f"m{_number(host)}"
        self._late[host] = subprocess.Popen(
            self.argv(sys.executable, str(DELAY), port, "mgmt", str(milliseconds)),
            stdin=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        until(lambda: f"late-{port}" in self._run("ip", "link", "show", "master", "mgmt"), 10, f"late frames on {port}")

    def mend(self) -> None:
        """Every link is whole again."""
        self._lost.clear()
        self._apply()
        for host in self._ports:
            self._on_time(host)
            self._run("ip", "link", "set", f"m{_number(host)}", "up", check=False)  # not of one that is off

    # -- inside

    def _named(self, hosts: str | tuple[str, ...]) -> tuple[str, ...]:
        return ((hosts,) if isinstance(hosts, str) else hosts) or tuple(self._ports)

    def _apply(self) -> None:
        rules = " ".join(
            f"iifname {{ m{a}, late-m{a} }} oifname {{ m{b}, late-m{b} }} drop;"
            for a, b in sorted((_number(sender), _number(receiver)) for sender, receiver in self._lost)
        )
        chain = f"chain lost {{ type filter hook forward priority 0; policy accept; {rules} }};"
        table = f"table bridge lab {{ }}\ndelete table bridge lab\ntable bridge lab {{ {chain} }}\n"
        ran(self.argv("nft", "-f", "-"), True, 10, table)

    def _on_time(self, host: str) -> None:
        line = self._late.pop(host, None)
        if line is not None:
            port = f"m{_number(host)}"
            line.terminate()  # nsenter(1), and with it what it waits for
            line.wait()
            until(lambda: f"late-{port}" not in self._run("ip", "link"), 10, f"the end of late frames on {port}")
            self._run("ip", "link", "set", port, "promisc", "off", "master", "mgmt")

    def _run(self, *argv: str, check: bool = True) -> str:
        # Not in the switch's pid namespace: a process that is named is one of ours.
        return ran(["nsenter", "-t", str(self._spaces.pid), "-n", "--", *argv], check, 10).stdout


def _number(host: str) -> int:
    return int(host.removeprefix("h"))
