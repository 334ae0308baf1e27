"""``make demo`` and ``make demo-down``: a host with girginosvm in it, a running machine, and the panel.

Everything lies in one directory and one pid namespace; ``down`` ends the second and deletes the first. The panel is
published on 127.0.0.1:1996 of this machine.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

from tests.lab import guest
from tests.lab.host import LabFault, LabHost, until
from tests.lab.product import CHECKOUT, NETWORK, Product

STATE = Path("/var/tmp/girginosvm-demo")
PANEL = ("127.0.0.1", 1996)
FINISHED = "finished"  # a file in the state: the demo came to its end, started from the checkout that it names
TURN = "\0girginosvm-demo"  # an abstract socket (unix(7)): who has its name works on the demo; a death gives it back


def say(text: str) -> None:
    print(f"demo: {text}", flush=True)


def up() -> int:
    """Bring the demo up, or show the one that runs. What does not come to its end is undone."""
    began = time.monotonic()
    host = LabHost.attach(STATE)
    if host is None or not (STATE / FINISHED).exists():
        (host or LabHost(STATE, keep=True)).stop()  # what a crash may have left
        with listen() as panel:
            host = LabHost(STATE, name="demo", keep=True)
            try:
                make(host, panel)
                show(host, began)
                (STATE / FINISHED).write_text(str(CHECKOUT))
            except BaseException:
                undo(host)
                raise
        return 0
    origin = (STATE / FINISHED).read_text()
    if origin != str(CHECKOUT):
        raise LabFault(f"a demo started from {origin} runs; make demo-down ends it, from either checkout")
    show(host, began)
    return 0


def make(host: LabHost, panel: socket.socket) -> None:
    """The host and all that is in it; ``panel`` listens on this machine already."""
    say("starting a host in namespaces of its own")
    host.start()
    fill(host, panel)


def show(host: LabHost, began: float) -> None:
    """Wait until the guest answers across the bridge, then say where everything is."""
    product = Product(host)
    product.wait()
    row = product.wait_state("hello", "running")
    address = row["addresses"][0]
    until(lambda: host.pings(address), 180, f"the guest at {address}")
    page = host.fetch(address)
    say(f"the guest answered ping and HTTP from another network namespace across the bridge: {page!r}")
    tell(host, address, time.monotonic() - began)


def undo(host: LabHost) -> None:
    """End a demo that failed or was interrupted, and keep its log. A second Ctrl-C does not stop it halfway."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    log = _log(host)
    host.stop()
    if log:
        kept = CHECKOUT / ".cache/demo-agent.log"
        kept.write_bytes(log)
        say(f"ended; the log of girginosvm is kept in {kept}")


def fill(host: LabHost, panel: socket.socket) -> None:
    """Product, panel, image, networks and the machine ``hello``."""
    say("building the tiny guest (cached)")
    image = guest.tiny()
    product = Product(host)
    product.prepare({"tiny": image})
    publish(host, panel)
    say("starting girginosvm agent --dev inside")
    product.start()
    say("pulling the image from a signed mirror")
    product("image", "pull", "tiny")
    say("adding a bridge network beside the NAT network, creating the machine hello")
    product("net", "pool", "add", *NETWORK)
    product("vm", "create", "--name", "hello", "--image", "tiny", "--network", "lab", "--memory", "256")


def listen() -> socket.socket:
    """The panel's port on this machine, taken before anything is started."""
    try:
        return socket.create_server(PANEL)
    except OSError as fault:
        raise LabFault(
            f"cannot listen on {PANEL[0]}:{PANEL[1]}: {os.strerror(fault.errno or 0)}; "
            f"end what listens there (ss -ltnp 'sport = :{PANEL[1]}' names it) and try again"
        ) from fault


def publish(host: LabHost, panel: socket.socket) -> None:
    """What comes to ``panel`` is carried into the host; the carrier dies with the host."""
    forward = str(Path(__file__).with_name("forward.py"))
    argv = (sys.executable, forward, str(panel.fileno()), "127.0.0.1", "1996")
    host.spawn(*argv, log="forward.log", pass_fds=(panel.fileno(),))


def tell(host: LabHost, address: str, seconds: float) -> None:
    """The closing words: where the panel is, how to sign in, what to try."""
    command = f"{sys.executable} -m girginosvm"
    print(f"""
  panel     https://{PANEL[0]}:{PANEL[1]}   (certificate of the node's own CA)
  sign in   {password(host)}
  machine   hello at {address}, ready after {seconds:.1f} s

  try
    cd {CHECKOUT} && export GIRGINOSVM_ROOT={host.root}
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
    there = STATE.exists()
    host = LabHost.attach(STATE) or LabHost(STATE, keep=True)
    host.stop()
    if STATE.exists():
        print(f"demo: {STATE} could not be deleted", file=sys.stderr)
        return 1
    say(f"ended; {STATE} is deleted" if there else "there was none")
    return 0


def take_turn() -> socket.socket:
    """One command works on the demo at a time; LabFault when another does."""
    turn = socket.socket(socket.AF_UNIX)
    try:
        turn.bind(TURN)
    except OSError as fault:
        turn.close()
        raise LabFault("another make demo or make demo-down is at work; try again when it has ended") from fault
    return turn


def main() -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # ends as Ctrl-C does
    try:
        with take_turn():
            return {"up": up, "down": down}[sys.argv[1]]()
    except LabFault as fault:
        print(f"demo: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; make demo-down deletes what may be left", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
