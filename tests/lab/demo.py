"""``make demo``, what its closing words offer, and ``make demo-down``: hosts in one cluster, a machine on each.

Everything lies in one directory and in namespaces; ``down`` ends the second and deletes the first. Panels are published
on 127.0.0.1 of this machine: h1's on :1996, h2's on :2996, h3's on :3996, the center's on :1997.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

import msgspec

from tests.lab import guest
from tests.lab.cluster import LabCluster
from tests.lab.demo_words import apart, look, say, tell, tell_apart
from tests.lab.product import CHECKOUT
from tests.lab.spaces import LabFault, Spaces, until

STATE = Path("/var/tmp/girginosvm-demo")
HERE = "127.0.0.1"
CENTER = 1997
FINISHED = "finished"  # a file in the state, with a Finished: the demo came to its end
TURN = "\0girginosvm-demo"  # an abstract socket (unix(7)): who has its name works on the demo; a death gives it back


class Finished(msgspec.Struct, frozen=True):
    """What a demo that came to its end is."""

    checkout: str
    hosts: int
    center: str
    machines: dict[str, str]


def ports(count: int) -> dict[str, int]:
    """Where each host's panel is published."""
    return {f"h{number}": (number if number > 1 else 1) * 1000 + 996 for number in range(1, count + 1)}


def up(count: int) -> int:
    """Bring the demo up, or show the one that runs. What does not come to its end is undone."""
    began = time.monotonic()
    found = running()
    if found is None:
        sweep()  # what a crash may have left
        cluster = LabCluster(count, STATE, keep=True)
        wanted = [*ports(count).values(), *([CENTER] if count > 1 else [])]
        panels = {port: listen(port) for port in wanted}
        try:
            finished = make(cluster, panels)
            (STATE / FINISHED).write_bytes(msgspec.json.encode(finished))
        except BaseException:
            undo(cluster)
            raise
    else:
        cluster, finished = found
        if finished.checkout != str(CHECKOUT):
            raise LabFault(
                f"a demo started from {finished.checkout} runs; make demo-down ends it, from either checkout"
            )
        if finished.hosts != count:
            raise LabFault(f"the demo that runs has {finished.hosts} hosts, not {count}; make demo-down ends it")
        revive(cluster)
    show(cluster, finished, time.monotonic() - began)
    return 0


def running() -> tuple[LabCluster, Finished] | None:
    """The demo that runs; None when there is no whole one."""
    try:
        finished = msgspec.json.decode((STATE / FINISHED).read_bytes(), type=Finished)
    except (OSError, msgspec.MsgspecError):
        return None
    cluster = LabCluster(finished.hosts, STATE, keep=True)
    return (cluster, finished) if cluster.find() else None


def the_running() -> tuple[LabCluster, Finished]:
    """The same; LabFault when there is none, or when it has one host only."""
    found = running()
    if found is None:
        raise LabFault("no demo runs; make demo brings it up")
    if found[1].hosts == 1:
        raise LabFault("this demo has one host: nobody could take over; make demo-down, then make demo")
    return found


def make(cluster: LabCluster, panels: dict[int, socket.socket]) -> Finished:
    """The hosts and all that is in them; ``panels`` listen on this machine already."""
    count = len(cluster.nodes)
    say("building the tiny guest (cached)")
    tiny = guest.tiny()
    say(f"starting {count} host{'s' if count > 1 else ''} in namespaces, each with its own libvirtd")
    cluster.start()
    say("starting girginosvm on each; pulling the image from a signed mirror; adding a bridge network")
    cluster.begin(tiny)
    for name, port in ports(count).items():
        publish(cluster, name, panels[port], 1996)
    say("creating a machine on each host, and waiting until it answers from another namespace across the bridge")
    machines = cluster.machines("hello-" if count > 1 else "hello", named=count > 1)
    center = join(cluster, panels[CENTER]) if count > 1 else ""
    commands(cluster)
    return Finished(str(CHECKOUT), count, center, machines)


def join(cluster: LabCluster, panel: socket.socket) -> str:
    """One cluster of all, and the center on a host that does not lead: which."""
    before = cluster.emulators()
    for name in cluster.others("h1"):
        say(f"{name} joins h1's cluster with its running machine")
        cluster.join(name)
    for name in cluster.nodes:
        until(lambda name=name: complete(cluster, name), 90, f"every node and machine to be shown by {name}")
    cluster.voters(len(cluster.nodes))  # all of 3 or 5 vote: whichever leads can be lost
    if cluster.emulators() != before:
        raise LabFault(f"a machine was started anew: QEMU was {before}, and is {cluster.emulators()}")
    center = cluster.others(cluster.leader())[0]
    say(f"{center} becomes the center")
    cluster.nodes[center]("center", "promote", "--public-url", f"https://{HERE}:{CENTER}")
    publish(cluster, center, panel, CENTER)
    return center


def complete(cluster: LabCluster, name: str) -> bool:
    """Node ``name`` shows every node, and every machine as running."""
    node, count = cluster.nodes[name], len(cluster.nodes)
    return len(node("node", "list")) == count and [row["state"] for row in node("vm", "list")] == ["running"] * count


def commands(cluster: LabCluster) -> None:
    """A command for each host, called as it: girginosvm as root there."""
    folder = STATE / "bin"
    folder.mkdir()
    for name, host in cluster.hosts.items():
        words = f"PYTHONPATH={CHECKOUT} GIRGINOSVM_ROOT={host.root} {sys.executable} -m girginosvm"
        (folder / name).write_text(f'#!/bin/sh\nexec env {words} "$@"\n')
        (folder / name).chmod(0o755)


def show(cluster: LabCluster, finished: Finished, seconds: float) -> None:
    """Look at all of it, and say where it is."""
    host = next(iter(cluster.hosts.values()))
    for address in finished.machines.values():
        until(lambda address=address: host.pings(address), 180, f"the guest at {address}")
    page = host.fetch(next(iter(finished.machines.values())))
    say(f"every guest answered from another network namespace across the bridge; the first one's page: {page!r}")
    tell(cluster, ports(finished.hosts), finished.center, finished.machines, seconds)


def kill_leader() -> int:
    """SIGKILL to all of girginosvm on the host that leads; then who leads, and what became of the rest."""
    cluster, finished = the_running()
    survivor, outside = settled(cluster)
    if survivor:
        raise LabFault(f"{survivor} was recovered without {', '.join(outside)}; make demo-back says how to go on")
    leader = cluster.leader(*standing(cluster))
    others = [name for name in standing(cluster) if name != leader]
    if 2 * len(others) <= finished.hosts:
        raise LabFault("one host is away already: without another one nothing could change; make demo-back first")
    voters = cluster.membership(leader)["voters"]
    if voters < finished.hosts:
        raise LabFault(f"{voters} of {finished.hosts} nodes vote: nobody could lead in {leader}'s place")
    before = cluster.emulators()
    words = ", ".join(
        f"{line[3] if '--dev' not in line else 'supervisor'} {pid}" for pid, line in ours(cluster, leader)
    )
    say(f"{leader} leads. SIGKILL to its girginosvm processes: {words}")
    began = time.monotonic()
    cluster.nodes[leader].kill_all()
    then = cluster.leader(*others, besides=leader)
    say(f"{then} leads, {time.monotonic() - began:.1f} s later")
    say(
        "every machine runs in the same QEMU process as before" if cluster.emulators() == before else "MACHINES CHANGED"
    )
    look(cluster, ports(finished.hosts), finished.center, finished.machines)
    return 0


def ours(cluster: LabCluster, name: str) -> list[tuple[int, list[str]]]:
    """girginosvm's processes on a host: pid and words."""
    return sorted(
        (pid, line) for pid, line in cluster.hosts[name].commands().items() if line[1:3] == ["-m", "girginosvm"]
    )


def standing(cluster: LabCluster) -> list[str]:
    """Where girginosvm runs."""
    return [name for name in cluster.nodes if ours(cluster, name)]


def revive(cluster: LabCluster) -> list[str]:
    """Start girginosvm where it was killed: where."""
    away = [name for name in cluster.nodes if name not in standing(cluster)]
    for name in away:
        say(f"starting girginosvm on {name} again")
        cluster.nodes[name].start()
    return away


def back() -> int:
    """Start what was killed, and look."""
    cluster, finished = the_running()
    if not revive(cluster):
        say("girginosvm runs on every host already")
    survivor, outside = settled(cluster)
    look(cluster, ports(finished.hosts), finished.center, finished.machines)
    if survivor:
        tell_apart(cluster, survivor, outside)
    return 0


def settled(cluster: LabCluster) -> tuple[str, list[str]]:
    """Until all hosts have one leader; or until those that a `cluster recover` left out say so (see ``apart``)."""

    def look() -> tuple[str, list[str]] | None:
        seen = {name: cluster.membership(name) for name in standing(cluster)}
        leaders = {one["leader"] for one in seen.values()}
        found = apart(seen)
        return found if found[0] or (len(leaders) == 1 and "" not in leaders) else None

    return until(look, 90, "one leader of all hosts")


def glance() -> int:
    """Look only."""
    cluster, finished = the_running()
    look(cluster, ports(finished.hosts), finished.center, finished.machines)
    return 0


def listen(port: int) -> socket.socket:
    """A panel's port on this machine, taken before anything is started."""
    try:
        return socket.create_server((HERE, port))
    except OSError as fault:
        raise LabFault(
            f"cannot listen on {HERE}:{port}: {os.strerror(fault.errno or 0)}; "
            f"end what listens there (ss -ltnp 'sport = :{port}' names it) and try again"
        ) from fault


def publish(cluster: LabCluster, name: str, panel: socket.socket, port: int) -> None:
    """What comes to ``panel`` is carried to ``port`` in the host; the carrier dies with the host."""
    forward = str(Path(__file__).with_name("forward.py"))
    argv = (sys.executable, forward, str(panel.fileno()), "127.0.0.1", str(port))
    cluster.hosts[name].spawn(*argv, log="forward.log", pass_fds=(panel.fileno(),))
    panel.close()


def undo(cluster: LabCluster) -> None:
    """End a demo that failed or was interrupted, and keep its logs. A second Ctrl-C does not stop it halfway."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    kept = CHECKOUT / ".cache/demo-logs"
    shutil.rmtree(kept, ignore_errors=True)
    for name, host in cluster.hosts.items():
        log = host.state / "agent.log"
        if log.exists():
            kept.mkdir(parents=True, exist_ok=True)
            shutil.copy(log, kept / f"{name}.log")
    cluster.stop()
    say(f"ended; the logs of girginosvm are kept in {kept}" if kept.exists() else "ended")


def sweep() -> None:
    """End whatever runs below the state directory, whole or not, of this release or an older one; delete it."""
    for pid in (STATE / "init.pid", *STATE.glob("*/init.pid")):
        spaces = Spaces(pid.parent, kept=True)
        if spaces.find():
            spaces.end()
    shutil.rmtree(STATE, ignore_errors=True)


def down() -> int:
    """End the demo when there is one, and delete its directory."""
    there = STATE.exists()
    sweep()
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


def main(words: list[str]) -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # ends as Ctrl-C does
    count = words[1] if len(words) > 1 else "3"
    if count not in ("1", "3", "5"):
        print(f"demo: HOSTS={count}: 1, 3 or 5", file=sys.stderr)
        return 2
    acts = {
        "up": lambda: up(int(count)),
        "down": down,
        "kill-leader": kill_leader,
        "back": back,
        "look": glance,
    }
    try:
        with take_turn():
            return acts[words[0]]()
    except LabFault as fault:
        print(f"demo: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; make demo-down deletes what may be left", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
