"""``make demo`` and ``make demo-down``: a host with girginosvm in it, a running machine, and the panel.

Everything lies in one directory and one pid namespace; ``down`` ends the second and deletes the first. The panel is
published on 127.0.0.1:1996 of this machine.
"""

from __future__ import annotations

import re
import socket
import sys
import time
from pathlib import Path

from tests.lab import guest
from tests.lab.host import LabFault, LabHost, until
from tests.lab.product import CHECKOUT, NETWORK, Product

STATE = Path("/var/tmp/girginosvm-demo")
PANEL = ("127.0.0.1", 1996)


def say(text: str) -> None:
    print(f"demo: {text}", flush=True)


def up() -> int:
    """Bring the demo up, or show the one that runs."""
    began = time.monotonic()
    host = LabHost.attach(STATE)
    if host is None:
        say("starting a host in namespaces of its own")
        LabHost(STATE, name="demo", keep=True).stop()  # what a crash of this machine may have left
        host = LabHost(STATE, name="demo", keep=True)
        try:
            host.start()
            fill(host)
        except BaseException:
            (CHECKOUT / ".cache/demo-agent.log").write_bytes(_log(host))
            host.stop()
            raise
    product = Product(host)
    product.wait()
    row = product.wait_state("hello", "running")
    address = row["addresses"][0]
    until(lambda: host.pings(address), 180, f"the guest at {address}")
    page = host.fetch(address)
    say(f"the guest answered ping and HTTP from another network namespace across the bridge: {page!r}")
    tell(host, address, time.monotonic() - began)
    return 0


def fill(host: LabHost) -> None:
    """Product, panel, image, networks and the machine ``hello``."""
    say("building the tiny guest (cached)")
    image = guest.tiny()
    product = Product(host)
    product.prepare({"tiny": image})
    publish(host)
    say("starting girginosvm agent --dev inside")
    product.start()
    say("pulling the image from a signed mirror")
    product("image", "pull", "tiny")
    say("adding a bridge network beside the NAT network, creating the machine hello")
    product("net", "pool", "add", *NETWORK)
    product("vm", "create", "--name", "hello", "--image", "tiny", "--network", "lab", "--memory", "256")


def publish(host: LabHost) -> None:
    """Listen on this machine, connect inside the host; the carrier dies with the host."""
    try:
        listening = socket.create_server(PANEL)
    except OSError as fault:
        raise LabFault(f"cannot listen on {PANEL[0]}:{PANEL[1]}: {fault}") from fault
    with listening:
        forward = str(Path(__file__).with_name("forward.py"))
        argv = (sys.executable, forward, str(listening.fileno()), "127.0.0.1", "1996")
        host.spawn(*argv, log="forward.log", pass_fds=(listening.fileno(),))


def tell(host: LabHost, address: str, seconds: float) -> None:
    """The closing words: where the panel is, how to sign in, what to try."""
    command = f"{sys.executable} -m girginosvm"
    print(f"""
  panel     https://{PANEL[0]}:{PANEL[1]}   (certificate of the node's own CA)
  sign in   {password(host)}
  machine   hello at {address}, ready after {seconds:.1f} s

  try, from {CHECKOUT}, with  export GIRGINOSVM_ROOT={host.root}
    {command} vm list
    {command} vm create --name second --image tiny --network lab --memory 256
    {command} vm stop hello

  make demo-down ends it and leaves nothing behind
""")


def password(host: LabHost) -> str:
    """How the first administrator signs in: the agent keeps the one-time password in a file that only root reads."""
    file = host.root / "var/lib/girginosvm/pki/first-password"
    told = re.search(rb'first-administrator.*?email[^a-z]+([^\s",]+)', _log(host))
    if told is None or not file.exists():
        return f"see {host.state}/agent.log"
    return f"{told[1].decode()} with the one-time password {file.read_text().strip()}"


def _log(host: LabHost) -> bytes:
    path = host.state / "agent.log"
    return path.read_bytes() if path.exists() else b""


def down() -> int:
    """End the demo when there is one, and delete its directory."""
    host = LabHost.attach(STATE) or LabHost(STATE, keep=True)
    host.stop()
    if STATE.exists():
        print(f"demo: {STATE} could not be deleted", file=sys.stderr)
        return 1
    return 0


def main() -> int:
    try:
        return {"up": up, "down": down}[sys.argv[1]]()
    except LabFault as fault:
        print(f"demo: {fault}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
