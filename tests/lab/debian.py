"""A real Debian 12 with cloud-init, for the tests that no tiny guest can stand in for.

debootstrap makes it; as in Debian's own cloud images netplan, systemd-networkd and systemd-resolved carry the network,
and cloud-init has the settings of its package. It boots through UEFI: a unified kernel image on an EFI system
partition. No loop device is needed and nothing is installed on this machine. Made once, cached by the content of what
makes it.
"""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
from pathlib import Path

from tests.lab import guest

MIRROR = "http://deb.debian.org/debian"
PACKAGES = (
    *("systemd-sysv", "udev", "kmod", "dbus", "cloud-init", "cloud-guest-utils", "netplan.io", "systemd-resolved"),
    *("openssh-server", "sudo", "qemu-guest-agent"),
    "python3-cffi-backend",  # cloud-init needs it by a virtual name, and those debootstrap does not know
)
TOOLS = ("busybox-static", "mtools", "systemd-boot-efi")
MODULES = ("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk")
INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
for module in /mod/* /mod/*; do insmod "$module" 2>/dev/null; done
while [ ! -e /dev/vda2 ]; do usleep 10000; done
mount -t ext4 /dev/vda2 /root
mount -o move /dev /root/dev
exec switch_root /root /sbin/init
"""
COMMAND_LINE = "console=ttyS0 quiet panic=-1 mitigations=off"
# Where systemd's stub expects the parts of a unified kernel image: far enough apart not to overlap.
SECTIONS = {".cmdline": ("cmdline", 0x30000), ".linux": ("vmlinuz", 0x2000000), ".initrd": ("initrd.gz", 0x3000000)}
# Work that a guest of a few minutes has no use for.
MASKED = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"),
    *("e2scrub_reap.service", "systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount"),
)
UNNEEDED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/lib/apt/lists", "var/cache/apt")

ESP_MIB, ROOT_MIB = 32, 1024


def debian() -> Path:
    """The disk image; made in about 90 s when it is not in the cache, most of it debootstrap's."""
    image = guest.cached("debian.qcow2", Path(__file__), Path(guest.__file__))
    if image.exists():
        return image
    guest.CACHE.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="debian-", dir=guest.CACHE))
    try:
        kernel = guest.download(work, TOOLS)
        root = bootstrap(work)
        furnish(root)
        shutil.copytree(work / kernel / "lib/modules", root / "usr/lib/modules")
        guest.run("depmod", "-b", root, kernel.removeprefix("linux-image-"), cwd=work)
        raw = disk(work, esp(work, unified_kernel(work, kernel)), root)
        guest.run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, "made", cwd=work)
        os.replace(work / "made", image)
    finally:
        shutil.rmtree(work)
    return image


def bootstrap(work: Path) -> Path:
    """Install Debian into a folder. debootstrap's mounts and what its scripts start end with its namespaces."""
    root = work / "root"
    spaces = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private")
    include = f"--include={','.join(PACKAGES)}"
    spaces = (*spaces, "env", "DPKG_FORCE=unsafe-io")  # half of an installation is waiting for the disk, see dpkg(1)
    guest.run(*spaces, "debootstrap", "--variant=minbase", include, "bookworm", root, MIRROR, cwd=work)
    return root


def furnish(root: Path) -> None:
    """An image instead of a machine: no identity of its own, nothing that comes from the machine that made it."""
    for name in ("etc/hostname", "etc/resolv.conf", *UNNEEDED):
        path = root / name
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)
    for key in root.glob("etc/ssh/ssh_host_*"):
        key.unlink()
    (root / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    (root / "etc/machine-id").write_text("")
    # As in Debian's images: its cloud-init asks for en_US, which nobody generated.
    (root / "etc/cloud/cloud.cfg.d/01_image.cfg").write_text("locale: C.UTF-8\n")
    (root / "etc/fstab").write_text("LABEL=root / ext4 rw,discard 0 0\n")
    for unit in MASKED:
        (root / "etc/systemd/system" / unit).symlink_to("/dev/null")


def unified_kernel(work: Path, kernel: str) -> Path:
    """Kernel, command line and an initramfs that only mounts the disk, as one EFI program."""
    tree = work / "initrd"
    for name in ("bin", "mod", "dev", "root"):
        (tree / name).mkdir(parents=True)
    shutil.copy(work / "busybox-static/bin/busybox", tree / "bin")
    guest.copy_modules(work, kernel, tree, MODULES)
    (tree / "init").write_text(INIT)
    (tree / "init").chmod(0o755)
    (work / "initrd.gz").write_bytes(guest.packed(tree))
    (work / "cmdline").write_text(COMMAND_LINE)
    shutil.copy(next((work / kernel / "boot").glob("vmlinuz-*")), work / "vmlinuz")
    words = []
    for section, (file, address) in SECTIONS.items():
        words += ["--add-section", f"{section}={file}", "--change-section-vma", f"{section}={address:#x}"]
    stub = work / "systemd-boot-efi/usr/lib/systemd/boot/efi/linuxx64.efi.stub"
    guest.run("objcopy", *words, stub, "BOOTX64.EFI", cwd=work)
    return work / "BOOTX64.EFI"


def esp(work: Path, program: Path) -> Path:
    """A FAT file system with ``program`` where firmware looks for it on a disk that it does not know."""
    image = work / "esp.raw"
    with image.open("wb") as file:
        file.truncate(ESP_MIB << 20)
    tools = work / "mtools/usr/bin"
    guest.run(tools / "mformat", "-i", image, "-T", str(ESP_MIB * 2048), "-h", "64", "-s", "32", "::", cwd=work)
    guest.run(tools / "mmd", "-i", image, "::/EFI", "::/EFI/BOOT", cwd=work)
    guest.run(tools / "mcopy", "-i", image, program, "::/EFI/BOOT/BOOTX64.EFI", cwd=work)
    return image


def disk(work: Path, esp: Path, root: Path) -> Path:
    """A raw disk of two partitions: the EFI system partition, then an ext4 with ``root``, which may grow."""
    raw = work / "disk.raw"
    start_mib = 1 + ESP_MIB
    options = ("-q", "-t", "ext4", "-L", "root", "-E", f"offset={start_mib << 20}", "-d", root)
    with raw.open("wb") as file:
        file.truncate((start_mib + ROOT_MIB) << 20)
    guest.run("mke2fs", *options, raw, f"{ROOT_MIB}M", cwd=work)
    with raw.open("r+b") as file:
        file.seek(446)  # two entries of an MBR; their old-style geometry is not used by anything
        for kind, first_mib, size_mib in ((0xEF, 1, ESP_MIB), (0x83, start_mib, ROOT_MIB)):
            file.write(struct.pack("<B3sB3sII", 0, b"", kind, b"", first_mib * 2048, size_mib * 2048))
        file.seek(510)
        file.write(b"\x55\xaa")
        file.seek(1 << 20)
        file.write(esp.read_bytes())
    return raw
