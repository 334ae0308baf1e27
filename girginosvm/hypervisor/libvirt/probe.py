"""Does KVM really run guests here? Asked by running one: a boot sector that counts and says good-bye.

``/dev/kvm`` can exist and be useless: without nested virtualization, or emulated by software that executes an
unmodified guest far slower than TCG. So the guest must not only end, it must end in reasonable time.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from girginosvm.core.errors import HostFault
from girginosvm.core.host import Acceleration
from girginosvm.core.words import said
from girginosvm.hypervisor.run import run

_BINARIES: Final = ("qemu-system-x86_64", "/usr/libexec/qemu-kvm", "/usr/bin/qemu-kvm")
_EXIT_PORT: Final = 0xF4
_GOOD_BYE: Final = 0x10
# isa-debug-exit ends QEMU with (value << 1) | 1: a code that no failure of QEMU itself gives.
_ENDED_WELL: Final = (_GOOD_BYE << 1) | 1
# Firmware and 20 million loops take real KVM a fraction of a second; TCG took 0.4 s, software KVM more than 15 s.
_LOOPS: Final = 20_000_000
_IMAGE_BYTES: Final = 1 << 20  # SeaBIOS computes no geometry for, and does not read, a disk of one sector
_DEADLINE_S: Final = 5


def qemu_binary() -> str:
    """The system emulator: Debian's name, or AlmaLinux's place. Empty when there is none."""
    return next((found for name in _BINARIES if (found := shutil.which(name))), "")


def boot_sector(loops: int = _LOOPS) -> bytes:
    """512 bytes of real-mode code: ``mov ecx, loops; l: dec ecx; jnz l; mov dx, 0xf4; mov al, 0x10; out dx, al;
    hlt``, and the boot signature."""
    code = b"\xfa\x66\xb9" + loops.to_bytes(4, "little")
    code += b"\x66\x49\x75\xfc"
    code += b"\xba" + _EXIT_PORT.to_bytes(2, "little") + b"\xb0" + bytes([_GOOD_BYE]) + b"\xee\xf4"
    return code.ljust(510, b"\0") + b"\x55\xaa"


def probe_argv(binary: str, accelerator: str, image: str) -> tuple[str, ...]:
    """The smallest machine like ours (q35, virtio disk) that boots ``image``."""
    return (
        binary, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35", "-accel", accelerator,
        "-m", "64", "-no-reboot", "-drive", f"file={image},format=raw,if=none,id=boot",
        "-device", "virtio-blk-pci,drive=boot,bootindex=0",
        "-device", f"isa-debug-exit,iobase={_EXIT_PORT:#x},iosize=0x04",
    )  # fmt: skip


def _is_there(device: str) -> bool:
    return os.path.exists(device)


def _written(place: Path) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    image = place / "probe.img"
    image.write_bytes(boot_sector().ljust(_IMAGE_BYTES, b"\0"))
    return image


async def probed(
    binary: str, place: Path, *, device: str = "/dev/kvm", deadline_s: float = _DEADLINE_S
) -> tuple[Acceleration, str]:
    """KVM or TCG, and the reason as a sentence. Never raises: what cannot be tried is TCG. ``place`` is a directory of
    ours: the test guest's disk has one name there, so that a killed process leaves it once, not each time."""
    if not binary:
        return Acceleration.TCG, said("acceleration.no-qemu").text
    if not _is_there(device):
        return Acceleration.TCG, said("acceleration.no-device", device=device).text
    try:
        image = _written(place)
    except OSError as fault:
        return Acceleration.TCG, said("acceleration.unwritten", place=str(place), why=str(fault.strerror)).text
    try:
        ran = await run(*probe_argv(binary, "kvm", str(image)), timeout_s=deadline_s)
    except HostFault as fault:
        if fault.code != "program-timeout":
            return Acceleration.TCG, f"{fault.detail}."
        return Acceleration.TCG, said("acceleration.slow", device=device, seconds=f"{deadline_s:g}").text
    finally:
        image.unlink(missing_ok=True)
    if ran.code != _ENDED_WELL:
        words = " ".join(ran.err.split())[-300:] or f"QEMU ended with {ran.code}"
        return Acceleration.TCG, said("acceleration.fails", device=device, why=words).text
    return Acceleration.KVM, said("acceleration.kvm", ms=ran.took_ms).text
