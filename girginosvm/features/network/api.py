"""The door of networks: addresses and MACs, allotted inside the transaction that needs them."""

import hashlib
import ipaddress

import msgspec

from girginosvm.core.errors import Conflict, Fault, Invalid, Missing, OverQuota
from girginosvm.features.network.addresses import Leased, lowest_free
from girginosvm.state.tx import Tx


class Lease(msgspec.Struct, frozen=True):
    """What a NIC got. ``address`` is empty on a network without a pool (the guest asks DHCP there)."""

    network: str
    bridge: str
    mac: str
    address: str
    mtu: int


def lease(tx: Tx, network: str, *, vm: str, nic: int, address: str = "") -> Lease:
    """The lowest free address of a network, or ``address`` when that is asked for and free."""
    row = tx.one("SELECT * FROM network WHERE id = ?", (network,))
    if row is None:
        raise Missing("network-missing", f"there is no network {network}")
    mac = _mac(tx, vm, nic)
    text = ""
    if row["cidr"]:
        number = _asked(tx, row, address) if address else _lowest(tx, row)
        text = str(ipaddress.IPv4Address(number))
        tx.insert("lease", network=network, address=number, text=text, mac=mac, vm=vm, nic=nic, at_ms=tx.at_ms)
    elif address:
        detail = f"network {row['name']} has no addresses of its own to hand out"
        raise Invalid("address-unmanaged", detail, faults=(Fault("/address", detail),))
    return Lease(network, row["bridge"], mac, text, row["mtu"])


def again(tx: Tx, bridge: str, *, vm: str, nic: int, mac: str, address: str) -> Lease:
    """For a machine that comes back to a cluster which did not have it any more: the network of its bridge, and its
    address booked anew, the lowest free one when nobody knows which it had. Conflict ``address-taken`` when somebody
    has that by now, ``bridge-unknown`` when no network is on the bridge, so that nobody could guard it."""
    row = tx.one("SELECT * FROM network WHERE bridge = ?", (bridge,))
    if row is None:
        raise Conflict(
            "bridge-unknown", f"its interface {mac} is on bridge {bridge}, which is of no network here",
            hint=f"add it first, with its addresses: girginosvm net pool add --name NAME --bridge {bridge}",
        )  # fmt: skip
    text = address
    if row["cidr"]:
        number = _held(tx, row, address) if address else _lowest(tx, row)
        text = str(ipaddress.IPv4Address(number))
        tx.insert("lease", network=row["id"], address=number, text=text, mac=mac, vm=vm, nic=nic, at_ms=tx.at_ms)
    return Lease(row["id"], bridge, mac, text, row["mtu"])


def release(tx: Tx, vm: str) -> None:
    """Give back all addresses of a machine."""
    tx.run("DELETE FROM lease WHERE vm = ?", (vm,))


def _lowest(tx: Tx, row: dict[str, object]) -> int:
    first, last = int(str(row["range_start"])), int(str(row["range_end"]))

    def leased(low: int, high: int) -> Leased:
        found = tx.one(
            "SELECT count(*) AS n, max(address) AS top FROM lease WHERE network = ? AND address BETWEEN ? AND ?",
            (row["id"], low, high),
        )
        return Leased(found["n"], found["top"]) if found else Leased(0, None)

    free = lowest_free(first, last, leased)
    if free is None:
        ends = f"{ipaddress.IPv4Address(first)} to {ipaddress.IPv4Address(last)}"
        raise OverQuota("addresses-exhausted", f"network {row['name']} has no free address in {ends}")
    return free


def _asked(tx: Tx, row: dict[str, object], address: str) -> int:
    try:
        wanted = ipaddress.IPv4Address(address)
    except ValueError as fault:
        detail = f"{address!r} is no IPv4 address"
        raise Invalid("address-invalid", detail, faults=(Fault("/address", detail),)) from fault
    if not int(str(row["range_start"])) <= int(wanted) <= int(str(row["range_end"])):
        detail = f"{wanted} is outside the range of network {row['name']}"
        raise Invalid("address-outside", detail, faults=(Fault("/address", detail),))
    _untaken(tx, row, wanted)
    return int(wanted)


def _held(tx: Tx, row: dict[str, object], address: str) -> int:
    """An address that a machine has already; the range is for those who ask."""
    wanted = ipaddress.IPv4Address(address)
    if wanted not in ipaddress.IPv4Network(str(row["cidr"])):
        raise Conflict("address-outside", f"its address {wanted} is none of network {row['name']} ({row['cidr']})")
    _untaken(tx, row, wanted)
    return int(wanted)


def _untaken(tx: Tx, row: dict[str, object], wanted: ipaddress.IPv4Address) -> None:
    taken = tx.one(
        "SELECT vm.id, vm.name FROM lease JOIN vm ON vm.id = lease.vm WHERE network = ? AND address = ?",
        (row["id"], int(wanted)),
    )
    if taken is not None:
        raise Conflict("address-taken", f"{wanted} is leased to machine {taken['name']} ({taken['id']})")


def _mac(tx: Tx, vm: str, nic: int) -> str:
    """52:54:00 (QEMU's locally used prefix) and 24 bits of the id, the next one when taken."""
    for attempt in range(256):
        digest = hashlib.sha256(f"{vm}/{nic}/{attempt}".encode()).digest()
        mac = "52:54:00:" + ":".join(f"{byte:02x}" for byte in digest[:3])
        if tx.one("SELECT 1 FROM vm_nic WHERE mac = ?", (mac,)) is None:
            return mac
    raise OverQuota("macs-exhausted", "no free MAC address was found in 256 tries")
