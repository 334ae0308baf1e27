"""The lab proves itself before anything is proved with it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cluster import LabCluster
from tests.lab.host import LabHost
from tests.lab.spaces import start_ticks, until

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


OWNERS = {
    "a host": (
        "from tests.lab.host import LabHost\n"
        "one = LabHost(pathlib.Path(sys.argv[1]))\n"
        "one.start()\n"
        "print(*one.processes(), flush=True)\n"
    ),
    "hosts on a switch": (
        "from tests.lab.cluster import LabCluster\n"
        "one = LabCluster(2, pathlib.Path(sys.argv[1]))\n"
        "one.start()\n"
        "one.switch.delay('h1', 5)\n"
        "hosts = [pid for host in one.hosts.values() for pid in host.processes()]\n"
        "print(*hosts, *one.switch.processes(), flush=True)\n"
    ),
}


@pytest.mark.parametrize("kind", OWNERS)
def test_all_of_it_ends_when_its_owner_is_killed(kind: str, tmp_path: Path) -> None:
    script = f"import sys, pathlib, signal\n{OWNERS[kind]}signal.pause()\n"
    here = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", script, str(tmp_path / "state")]
    with subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        processes = [int(pid) for pid in owner.stdout.readline().split()]
        assert len(processes) >= 3
        owner.send_signal(signal.SIGKILL)
    until(lambda: not [pid for pid in processes if start_ticks(pid)], 15, "all of its processes to end")


@pytest.fixture(scope="module")
def two() -> Iterator[LabCluster]:
    """Two hosts on a switch."""
    with LabCluster(2) as hosts:
        yield hosts


def reach(cluster: LabCluster) -> dict[str, float]:
    """Who gets an answer from the other over the management link, and after how many milliseconds."""
    found = {}
    for name in cluster.hosts:
        (other,) = cluster.others(name)
        said = cluster.hosts[name].exec("ping", "-n", "-c1", "-W1", cluster.hosts[other].address, check=False).stdout
        time_ms = re.search(r"time=([0-9.]+)", said)
        if time_ms:
            found[name] = float(time_ms[1])
    return found


def test_frames_are_lost_cut_off_and_late_as_they_are_told_to_be(two: LabCluster) -> None:
    until(lambda: set(reach(two)) == {"h1", "h2"}, 10, "both to reach each other")
    for fault in (lambda: two.switch.lose("h1", "h2"), lambda: two.switch.part("h1"), lambda: two.switch.pull("h2")):
        fault()
        assert reach(two) == {}
        two.switch.mend()
        until(lambda: set(reach(two)) == {"h1", "h2"}, 10, "both to reach each other again")
    two.switch.delay("h1", 40)
    assert all(80 <= time_ms < 400 for time_ms in until(lambda: reach(two), 10, "late answers").values())
    two.switch.part("h1")
    assert reach(two) == {}  # also while frames are late
    two.switch.mend()
    until(lambda: len(reach(two)) == 2 and max(reach(two).values()) < 60, 10, "answers in time")


def test_a_frame_is_lost_in_one_direction_only(two: LabCluster) -> None:
    until(lambda: len(reach(two)) == 2, 10, "both to reach each other")
    two.switch.lose("h1", "h2")
    counted = "cat /sys/class/net/mgmt0/statistics/rx_packets"
    before = [int(two.hosts[name].exec("sh", "-c", counted).stdout) for name in ("h1", "h2")]
    reach(two)
    after = [int(two.hosts[name].exec("sh", "-c", counted).stdout) for name in ("h1", "h2")]
    two.switch.mend()
    assert after[0] > before[0]
    assert after[1] == before[1]


def test_a_host_without_power_boots_again_with_its_disks(two: LabCluster) -> None:
    host = two.hosts["h2"]
    (host.root / "kept").write_text("on disk")
    gone = host.processes()
    host.power_off()
    assert not [pid for pid in gone if start_ticks(pid)]
    assert two.hosts["h1"].exec("ping", "-n", "-c1", "-W1", host.address, check=False).returncode
    host.start()
    assert (host.root / "kept").read_text() == "on disk"
    until(lambda: len(reach(two)) == 2, 10, "both to reach each other again")
