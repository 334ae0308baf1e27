"""The only place that starts programs on the host: an argument vector, a deadline, bounded output. Never a shell."""

from __future__ import annotations

import asyncio
import time
from asyncio.subprocess import PIPE, Process
from typing import Final

import msgspec

from girginosvm.core.errors import HostFault
from girginosvm.core.points import reach

_OUTPUT_BYTES: Final = 1 << 20
_CHUNK: Final = 1 << 16
# The ports read words of programs; they must not depend on the operator's language.
_ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class Ran(msgspec.Struct, frozen=True):
    """How a program ended. ``code`` is negative for a signal; output beyond 1 MiB is dropped."""

    code: int
    out: str
    err: str
    took_ms: int


async def _drained(stream: asyncio.StreamReader | None) -> str:
    kept = bytearray()
    while stream is not None and (chunk := await stream.read(_CHUNK)):
        kept += chunk[: _OUTPUT_BYTES - len(kept)]
    return kept.decode("utf-8", "replace")


async def _fed(process: Process, text: bytes) -> None:
    if process.stdin is None:
        return
    try:
        process.stdin.write(text)
        await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        pass  # it ended without reading: its exit code tells
    process.stdin.close()


async def run(*argv: str, timeout_s: float = 30, stdin: bytes = b"") -> Ran:
    """Run it to its end; any exit code is an answer. HostFault ``program-missing`` or ``program-timeout`` (killed)."""
    began = time.monotonic()
    try:
        process = await asyncio.create_subprocess_exec(*argv, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=_ENVIRONMENT)
    except OSError as fault:
        raise HostFault("program-missing", f"{argv[0]} cannot be started: {fault.strerror}") from fault
    try:
        async with asyncio.timeout(timeout_s):
            _, out, err = await asyncio.gather(_fed(process, stdin), _drained(process.stdout), _drained(process.stderr))
            code = await process.wait()
    except TimeoutError as late:
        raise HostFault("program-timeout", f"{argv[0]} did not end within {timeout_s:g} s") from late
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    reach("program.run:after")
    return Ran(code, out, err, int((time.monotonic() - began) * 1000))


async def demand(*argv: str, timeout_s: float = 30, stdin: bytes = b"") -> str:
    """Like ``run``, but an exit code other than 0 is the HostFault ``program-failed`` with the program's words."""
    ran = await run(*argv, timeout_s=timeout_s, stdin=stdin)
    if ran.code:
        words = (ran.err or ran.out).strip()[-1000:]
        raise HostFault("program-failed", f"{argv[0]} ended with {ran.code}: {words}")
    return ran.out
