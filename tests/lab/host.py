"""A virtualization host of its own on this machine: namespaces with their own libvirtd, QEMU, bridge and outside.

``with LabHost() as host`` boots it in about a second; leaving the block, an exception, or the death of the test
process (SIGKILL too) ends every process in it, and nothing is left: no process, namespace, mount or file.
"""

from __future__ import annotations

import contextlib
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from tests.lab.spaces import LabFault, Spaces, ran, until
from tests.lab.started import Started
from tests.lab.switch import Switch

LIBVIRTD_CONF = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
host_uuid = "{uuid}"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""
QEMU_CONF = """\
user = "{user}"
group = "{user}"
dynamic_ownership = 1
remember_owner = 0
security_driver = "none"
namespaces = []
stdio_handler = "file"
"""


def qemu_user() -> str:
    """The account that the distribution made for QEMU."""
    for name in ("libvirt-qemu", "qemu"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise LabFault("this machine has no account libvirt-qemu or qemu: is libvirt installed?")


class LabHost(Started):
    """One host. ``keep`` makes it outlive this process (the demo); then ``find`` takes it over and ``stop`` ends it.
    ``qemu``: QEMU's user and group, as qemu.conf takes them; empty: the distribution's. On a ``switch`` it has a
    management address there, and its bridge for guests is one with the other hosts'."""

    def __init__(
        self, state: Path | None = None, *, name: str = "labhost", keep: bool = False, qemu: str = "",
        switch: Switch | None = None,
    ) -> None:  # fmt: skip
        self.state = state or Path(tempfile.mkdtemp(prefix="gvm-lab-", dir="/var/tmp"))
        self.name = name
        self.qemu = qemu or qemu_user()
        self.switch = switch
        self.address = switch.address(name) if switch else ""
        self._uuid = uuid.uuid4()
        self._spaces = Spaces(self.state, kept=keep)

    # -- life

    def start(self) -> None:
        """Boot it, and wait until its libvirtd answers and its link is up."""
        self._files()
        kinds = ("net", "mount", "uts", "ipc", "propagation=private")
        self._spaces.start(kinds, "host", str(self.state), self.name, "wired" if self.switch else "alone")
        until(self._answers, 60, f"libvirtd of {self.name}")
        if self.switch:
            self.switch.plug(self.name, self._spaces.pid)

    def find(self) -> bool:
        """Take over the kept host whose state is there; whether one runs."""
        return self._spaces.find()

    def power_off(self) -> None:
        """Everything in it ends at once, as without power; its disks stay, and ``start`` boots it again."""
        self._spaces.end()
        if self.switch:
            self.switch.unplug(self.name)

    def stop(self) -> None:
        """End everything in it and delete its state. May be called again."""
        self._spaces.end()
        shutil.rmtree(self.state, ignore_errors=True)

    # -- use

    @property
    def socket(self) -> Path:
        """libvirt's Unix socket, as seen from outside the host."""
        return self.state / "run/libvirt/libvirt-sock"

    @property
    def uri(self) -> str:
        """libvirt's URI, usable from outside the host."""
        return f"qemu:///system?socket={self.socket}"

    @property
    def root(self) -> Path:
        """A directory for the product's ``--root``: the same path inside and outside, passable for QEMU's user."""
        return self.state / "root"

    def argv(self, *argv: str) -> list[str]:
        """``argv`` as a command line that runs inside the host."""
        if not self._spaces.pid:
            raise LabFault(f"{self.name} is off")
        return ["nsenter", "-t", str(self._spaces.pid), "-m", "-u", "-i", "-n", "-p", "--", *argv]

    def argv_outside(self, *argv: str) -> list[str]:
        """``argv`` as a command line that runs in the second network namespace, across the bridge."""
        if self.switch:
            return self.switch.argv(*argv)
        holder = (self.state / "outside.pid").read_text().strip()
        return self.argv("nsenter", "-t", holder, "-n", "--", *argv)

    def exec(self, *argv: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run it inside the host to its end."""
        return ran(self.argv(*argv), check, timeout)

    def outside(self, *argv: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run it in the second namespace to its end."""
        return ran(self.argv_outside(*argv), check, timeout)

    def spawn(self, *argv: str, log: str = "spawned.log", pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        """Start it inside the host; it dies with the host. Its words go to ``log`` in the state directory."""
        with (self.state / log).open("ab") as out:
            return subprocess.Popen(
                self.argv(*argv),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
                start_new_session=True,
                pass_fds=pass_fds,
            )

    def pings(self, address: str) -> bool:
        """Whether ``address`` answers one ping from the second namespace within a second."""
        return self.outside("ping", "-n", "-c1", "-W1", address, check=False).returncode == 0

    def fetch(self, address: str, path: str = "/") -> str:
        """What the web server of a guest says, asked from the second namespace; it may begin a while after ping."""
        code = f"import urllib.request as u; print(u.urlopen('http://{address}{path}', timeout=10).read().decode())"

        def asked() -> subprocess.CompletedProcess[str] | None:
            done = self.outside(sys.executable, "-c", code, check=False)
            return None if done.returncode else done

        return until(asked, 60, f"a page from {address}").stdout.strip()

    def kill_libvirtd(self) -> None:
        """SIGKILL to libvirtd; machines live on."""
        self.exec("sh", "-c", "kill -9 $(cat /run/libvirtd.pid)")
        until(lambda: not self._answers(), 10, "libvirtd to be gone")

    def start_libvirtd(self) -> None:
        """Start libvirtd again and wait until it answers."""
        self.exec("libvirtd", "--daemon", "--pid-file", "/run/libvirtd.pid")
        until(self._answers, 60, f"libvirtd of {self.name}")

    def processes(self) -> list[int]:
        """The pids, as seen from outside, of everything that runs in the host."""
        return self._spaces.processes()

    def commands(self) -> dict[int, list[str]]:
        """What runs in the host, with its words: a process that ends while we look is not there."""
        found = {}
        for pid in self.processes():
            with contextlib.suppress(OSError):
                found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        return found

    def emulators(self) -> list[int]:
        """The pids of the machines' QEMU processes; what libvirt or a probe runs for a moment has no guest's name."""
        machines = self.commands().items()
        return [pid for pid, words in machines if any(word.startswith("guest=") for word in words)]

    # -- inside

    def _answers(self) -> bool:
        self._spaces.alive()
        with socket.socket(socket.AF_UNIX) as one:
            try:
                one.connect(str(self.socket))
            except OSError:
                return False
        return True

    def _files(self) -> None:
        """The private directories. QEMU's user has to pass through the state directory to a machine's disks."""
        self.state.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o711)
        for name in ("etc", "log", "cache", "root", "libvirt/images", "libvirt/qemu", "libvirt/boot"):
            (self.state / name).mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.state / "run", ignore_errors=True)
        (self.state / "run/lock").mkdir(parents=True)
        conf = {"libvirtd.conf": LIBVIRTD_CONF, "qemu.conf": QEMU_CONF}
        values = {"uuid": self._uuid, "user": self.qemu}
        for name, text in conf.items():
            (self.state / "etc" / name).write_text(text.format(**values))
