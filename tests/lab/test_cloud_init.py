"""A real cloud-init in a real Debian reads our seed: what it made of it, seen from across the bridge and over SSH."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lab.host import LabHost
from tests.lab.product import NETWORK, Product
from tests.lab.spaces import until

pytestmark = pytest.mark.lab

GATEWAY = "10.78.0.1"  # the outside's address, so that it also answers
DNS = "10.78.0.53"
# Keys of the operator's own beside those of ``--ssh-key``: both kinds have to be let in. One host key is made instead
# of four, which takes seconds without acceleration.
USER_DATA = """\
#cloud-config
ssh_genkeytypes: [ed25519]
ssh_authorized_keys: ["{key}"]
write_files:
- path: /etc/written
  content: iyi günler
runcmd:
- echo ran >>/root/ran
"""
NO_HOST_KEYS = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")


class Guest(NamedTuple):
    """A Debian that runs; ``run`` is a command line in it, over SSH from across the bridge."""

    product: Product
    row: dict[str, object]
    run: Callable[..., str]


def key_pair(folder: Path, name: str) -> tuple[Path, str]:
    """A private key's file and its public key."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name], check=True)
    return folder / name, (folder / f"{name}.pub").read_text().strip()


def ssh(host: LabHost, key: Path, address: str, command: str) -> subprocess.CompletedProcess[str]:
    """Log in from the second namespace as the user that Debian's images have; 255 when nobody lets us in."""
    login = ("-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-F", "none")
    return host.outside("ssh", *login, *NO_HOST_KEYS, f"debian@{address}", command, check=False, timeout=120)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """Key pairs: one for ``--ssh-key``, one for the operator's user-data, one that nobody knows."""
    folder = tmp_path_factory.mktemp("keys")
    return {name: key_pair(folder, name) for name in ("flag", "own", "stranger")}


@pytest.fixture(scope="module")
def guest(
    host: LabHost, debian: Path, keys: dict[str, tuple[Path, str]], tmp_path_factory: pytest.TempPathFactory
) -> Guest:
    """girginosvm with a Debian from its signed mirror, up to the end of cloud-init's work."""
    product = Product(host)
    product.prepare({"debian": debian}, uefi=frozenset({"debian"}))
    product.start()
    product("image", "pull", "debian")
    product("net", "pool", "add", *NETWORK, "--dns", DNS)
    user_data = tmp_path_factory.mktemp("seed") / "user-data"
    user_data.write_text(USER_DATA.format(key=keys["own"][1]), encoding="utf-8")
    options = ("--network", "lab", "--vcpu", "2", "--memory", "1024", "--disk", "3")
    login = ("--ssh-key", keys["flag"][1], "--user-data", str(user_data))
    product("vm", "create", "--name", "real", "--image", "debian", *options, *login)
    row = product.wait_state("real", "running")
    address = str(row["addresses"][0])

    def run(command: str) -> str:
        done = ssh(host, keys["flag"][0], address, command)
        assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    settle(host, keys["flag"][0], address)
    return Guest(product, row, run)


def settle(host: LabHost, key: Path, address: str) -> None:
    """Until the guest lets us in and its cloud-init has ended, well or not."""
    until(lambda: host.pings(address), 180, f"a ping from {address}")
    until(lambda: ssh(host, key, address, "true").returncode == 0, 120, f"a login at {address}")
    ssh(host, key, address, "cloud-init status --wait")


def test_cloud_init_takes_our_seed_without_a_word_of_complaint(guest: Guest) -> None:
    status = guest.run("cloud-init status --long")
    assert "status: done" in status
    assert "DataSourceNoCloud [seed=/dev/vdb]" in status
    assert guest.run("sudo cloud-init schema --system").splitlines() == ["Valid cloud-config: system userdata"]
    log = guest.run("sudo cat /var/log/cloud-init.log")
    assert [
        line for line in log.splitlines() if "WARN" in line or "ERROR" in line or "deprecated" in line.lower()
    ] == []


def test_the_machine_is_called_by_its_name(guest: Guest) -> None:
    assert guest.run("hostname") == "real"


def test_address_gateway_and_name_server_are_those_of_the_lease(guest: Guest) -> None:
    links = json.loads(guest.run("ip -j -4 address show scope global"))
    (lease,) = guest.product("ipam", "leases")
    found = [(link["ifname"], one["local"], one["prefixlen"]) for link in links for one in link["addr_info"]]
    assert found == [("eth0", lease["address"], 24)]
    assert [lease["address"]] == guest.row["addresses"]
    assert [guest.run("cat /sys/class/net/eth0/address")] == guest.row["macs"]
    (route,) = json.loads(guest.run("ip -j route show default"))
    assert (route["gateway"], route["dev"]) == (GATEWAY, "eth0")
    assert guest.run("resolvectl dns eth0").split()[-1] == DNS


def test_other_distributions_write_the_same_gateway_from_our_seed(guest: Guest) -> None:
    """AlmaLinux has no netplan: cloud-init translates there, which it does here for us to see."""
    convert = "cloud-init devel net-convert --directory /tmp/out --kind yaml --network-data /tmp/network-config"
    guest.run("sudo mount -o ro /dev/vdb /mnt && cp /mnt/network-config /tmp && sudo umount /mnt")
    guest.run(
        f"{convert} --distro rhel --output-kind sysconfig && {convert} --distro rhel --output-kind network-manager"
    )
    written = guest.run("cat /tmp/out/etc/sysconfig/network-scripts/ifcfg-eth0")
    assert {f"GATEWAY={GATEWAY}", "DEFROUTE=yes", f"DNS1={DNS}"} <= set(written.splitlines())
    assert f"0.0.0.0/0,{GATEWAY}" in guest.run("cat /tmp/out/etc/NetworkManager/system-connections/*eth0*")


def test_the_keys_of_the_flag_and_of_the_user_data_let_in_and_no_others(
    guest: Guest, keys: dict[str, tuple[Path, str]]
) -> None:
    (address,) = guest.row["addresses"]  # type: ignore[misc]
    let_in = [name for name, (key, _) in keys.items() if ssh(guest.product.host, key, address, "true").returncode == 0]
    assert let_in == ["flag", "own"]


def test_the_operators_user_data_was_carried_out(guest: Guest) -> None:
    assert guest.run("cat /etc/written") == "iyi günler"
    assert guest.run("sudo cat /root/ran") == "ran"


def test_the_disk_has_the_size_that_was_asked_for(guest: Guest) -> None:
    blocks = int(guest.run("findmnt --noheadings --bytes --output SIZE /"))
    assert blocks > 2.5 * 2**30  # of 3 GiB; the image's own file system has less than one


def test_the_serial_port_tells_what_the_guest_says(guest: Guest) -> None:
    said = guest.product.text("vm", "serial", "real")
    assert "Datasource DataSourceNoCloud" in said
    assert "real login:" in said


def test_a_stop_by_the_guest_agent_and_a_start_are_no_new_instance(
    guest: Guest, keys: dict[str, tuple[Path, str]]
) -> None:
    product = guest.product
    until(lambda: product("vm", "show", "real")["agent"], 30, "the guest agent to be shown")
    before = guest.run("cat /proc/sys/kernel/random/boot_id; cat /etc/ssh/ssh_host_*.pub").splitlines()
    product("vm", "stop", "real", "--graceful")
    product.wait_state("real", "stopped")
    product("vm", "start", "real")
    product.wait_state("real", "running")
    settle(product.host, keys["flag"][0], str(guest.row["addresses"][0]))  # type: ignore[index]
    after = guest.run("cat /proc/sys/kernel/random/boot_id; cat /etc/ssh/ssh_host_*.pub").splitlines()
    assert after[0] != before[0]
    assert after[1:] == before[1:]
    assert guest.run("sudo cat /root/ran") == "ran"
    assert "status: done" in guest.run("cloud-init status --long")
