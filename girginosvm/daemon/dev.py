"""``agent --dev``: one supervisor for the processes that systemd runs elsewhere. Demo and tests use it too.

A child that dies is started again, after 0.2 s and then ever later up to 5 s. Children die with the supervisor, also
when it is killed (prctl(2) PR_SET_PDEATHSIG, set by the child itself).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from typing import Final

from girginosvm.core.errors import HostFault
from girginosvm.core.log import Log

CHILD_FLAG: Final = "--child-of"
_PR_SET_PDEATHSIG: Final = 1


def die_with(parent: int) -> None:
    """End this process when ``parent`` does; at once when it already has."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit("the supervisor is gone")


def command(*words: str) -> list[str]:
    """This very executable with other words; compiled (there is no interpreter then) or not."""
    if "__compiled__" in globals():
        return ["/proc/self/exe", *words]
    return [sys.executable, "-m", "girginosvm", *words]


async def supervise(
    names: tuple[str, ...], rest: list[str], log: Log, *, extra: dict[str, list[str]] | None = None
) -> int:
    """Run ``names`` until SIGTERM or SIGINT; then end them in the opposite order. HostFault when one cannot start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    pids: dict[str, int] = {}
    tasks = [asyncio.create_task(_keep(name, [*rest, *(extra or {}).get(name, [])], pids, log)) for name in names]
    stopped = asyncio.create_task(stop.wait())
    ended, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    for name, task in zip(reversed(names), reversed(tasks), strict=True):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        pid = pids.pop(name, 0)
        if pid:
            await _end(pid)
    for over in (task for task in tasks if task in ended):
        over.result()  # it runs for ever, unless it could not start its process
    return 0


async def _keep(name: str, rest: list[str], pids: dict[str, int], log: Log) -> None:
    pause_s = 0.2
    while True:
        argv = command(name, *rest, CHILD_FLAG, str(os.getpid()))
        executable = os.readlink(argv[0]) if argv[0].startswith("/proc/") else argv[0]
        started = asyncio.get_running_loop().time()
        try:
            pids[name] = os.posix_spawn(executable, argv, dict(os.environ))  # noqa: ASYNC221 - returns at once
        except OSError as fault:
            raise HostFault("program-failed", f"cannot start {name} ({executable}): {fault.strerror}") from fault
        log.info("dev.started", process=name, pid=pids[name])
        code = await _ended(pids[name])
        pids.pop(name, None)
        log.warning("dev.ended", process=name, code=code)
        lived_s = asyncio.get_running_loop().time() - started
        pause_s = 0.2 if lived_s > 10 else min(pause_s * 2, 5.0)
        await asyncio.sleep(pause_s)


async def _ended(pid: int) -> int:
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    handle = os.pidfd_open(pid)
    loop.add_reader(handle, _settle, over)
    try:
        await over
    finally:
        loop.remove_reader(handle)
        os.close(handle)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])  # noqa: ASYNC222 - it has ended


def _settle(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)


async def _end(pid: int) -> None:
    """SIGTERM, and SIGKILL after 10 s."""
    os.kill(pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(10):
            await _ended(pid)
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        await _ended(pid)
