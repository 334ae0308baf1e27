"""A tiny agent on a Unix socket: canned answers by method and path, and a record of what was asked."""

import http.server
import io
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from girginosvm.cli.main import Counter

Answer = tuple[int, Any]


class Asked:
    """One request as it arrived."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Agent:
    """``answers[(method, path)]`` is a list consumed from the front, its last one repeated. None: hang up."""

    def __init__(self, socket_path: str) -> None:
        self.socket_path = socket_path
        self.answers: dict[tuple[str, str], list[Answer | bytes | None]] = {}
        self.asked: list[Asked] = []

    def on(self, method: str, path: str, *answers: Answer | bytes | None) -> None:
        self.answers[(method, path)] = list(answers)

    def next(self, method: str, path: str) -> Answer | bytes | None:
        left = self.answers.get((method, path)) or [(404, {"code": "nothing-here", "detail": f"no {method} {path}"})]
        return left.pop(0) if len(left) > 1 else left[0]


class _Handler(http.server.BaseHTTPRequestHandler):
    agent: Agent

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        agent = self.agent
        agent.asked.append(Asked(self.command, self.path, dict(self.headers), body))
        answer = agent.next(self.command, self.path)
        if answer is None:
            return
        status, value = (200, answer) if isinstance(answer, bytes) else answer
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = do_PATCH = _serve

    def address_string(self) -> str:
        return "local"

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    made = Agent(str(tmp_path / "agent.sock"))
    handler = type("Handler", (_Handler,), {"agent": made})
    with _Server(made.socket_path, handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        server.shutdown()
        thread.join()


class Terminal(io.StringIO):
    """A terminal to write to."""

    def isatty(self) -> bool:
        return True


class Said:
    """What one command line came to."""

    def __init__(self, code: int, out: str, talk: str) -> None:
        self.code = code
        self.out = out
        self.talk = talk


@pytest.fixture
def say(agent: Agent) -> Callable[..., Said]:
    """Run a command line against the agent; ``terminal=True`` writes to one."""

    def run(line: str | list[str], *, terminal: bool = False, **environment: str) -> Said:
        out, talk = (Terminal(), Terminal()) if terminal else (io.StringIO(), io.StringIO())
        words = line.split() if isinstance(line, str) else line
        said = {"GIRGINOSVM_SOCKET": agent.socket_path, **environment}
        code = Counter("girginosvm", out, talk, said).serve(words)
        return Said(code, out.getvalue(), talk.getvalue())

    return run
