"""What a test level needs from this machine. Something missing fails the run: nothing is ever skipped for it."""

from __future__ import annotations

import os
import shutil
import sys

COMMANDS = {
    "unit": (),
    "host": ("libvirtd", "virsh", "qemu-system-x86_64", "qemu-img", "nft", "ip", "chromium"),
    "lab": (
        *("libvirtd", "virsh", "qemu-system-x86_64", "qemu-img", "nft", "ip", "nsenter", "unshare", "ping"),
        *("apt-get", "dpkg-deb", "cpio", "mke2fs", "debootstrap", "objcopy", "depmod", "ssh"),
    ),
}


def missing(level: str) -> list[str]:
    """Sentences about what is missing for ``level`` (unit, host, lab or all); empty when the level can run."""
    levels = list(COMMANDS) if level == "all" else [level]
    needed = sorted({command for one in levels for command in COMMANDS[one]})
    found = [f"the command {command} is not installed" for command in needed if not shutil.which(command)]
    if levels != ["unit"] and os.geteuid() != 0:
        found.append("root is needed: the tests make namespaces and start libvirtd")
    return found


def main() -> int:
    """Print what is missing; the exit status says whether the level can run."""
    level = sys.argv[1]
    faults = missing(level)
    for fault in faults:
        print(f"LEVEL={level} cannot run: {fault} (build/setup.sh installs it)", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
