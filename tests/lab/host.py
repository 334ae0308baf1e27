"""A virtualization host of its own on this machine: namespaces with their own libvirtd, QEMU, bridge and outside.

``with LabHost() as host`` boots it in about a second; leaving the block, an exception, or the death of the test
process (SIGKILL too) ends every process in it, and nothing is left: no process, namespace, mount or file.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

INIT = Path(__file__).with_name("init.py")
OUTSIDE_IP = "10.78.0.1"  # the second namespace's address on the bridge, see init.py

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


T = TypeVar("T")


class LabFault(Exception):
    """The lab could not do what was asked; the text says what it saw."""


def until(look: Callable[[], T | None], seconds: float, what: str) -> T:
    """Look every 50 ms until there is something (nothing empty); LabFault with ``what`` after ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise LabFault(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.05)


def qemu_user() -> str:
    """The account that the distribution made for QEMU."""
    for name in ("libvirt-qemu", "qemu"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise LabFault("this machine has no account libvirt-qemu or qemu: is libvirt installed?")


def start_ticks(pid: int) -> str:
    """When a process started, so that a recycled pid is never taken for it; empty when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]


class LabHost:
    """One host. ``keep`` makes it outlive this process (the demo); then ``attach`` finds it and ``stop`` ends it.
    ``qemu``: QEMU's user and group, as qemu.conf takes them; empty: the distribution's."""

    def __init__(self, state: Path | None = None, *, name: str = "labhost", keep: bool = False, qemu: str = "") -> None:
        self.state = state or Path(tempfile.mkdtemp(prefix="gvm-lab-", dir="/var/tmp"))
        self.name = name
        self.keep = keep
        self.qemu = qemu or qemu_user()
        self._init = 0

    # -- life

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Boot it and wait until its libvirtd answers."""
        self._files()
        init = [sys.executable, str(INIT), str(self.state), self.name, "keep" if self.keep else "watch"]
        spaces = ["--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        with (self.state / "console.log").open("ab") as log:
            self._unshare = subprocess.Popen(
                ["unshare", *spaces, *init],
                stdin=subprocess.DEVNULL if self.keep else subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        first = until(lambda: next(iter(children.read_text().split()), None), 10, "process 1 of the host")
        self._init = int(first)
        (self.state / "init.pid").write_text(f"{first} {start_ticks(self._init)}\n")
        until(self._answers, 60, f"libvirtd of {self.name}")

    @classmethod
    def attach(cls, state: Path) -> LabHost | None:
        """The kept host whose state is there, or None when none runs."""
        try:
            pid, ticks = (state / "init.pid").read_text().split()
        except (OSError, ValueError):
            return None
        if start_ticks(int(pid)) != ticks:
            return None
        host = cls(state, keep=True)
        host._init = int(pid)
        return host

    def stop(self) -> None:
        """End everything in it and delete its state. May be called again."""
        if self._init and start_ticks(self._init):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._init, signal.SIGKILL)
        process = getattr(self, "_unshare", None)
        if process is not None:
            if not self._init:
                process.kill()
            process.wait(timeout=30)
            if process.stdin:
                process.stdin.close()
        elif self._init:
            until(lambda: not start_ticks(self._init), 30, "the end of the host")
        self._init = 0
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
        return ["nsenter", "-t", str(self._init), "-m", "-u", "-i", "-n", "-p", "--", *argv]

    def argv_outside(self, *argv: str) -> list[str]:
        """``argv`` as a command line that runs in the second network namespace, across the bridge."""
        holder = (self.state / "outside.pid").read_text().strip()
        return self.argv("nsenter", "-t", holder, "-n", "--", *argv)

    def exec(self, *argv: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run it inside the host to its end."""
        return self._run(self.argv(*argv), check, timeout)

    def outside(self, *argv: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run it in the second namespace to its end."""
        return self._run(self.argv_outside(*argv), check, timeout)

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
        mine = os.readlink(f"/proc/{self._init}/ns/pid")
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and os.readlink(entry / "ns/pid") == mine:
                    found.append(int(entry.name))
        return found

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

    def _run(self, argv: list[str], check: bool, timeout: float) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            argv, text=True, capture_output=True, stdin=subprocess.DEVNULL, cwd="/", timeout=timeout, check=False
        )
        if check and done.returncode:
            raise LabFault(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
        return done

    def _answers(self) -> bool:
        process = getattr(self, "_unshare", None)
        if process is not None and process.poll() is not None:
            raise LabFault(f"the host died:\n{(self.state / 'console.log').read_text()}")
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
        values = {"uuid": uuid.uuid4(), "user": self.qemu}
        for name, text in conf.items():
            (self.state / "etc" / name).write_text(text.format(**values))
