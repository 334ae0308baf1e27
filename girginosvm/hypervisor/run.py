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
    """How a program ended. ``code`` is negative for a signal; ``cut``: it said more than was kept."""

    code: int
    out: str
    err: str
    took_ms: int
    cut: bool = False


async def _drained(stream: asyncio.StreamReader | None, most_bytes: int) -> tuple[str, bool]:
    kept, cut = bytearray(), False
    while stream is not None and (chunk := await stream.read(_CHUNK)):
        room = most_bytes - len(kept)
        kept += chunk[:room]
        cut = cut or len(chunk) > room
    return kept.decode("utf-8", "replace"), cut


async def _fed(process: Process, text: bytes) -> None:
    if process.stdin is None:
        return
    try:
        process.stdin.write(text)
        await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        pass  # it ended without reading: its exit code tells
    process.stdin.close()


async def run(*argv: str, timeout_s: float = 30, stdin: bytes = b"", most_bytes: int = _OUTPUT_BYTES) -> Ran:
    """Run it to its end; any exit code is an answer. Of what it says, ``most_bytes`` of each stream are kept.
    HostFault ``program-missing`` or ``program-timeout`` (killed)."""
    began = time.monotonic()
    try:
        process = await asyncio.create_subprocess_exec(*argv, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=_ENVIRONMENT)
    except OSError as fault:
        raise HostFault("program-missing", f"{argv[0]} cannot be started: {fault.strerror}") from fault
    try:
        async with asyncio.timeout(timeout_s):
            _, (out, cut), (err, _) = await asyncio.gather(
                _fed(process, stdin), _drained(process.stdout, most_bytes), _drained(process.stderr, most_bytes)
            )
            code = await process.wait()
    except TimeoutError as late:
        raise HostFault("program-timeout", f"{argv[0]} did not end within {timeout_s:g} s") from late
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    reach("program.run:after")
    return Ran(code, out, err, int((time.monotonic() - began) * 1000), cut)


async def demand(*argv: str, timeout_s: float = 30, stdin: bytes = b"", most_bytes: int = _OUTPUT_BYTES) -> str:
    """Like ``run``, but an exit code other than 0 is the HostFault ``program-failed`` with the program's words, and so
    is an answer that is longer than ``most_bytes``: half of one is none."""
    ran = await run(*argv, timeout_s=timeout_s, stdin=stdin, most_bytes=most_bytes)
    if ran.code:
        words = (ran.err or ran.out).strip()[-1000:]
        raise HostFault("program-failed", f"{argv[0]} ended with {ran.code}: {words}")
    if ran.cut:
        raise HostFault("program-failed", f"{argv[0]} said more than {most_bytes:,} bytes")
    return ran.out
