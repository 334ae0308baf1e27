"""A node on a fake host, as processes: what scenarios and figures stand on.

No supervisor stands between: this starts raft and agent again as soon as they are gone, so that a test of a hundred
deaths does not wait for anybody's patience. A process may end by SIGKILL only; any other end fails the test.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from tests.ports import free_port

REPO = Path(__file__).parents[2]
PATIENCE_S = 40


class UnixLink(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(20)
        self.sock.connect(self._path)


def qcow2(path: Path, size_mib: int = 64, *, full: bool = False) -> Path:
    """An image; with ``full`` its file is as large as the disk in it."""
    options = ["-o", "preallocation=full"] if full else []
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, path, f"{size_mib}M"], check=True)
    return path


class Door:
    """The agent's socket under ``root``, as root asks it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def wait(self, holds: Callable[[], object], what: str) -> None:
        """Until it ``holds``; AssertionError after 40 s."""
        end = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < end, f"waited for {what}; {self.words()}"
            time.sleep(0.01)

    def words(self) -> str:
        """The end of what the processes said, where they say it to a file."""
        log = self.root / "log"
        return log.read_text(errors="replace")[-3000:] if log.exists() else ""

    def once(self, method: str, path: str, body: Any = None, key: str = "") -> tuple[int, Any]:
        """Status and answer of one request; OSError when nobody answers."""
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        raw = body if isinstance(body, bytes) else json.dumps(body) if body is not None else None
        if isinstance(body, bytes):
            headers["Content-Type"] = "application/octet-stream"
        link = UnixLink(self.root / "run/girginosvm/agent.sock")
        try:
            link.request(method, path, raw, headers)
            answer = link.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        except http.client.HTTPException as fault:
            raise ConnectionError(repr(fault)) from fault
        finally:
            link.close()

    def read(self, path: str) -> tuple[int, bytes]:
        """Status and body of one GET, whatever it is."""
        link = UnixLink(self.root / "run/girginosvm/agent.sock")
        try:
            link.request("GET", path)
            answer = link.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()

    def ask(self, method: str, path: str, body: Any = None, key: str = "") -> Any:
        """The answer, a refusal too; asked again with the same key while nobody answers or the status is 5xx."""
        trouble: list[Any] = [None]

        def answered() -> bool:
            try:
                status, trouble[0] = self.once(method, path, body, key)
            except OSError as fault:
                trouble[0] = fault
                return False
            return status < 500

        try:
            self.wait(answered, f"{method} {path}")
        except AssertionError as fault:
            raise AssertionError(f"the last answer: {trouble[0]}; {fault}") from fault
        return trouble[0]

    def until(self, path: str, holds: Any) -> Any:
        """The answer of ``path`` once it ``holds``."""
        found: list[Any] = [None]

        def seen() -> Any:
            found[0] = self.ask("GET", path)
            return holds(found[0])

        self.wait(seen, path)
        return found[0]


class Node(Door):
    """Raft and agent under ``root``, with the variables of ``environment``."""

    def __init__(
        self, root: Path, *, prefix: Sequence[str] = (), module: str = "girginosvm", **environment: str
    ) -> None:  # fmt: skip
        super().__init__(root)
        self._prefix = prefix  # words before each command, as ``nsenter -t 1 -m --``
        self.module = module  # the release: what a process runs from its next start on
        self.port = free_port()
        self._environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(REPO), **environment}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = False
        self.deaths: list[str] = []
        self.ends: list[str] = []  # other ends than SIGKILL's
        self.may_end = ""  # the one that this scenario is about
        self._keepers = [threading.Thread(target=self._keep, args=(name,), daemon=True) for name in ("raft", "agent")]
        for keeper in self._keepers:
            keeper.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _keep(self, name: str) -> None:
        rest = ["--fake-host", "--port", str(self.port)] if name == "agent" else []
        while not self._stopping:
            command = [*self._prefix, sys.executable, "-m", self.module, name, "--root", str(self.root), *rest]
            with open(self.root / "log", "ab") as log:
                process = subprocess.Popen(
                    [*command, "--child-of", str(os.getpid())], cwd=REPO, env=self._environment, stderr=log
                )
            self._processes[name] = process
            if self._stopping:  # it was asked to end before this process could be seen
                process.terminate()
            code = process.wait()
            if code == -signal.SIGKILL:
                self.deaths.append(name)
            elif not self._stopping:
                self.ends.append(f"{name} ended with {code}")
                time.sleep(0.2)  # as every supervisor waits before the next try

    def kill(self, name: str) -> None:
        """SIGKILL; it is started again at once."""
        before = len(self.deaths)
        self._processes[name].kill()
        self.wait(lambda: len(self.deaths) > before, f"the end of {name}")

    def wait(self, holds: Callable[[], object], what: str) -> None:
        """Until it ``holds``; AssertionError after 40 s, or when a process ended by itself and this scenario did not
        take that from ``ends``."""

        def sound() -> object:
            assert set(self.ends) <= {self.may_end}, f"{self.ends}; {self.words()}"
            return holds()

        super().wait(sound, what)

    def pause(self) -> None:
        """Both processes stand still (SIGSTOP): the others take the node for dead."""
        for process in self._processes.values():
            process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After ``pause``."""
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)

    def pid(self, name: str) -> int:
        """The process of this name that runs now."""
        return self._processes[name].pid

    def ready(self) -> Self:
        """Once it takes machines."""
        self.until("/v1/pools", lambda found: found["items"] and found["items"][0]["capacity_bytes"])
        self.until("/v1/nodes", lambda found: found["items"])
        return self

    def upload(self, name: str, image: Path) -> Any:
        """``image`` under this name."""
        return self.ask("POST", f"/v1/images/upload/{name}", image.read_bytes())

    def host(self) -> dict[str, Any]:
        """The fake host's state."""
        return dict(json.loads((self.root / "var/lib/girginosvm/fake-host.json").read_text()))

    def stop(self) -> None:
        """End both, the agent first; also one that was told to stand still."""
        self._stopping = True
        self.go_on()
        for name, keeper in reversed(list(zip(("raft", "agent"), self._keepers, strict=True))):
            if name in self._processes:
                self._processes[name].terminate()
            keeper.join(20)
        for process in self._processes.values():
            process.kill()
            process.wait()

    def remove(self) -> None:
        """Stop, and no file stays."""
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)
