"""The lab proves itself before anything is proved with it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.host import LabHost, start_ticks, until

pytestmark = pytest.mark.lab

DOMAIN = """\
<domain type='qemu'>
  <name>{name}</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/></features>
  <cpu mode='custom'><model>qemu64</model></cpu>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
      <source file='{disk}'/><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/>
      <source file='{seed}'/><target dev='vdb' bus='virtio'/><readonly/></disk>
    <interface type='bridge'><source bridge='br-vsw'/><model type='virtio'/></interface>
    <serial type='pty'><log file='{log}'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
  </devices>
</domain>
"""
ADDRESS = "10.78.0.50"


def virsh(host: LabHost, *argv: str) -> str:
    done = subprocess.run(["virsh", "-q", "-c", host.uri, *argv], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def seed(folder: Path, name: str) -> Path:
    """A NoCloud seed made by another program than ours."""
    source = folder / "seed"
    source.mkdir()
    (source / "meta-data").write_text(f"instance-id: {name}\nlocal-hostname: {name}\n")
    (source / "user-data").write_text("#!/bin/sh\necho seeded >/www/seeded\n")
    (source / "network-config").write_text(
        f"version: 2\nethernets:\n  eth0:\n    addresses: [{ADDRESS}/24]\n    gateway4: 10.78.0.1\n"
    )
    image = folder / "seed.iso"
    subprocess.run(["genisoimage", "-quiet", "-V", "cidata", "-r", "-J", "-o", image, source], check=True)
    return image


def boot(host: LabHost, tiny: Path, name: str) -> Path:
    """Start the tiny guest from an overlay of its image; answers the serial log's path."""
    images = host.state / "libvirt/images"
    disk, log = images / f"{name}.qcow2", host.state / "log/serial.log"
    subprocess.run(["cp", tiny, images / "tiny.qcow2"], check=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", "tiny.qcow2", "-F", "qcow2", disk], check=True)
    inside = "/var/lib/libvirt/images"
    seed(images, name)
    xml = DOMAIN.format(
        name=name, disk=f"{inside}/{name}.qcow2", seed=f"{inside}/seed.iso", log="/var/log/libvirt/serial.log"
    )
    (host.state / "domain.xml").write_text(xml)
    virsh(host, "define", str(host.state / "domain.xml"))
    virsh(host, "start", name)
    return log


def test_the_tiny_guest_boots_and_answers_from_another_namespace(host: LabHost, tiny: Path) -> None:
    log = boot(host, tiny, "proof")
    until(lambda: host.pings(ADDRESS), 120, f"a ping from {ADDRESS}")
    until(lambda: "TINY READY proof" in log.read_text(errors="replace"), 60, "the boot line")
    assert f"TINY READY proof {ADDRESS}/24" in log.read_text(errors="replace")
    assert host.fetch(ADDRESS) == "tiny proof"
    assert host.fetch(ADDRESS, "/seeded") == "seeded"
    until(lambda: '"return"' in virsh(host, "qemu-agent-command", "proof", '{"execute":"guest-ping"}'), 10, "the agent")
    assert [Path(f"/proc/{pid}").stat().st_uid != 0 for pid in host.emulators()] == [True]
    virsh(host, "shutdown", "proof", "--mode", "acpi")
    until(lambda: virsh(host, "domstate", "proof") == "shut off", 60, "the power button to work")
    assert not host.pings(ADDRESS)


def test_libvirtd_killed_and_started_again_answers(host: LabHost) -> None:
    host.kill_libvirtd()
    host.start_libvirtd()
    assert virsh(host, "version")


def namespaces() -> set[str]:
    """The network and mount namespaces that any process of this machine lives in."""
    found = set()
    for entry in Path("/proc").iterdir():
        for kind in ("net", "mnt"):
            if entry.name.isdigit():
                try:
                    found.add(os.readlink(entry / "ns" / kind))
                except OSError:
                    continue
    return found


def test_nothing_is_left_of_a_host_after_its_end() -> None:
    mounts = Path("/proc/self/mounts").read_text()
    links = sorted(os.listdir("/sys/class/net"))
    before = namespaces()
    with LabHost() as host:
        state, processes = host.state, host.processes()
        assert len(processes) >= 3
        spaces = _of(processes)
        assert len(spaces - before) == 3  # its mounts, its network, and the outside's network
    assert not [pid for pid in processes if start_ticks(pid)]
    assert not state.exists()
    assert not (spaces - before) & namespaces()
    assert Path("/proc/self/mounts").read_text() == mounts
    assert sorted(os.listdir("/sys/class/net")) == links


def _of(pids: list[int]) -> set[str]:
    return {os.readlink(f"/proc/{pid}/ns/{kind}") for pid in pids if start_ticks(pid) for kind in ("net", "mnt")}


def test_a_host_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib, signal\n"
        "from tests.lab.host import LabHost\n"
        "host = LabHost(pathlib.Path(sys.argv[1]))\n"
        "host.start()\n"
        "print(*host.processes(), flush=True)\n"
        "signal.pause()\n"
    )
    here = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", script, str(tmp_path / "host")]
    with subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        processes = [int(pid) for pid in owner.stdout.readline().split()]
        assert len(processes) >= 3
        owner.send_signal(signal.SIGKILL)
    until(lambda: not [pid for pid in processes if start_ticks(pid)], 15, "the host's processes to end")
