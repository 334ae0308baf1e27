"""What an agent cannot start with is said in one line and an exit code of its family, never as a trace."""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from girginosvm.core.errors import Conflict, HostFault, first_problem
from girginosvm.raft.ipc import Hello, frame, receive

REPO = Path(__file__).parents[3]


async def ended(root: Path, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and log of an agent process that has to end by itself."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("GIRGINOSVM_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "girginosvm", "agent", "--fake-host", "--root", str(root), *words, cwd=REPO,
        env=environment, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(30):
            _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode or 0, [json.loads(line) for line in err.decode().splitlines()]


@contextlib.asynccontextmanager
async def raft_of_release(root: Path, release: str) -> AsyncIterator[None]:
    """A process at the socket that greets as another release does."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receive(reader)
        writer.write(frame(Hello(release, "somebody")))
        await writer.drain()
        writer.close()

    path = root / "run/girginosvm/raft.sock"
    path.parent.mkdir(parents=True)
    server = await asyncio.start_unix_server(greet, path)
    try:
        yield
    finally:
        server.close()


async def test_another_release_of_the_raft_process_is_refused_by_name(tmp_path: Path) -> None:
    async with raft_of_release(tmp_path, "9.9.9"):
        code, lines = await ended(tmp_path)
    assert code == Conflict.exit_code
    assert lines[-1]["code"] == "release-differs"
    assert "9.9.9" in lines[-1]["detail"]


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    raft = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "girginosvm", "raft", "--root", str(tmp_path), cwd=REPO, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            code, lines = await ended(tmp_path, "--port", port)
    finally:
        raft.terminate()
        await raft.wait()
    assert code == HostFault.exit_code
    assert (lines[-1]["code"], port in lines[-1]["detail"]) == ("port-taken", True)


def test_a_group_without_a_problem_is_a_bug() -> None:
    inner = ExceptionGroup("tasks", [ValueError("a bug"), ExceptionGroup("more", [HostFault("x-y", "words")])])
    assert isinstance(first_problem(inner), HostFault)
    assert first_problem(ExceptionGroup("tasks", [ValueError("a bug")])) is None
