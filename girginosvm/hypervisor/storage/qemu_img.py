"""qemu-img(1), the only program that looks into images of strangers: under limits, without a network.

An image can be made to cost its reader any amount of time, memory or disk. So each call is bounded by prlimit(1) in
address space, processor seconds and the size of what it may write, and, as root, has a network namespace of its own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from girginosvm.core.errors import HostFault, Invalid
from girginosvm.core.units import GIB, MIB
from girginosvm.hypervisor.run import Ran, run

_MEMORY_BYTES: Final = 2 * GIB
_QUICK_S: Final = 30
_CHECK_S: Final = 300
# check's exit codes, qemu-img(1): 0 sound, 2 corrupt, 3 leaked clusters only, 1 and 63 not checked.
_SOUND: Final = (0, 3)
_CORRUPT: Final = 2


async def _limited(*words: str, timeout_s: float, writes_bytes: int) -> Ran:
    limits = (f"--as={_MEMORY_BYTES}", f"--cpu={int(timeout_s)}", f"--fsize={writes_bytes}", "--core=0")
    alone = ("unshare", "--net", "--") if os.geteuid() == 0 else ()
    return await run("prlimit", *limits, "--", *alone, "qemu-img", *words, timeout_s=timeout_s)


async def qemu_img(*words: str, writes_bytes: int, timeout_s: float = _QUICK_S) -> None:
    """Run it to its end. ``writes_bytes``: the largest file it may write. HostFault ``program-failed`` with its words,
    ``program-timeout`` when it took longer than ``timeout_s``."""
    ran = await _limited(*words, timeout_s=timeout_s, writes_bytes=writes_bytes)
    if ran.code:
        raise HostFault("program-failed", f"qemu-img ended with {ran.code}: {(ran.err or ran.out).strip()[-1000:]}")


async def check(path: Path) -> None:
    """Invalid ``image-unsafe`` when the tables of a qcow2 file contradict each other, or cannot be read within the
    limits; HostFault ``program-timeout`` when the time was not enough. Leaked clusters cost room and nothing else."""
    ran = await _limited("check", "-q", "-f", "qcow2", str(path), timeout_s=_CHECK_S, writes_bytes=MIB)
    if ran.code == _CORRUPT:
        raise Invalid("image-unsafe", "the image's tables contradict each other (qemu-img check calls it corrupt)")
    if ran.code not in _SOUND:
        words = ran.err.strip().replace(str(path), "the image")[-500:] or f"it ended with {ran.code}"
        raise Invalid("image-unsafe", f"the image cannot be checked: {words}")
