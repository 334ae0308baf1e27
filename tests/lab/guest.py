"""The tiny guest: a 16 MB qcow2 made of distribution packages, which boots in seconds without acceleration.

It boots through BIOS and GRUB, takes its name and address from a NoCloud seed, answers ping and HTTP, runs the QEMU
guest agent, obeys the ACPI power button, has a root shell on the serial port and says ``TINY READY name ip`` there.
Made once and cached by the content of what makes it. Nothing is installed: packages are downloaded and unpacked.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache"
INIT = Path(__file__).with_name("guest-init.sh")
SIZE_MIB = 64

PACKAGES = (
    *("busybox-static", "grub-common", "grub-pc-bin", "qemu-guest-agent"),
    *("libglib2.0-0", "libc6", "libpcre2-8-0", "libnuma1", "liburing2", "libudev1"),
)
MODULES = (
    *("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk"),
    *("failover", "net_failover", "virtio_net", "virtio_console", "rng-core", "virtio-rng", "virtio_balloon"),
    *("evdev", "button", "cdrom", "isofs", "nls_ascii", "nls_cp437", "fat", "vfat", "crc16", "mbcache", "jbd2", "ext4"),
)
LIBRARIES = (
    *("libc.so.6", "libm.so.6", "libglib-2.0.so.0", "libgmodule-2.0.so.0", "libpcre2-8.so.0"),
    *("libnuma.so.1", "liburing.so.2", "libudev.so.1"),
)
GRUB = """\
serial --unit=0
terminal_output serial
set root=(hd0,msdos1)
linux /boot/vmlinuz console=ttyS0 quiet panic=-1
initrd /boot/initrd
boot
"""
SCRIPTS = {
    "power-off": '#!/bin/sh\necho "power button" >/dev/console\numount /disk\npoweroff -f\n',
    "dhcp-bound": (
        '#!/bin/sh\n[ "$1" = bound ] || exit 0\nip addr add $ip/$mask dev eth0\n'
        '[ -z "$router" ] || ip route add default via $router\n'
    ),
}


def run(*argv: str | Path, cwd: Path) -> str:
    """Run a program to its end; its output. CalledProcessError carries its own words."""
    return subprocess.run(argv, cwd=cwd, check=True, text=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL).stdout


def cached(name: str, *sources: Path) -> Path:
    """Where the cached file made by ``sources`` lies."""
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    stem, _, suffix = name.partition(".")
    return CACHE / f"{stem}-{digest[:16]}.{suffix}"


def tiny() -> Path:
    """The tiny guest's disk image; made in about 15 s when it is not in the cache."""
    image = cached("tiny.qcow2", Path(__file__), INIT)
    if image.exists():
        return image
    CACHE.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="tiny-", dir=CACHE))
    try:
        kernel = download(work, PACKAGES)
        files = work / "files"
        (files / "boot").mkdir(parents=True)
        (files / "boot/initrd").write_bytes(initrd(work, kernel))
        vmlinuz = next((work / kernel / "boot").glob("vmlinuz-*"))
        shutil.copy(vmlinuz, files / "boot/vmlinuz")
        run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", disk(work, files, SIZE_MIB), "made", cwd=work)
        os.replace(work / "made", image)
    finally:
        shutil.rmtree(work)
    return image


def download(work: Path, packages: tuple[str, ...]) -> str:
    """Download and unpack a kernel and ``packages``, each into a folder of its name; answers the kernel package's."""
    depends = run("apt-cache", "depends", "linux-image-cloud-amd64", cwd=work)
    kernel = re.search(r"Depends: (linux-image-\d\S+)", depends)
    if kernel is None:
        raise RuntimeError("apt knows no cloud kernel: run apt-get update")
    run("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", kernel[1], *packages, cwd=work)
    for package in work.glob("*.deb"):
        run("dpkg-deb", "-x", package, package.name.split("_")[0], cwd=work)
    return kernel[1]


def initrd(work: Path, kernel: str) -> bytes:
    """The whole guest as an initramfs."""
    tree = work / "initrd"
    for name in ("bin", "mod", "lib64", "lib/x86_64-linux-gnu", "disk", "seed", "www", "run", "tmp", "etc", "var/run"):
        (tree / name).mkdir(parents=True)
    shutil.copy(work / "busybox-static/bin/busybox", tree / "bin")
    shutil.copy(work / "qemu-guest-agent/usr/sbin/qemu-ga", tree / "bin")
    shutil.copy(next((work / "libc6").rglob("ld-linux-x86-64.so.2")), tree / "lib64")
    for library in LIBRARIES:
        found = next(path for folder in work.glob("lib*") for path in folder.rglob(library))
        shutil.copy(found, tree / "lib/x86_64-linux-gnu")
    copy_modules(work, kernel, tree, MODULES)
    for name, text in {"init": INIT.read_text(), **{f"bin/{key}": text for key, text in SCRIPTS.items()}}.items():
        (tree / name).write_text(text)
        (tree / name).chmod(0o755)
    return packed(tree)


def copy_modules(work: Path, kernel: str, tree: Path, modules: tuple[str, ...]) -> None:
    """The kernel's modules in ``/mod``, named so that they sort in the order they are loaded in."""
    for number, module in enumerate(modules):
        for found in (work / kernel).rglob(f"{module}.ko*"):
            run("strip", "--strip-debug", found, "-o", tree / f"mod/{number:02}-{module}.ko", cwd=work)


def packed(tree: Path) -> bytes:
    """``tree`` as an initramfs."""
    command = "find . | LC_ALL=C sort | cpio -o -H newc --quiet | gzip -9n"
    return subprocess.run(["sh", "-c", command], cwd=tree, check=True, stdout=subprocess.PIPE).stdout


def disk(work: Path, files: Path, size_mib: int) -> Path:
    """A raw disk that boots through BIOS: GRUB in the gap before one ext4 partition that holds ``files``."""
    grub = work / "grub-pc-bin/usr/lib/grub/i386-pc"
    (work / "early.cfg").write_text(GRUB)
    modules = ("biosdisk", "part_msdos", "ext2", "linux", "serial", "boot", "normal", "configfile")
    mkimage = (work / "grub-common/usr/bin/grub-mkimage", "-O", "i386-pc", "-d", grub, "-p", "/boot")
    run(*mkimage, "-c", "early.cfg", "-o", "core.img", *modules, cwd=work)
    raw = work / "disk.raw"
    with raw.open("wb") as file:
        file.truncate(size_mib << 20)
    options = ("-q", "-t", "ext4", "-O", "^metadata_csum_seed,^orphan_file", "-L", "root", "-E", "offset=1048576")
    run("mke2fs", *options, "-d", files, raw, f"{size_mib - 1}M", cwd=work)
    core = (work / "core.img").read_bytes()
    if len(core) > 2047 * 512:
        raise RuntimeError(f"GRUB's core is {len(core)} bytes, the gap before the partition is smaller")
    first, count = 2048, (size_mib - 1) * 2048
    with raw.open("r+b") as file:
        file.write((grub / "boot.img").read_bytes()[:440])
        file.seek(446)  # one active Linux partition; its old-style geometry is not used by anything
        file.write(struct.pack("<B3sB3sII", 0x80, b"\x20\x21\x00", 0x83, b"\xfe\xff\xff", first, count))
        file.seek(510)
        file.write(b"\x55\xaa")
        file.write(core)
    return raw
