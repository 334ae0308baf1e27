"""The product in a lab host: its processes under a root of their own, and its command line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.lab import mirror
from tests.lab.host import LabHost
from tests.lab.spaces import LabFault, until

CHECKOUT = Path(__file__).resolve().parents[2]
NETWORK = (
    *("--name", "lab", "--bridge", "br-vsw", "--cidr", "10.78.0.0/24", "--gateway", "10.78.0.1"),
    *("--range-start", "10.78.0.100", "--range-end", "10.78.0.199"),
)


class Refused(Exception):
    """The command line ended with an error; ``code`` is its exit code."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"exit {code}: {words}")
        self.code = code


class Product:
    """girginosvm under ``host.root``. Its processes run inside the host and die with it."""

    def __init__(self, host: LabHost) -> None:
        self.host = host

    def prepare(self, images: dict[str, Path], *, uefi: frozenset[str] = frozenset()) -> None:
        """A signed mirror with ``images`` (those in ``uefi`` start through it) and settings that trust it."""
        folder = self.host.root / "mirror"
        key = mirror.write(folder, images, uefi=uefi)
        etc = self.host.root / "etc/girginosvm"
        etc.mkdir(parents=True, exist_ok=True)
        settings = f'node_name = "{self.host.name}"\nimage_mirror = "{folder}"\nimage_trust_key = "{key}"\n'
        if self.host.address:
            settings += f'address = "{self.host.address}"\n'
        (etc / "girginosvm.toml").write_text(settings)

    def start(self, **variables: str) -> None:
        """Start raft and agent under their supervisor, with ``variables``; wait until the agent answers."""
        self.launch(**variables)
        self.wait()

    def launch(self, **variables: str) -> None:
        """The same without waiting."""
        argv = (sys.executable, "-m", "girginosvm", "agent", "--dev", "--root", str(self.host.root))
        environment = (
            f"PYTHONPATH={CHECKOUT}",
            "PYTHONDONTWRITEBYTECODE=1",
            *(f"{name}={text}" for name, text in variables.items()),
        )
        self._supervisor = self.host.spawn("env", *environment, *argv, log="agent.log")

    def wait(self) -> None:
        """Until the agent answers on its Unix socket and its node has described itself."""
        until(self._answers, 60, f"the agent, see {self.host.state}/agent.log")

    def _answers(self) -> bool:
        process = getattr(self, "_supervisor", None)
        if process is not None and process.poll() is not None:
            log = (self.host.state / "agent.log").read_text(errors="replace")
            raise LabFault(f"the agent ended:\n{log[-3000:]}")
        try:
            return bool(self("node", "list"))
        except Refused:
            return False

    def __call__(self, *words: str, timeout: float = 120) -> Any:
        """Run a verb as local root from outside the host; its answer. Refused when it is none."""
        said = self.text(*words, "-f", "json", timeout=timeout)
        value = json.loads(said) if said.strip() else None
        return value["items"] if isinstance(value, dict) and "items" in value else value

    def text(self, *words: str, timeout: float = 120) -> str:
        """The same for a verb that prints text, as ``vm serial`` does."""
        argv = [sys.executable, "-m", "girginosvm", *words, "--root", str(self.host.root)]
        environment = {name: text for name, text in os.environ.items() if not name.startswith("GIRGINOSVM_")}
        done = subprocess.run(
            argv,
            cwd=CHECKOUT,
            env=environment,
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise Refused(done.returncode, done.stderr.strip())
        return done.stdout

    def vm(self, name: str) -> dict[str, Any] | None:
        """The machine as the node shows it; None when there is none."""
        return next((row for row in self("vm", "list") if row["name"] == name), None)

    def wait_state(self, name: str, state: str, seconds: float = 60) -> dict[str, Any]:
        """Until the machine is shown in ``state``."""

        def look() -> dict[str, Any] | None:
            row = self.vm(name)
            return row if row and row["state"] == state else None

        return until(look, seconds, f"{name} to be {state}, it is {(self.vm(name) or {}).get('state')}")

    def pids(self, *words: str) -> list[int]:
        """The host's processes whose command line has all of ``words``."""
        commands = self.host.commands().items()
        return [pid for pid, line in commands if all(word in line for word in words)]

    def kill_all(self) -> None:
        """SIGKILL to everything of girginosvm in the host, the supervisor too: it stays away until ``start``."""
        for pid in self.pids("-m", "girginosvm"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.pids("-m", "girginosvm"), 10, f"the end of girginosvm on {self.host.name}")

    def kill(self, process: str) -> None:
        """SIGKILL to ``raft`` or ``agent`` (not to the supervisor), which is then started again."""
        for pid in self.pids("-m", "girginosvm", process, "--child-of"):
            os.kill(pid, signal.SIGKILL)
