"""Process 1 of a lab host (private mounts, a bridge, libvirtd) or of the switch between hosts (two bridges); then it
reaps and waits.

Runs as a plain script inside fresh namespaces. The end of process 1 is the end of everything in the host: the
kernel kills the rest of the pid namespace, and mounts and network devices vanish with their last process.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import subprocess
import sys
from pathlib import Path

BRIDGE = "br-vsw"
OUTSIDE_ADDRESS = "10.78.0.1/24"
# What the host sees at these places is a directory below the state directory.
PRIVATE = {
    "run": "/run",
    "etc": "/etc/libvirt",
    "libvirt": "/var/lib/libvirt",
    "log": "/var/log/libvirt",
    "cache": "/var/cache/libvirt",
}


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)


def mounts(state: Path) -> None:
    """Private /proc, /sys, /dev/shm and /run; libvirt's directories from the state directory.

    /sys has no control groups below it, so libvirt goes without them and leaves none behind.
    """
    run("mount", "-t", "proc", "proc", "/proc")
    run("umount", "--recursive", "--lazy", "/sys")  # only in this namespace
    run("mount", "-t", "sysfs", "sysfs", "/sys")
    run("mount", "-t", "tmpfs", "tmpfs", "/dev/shm")
    for source, target in PRIVATE.items():
        Path(target).mkdir(parents=True, exist_ok=True)
        run("mount", "--bind", str(state / source), target)
    kvm(state)


def kvm(state: Path) -> None:
    """/dev/kvm, when this machine has one, as udev would give it to QEMU's user. One that only root may open makes
    libvirt find KVM when it probes QEMU and miss it at the next look: it then probes anew, 2 s, at every call."""
    there = Path("/dev/kvm")
    if not there.exists():
        return
    own = state / "kvm"
    own.unlink(missing_ok=True)
    os.mknod(own, 0o600 | stat.S_IFCHR, there.stat().st_rdev)
    own.chmod(0o666)
    run("mount", "--bind", str(own), str(there))


def bridge(name: str) -> None:
    run("ip", "link", "add", name, "type", "bridge")
    run("ip", "link", "set", name, "up")


def quiet() -> None:
    """The loopback is up, and no device gets an IPv6 address by itself."""
    for name in ("net/ipv6/conf/all/disable_ipv6", "net/ipv6/conf/default/disable_ipv6"):
        with contextlib.suppress(OSError):
            Path("/proc/sys", name).write_text("1")
    run("ip", "link", "set", "lo", "up")


def outside() -> int:
    """A second network namespace on the bridge; answers the pid that holds it."""
    ready, wake = os.pipe()
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", f"echo >&{wake}; exec {wake}>&-; exec sleep infinity"],
        stdin=subprocess.DEVNULL,
        pass_fds=[wake],
    )
    os.close(wake)
    os.read(ready, 1)
    os.close(ready)
    run("ip", "link", "add", "outside", "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
    run("ip", "link", "set", "outside", "master", BRIDGE, "up")
    inside = ("nsenter", "-t", str(holder.pid), "-n", "ip")
    run(*inside, "link", "set", "lo", "up")
    run(*inside, "addr", "add", OUTSIDE_ADDRESS, "dev", "eth0")
    run(*inside, "link", "set", "eth0", "up")
    return holder.pid


def reap_until_abandoned(watch: bool) -> None:
    """Reap what is orphaned here; with ``watch`` until standard input closes, as it does when the owner dies."""
    while True:
        readable, _, _ = select.select([0] if watch else [], [], [], 1.0)
        if readable and not os.read(0, 1):
            return
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def host(state: Path, name: str, wired: bool) -> None:
    """A host. When it is wired, whoever wires it gives its bridge an outside."""
    socket.sethostname(name)
    mounts(state)
    quiet()
    bridge(BRIDGE)
    if not wired:
        (state / "outside.pid").write_text(f"{outside()}\n")
    run("libvirtd", "--daemon", "--pid-file", "/run/libvirtd.pid")


def switch(state: Path) -> None:
    """What lies between hosts: a bridge for their management links, and one for their guests with an address of its
    own, to look from. Nothing is routed."""
    quiet()
    Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
    bridge("mgmt")
    bridge("guests")
    run("ip", "addr", "add", OUTSIDE_ADDRESS, "dev", "guests")
    (state / "ready").touch()


def main() -> int:
    kind, state, rest, watch = sys.argv[1], Path(sys.argv[2]), sys.argv[3:-1], sys.argv[-1] == "watch"
    os.umask(0o022)
    if kind == "host":
        host(state, rest[0], rest[1] == "wired")
    else:
        switch(state)
    reap_until_abandoned(watch)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
