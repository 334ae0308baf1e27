"""Reading networks and leases."""

import ipaddress
from typing import Annotated, Any, Final

import msgspec

from girginosvm.core.action import Page, Query, action
from girginosvm.core.errors import Missing
from girginosvm.core.fields import Ref, field
from girginosvm.features.times import rfc3339
from girginosvm.state.page import page
from girginosvm.state.reader import Reader


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """A bridge and its pool of addresses. ``ipv6``: `dropped` at the guests' taps where addresses are handed out (they
    are IPv4, and another address would be a spoofed one), else `passes`."""

    id: str
    name: str
    kind: str
    bridge: str
    cidr: str
    gateway: str
    range_start: str
    range_end: str
    dns: list[str]
    ipv6: str
    mtu: int
    leased: int
    free: int


class Networks(msgspec.Struct, frozen=True):
    """A page of networks."""

    items: list[Network]
    next: str
    applied_index: int


class Leased(msgspec.Struct, frozen=True, kw_only=True):
    """An address and who has it."""

    id: str
    address: str
    mac: str
    network: str
    vm: str
    vm_id: str
    since: str


class Leases(msgspec.Struct, frozen=True):
    """A page of leases."""

    items: list[Leased]
    next: str
    applied_index: int


_SQL: Final = "SELECT network.*, (SELECT count(*) FROM lease WHERE lease.network = network.id) AS leased FROM network"
_LEASES: Final = """
SELECT lease.text AS id, lease.address AS created_index, lease.text, lease.mac, lease.vm, lease.at_ms,
  network.name AS network_name, vm.name AS vm_name
FROM lease JOIN network ON network.id = lease.network JOIN vm ON vm.id = lease.vm"""
COLUMNS: Final = {name: name for name in ("id", "name", "kind", "bridge", "cidr", "gateway", "leased")}


def _text(address: int) -> str:
    return str(ipaddress.IPv4Address(address)) if address else ""


def shown(row: dict[str, Any]) -> Network:
    """A row as its public form."""
    size = row["range_end"] - row["range_start"] + 1 if row["cidr"] else 0
    return Network(
        id=row["id"], name=row["name"], kind=row["kind"], bridge=row["bridge"], cidr=row["cidr"],
        gateway=row["gateway"], range_start=_text(row["range_start"]), range_end=_text(row["range_end"]),
        dns=msgspec.json.decode(row["dns"]), ipv6="dropped" if row["cidr"] else "passes", mtu=row["mtu"],
        leased=row["leased"], free=size - row["leased"],
    )  # fmt: skip


def resolve(reader: Reader, text: str) -> str | None:
    """A network's id by name, bridge or id: the manual names networks by their bridge."""
    sql = "SELECT id FROM network WHERE id = ? OR name = ? OR bridge = ? ORDER BY name <> ?, id"
    row = reader.one(sql, (text, text, text, text))
    return row["id"] if row else None


@action("GET /v1/networks", cli="net list", permission="network.read", summary="List networks", answers=Networks)
class ListNetworks(Page, frozen=True, kw_only=True):
    """A page of networks."""

    def fetch(self, reader: Reader) -> Networks:
        found, following = page(reader, _SQL, COLUMNS, self)
        return Networks([shown(row) for row in found], following, reader.applied_index)


@action(
    "GET /v1/networks/{network}", cli="net show", permission="network.read", summary="Show one network", answers=Network
)
class ShowNetwork(Query, frozen=True, kw_only=True):
    """One network."""

    rows = (("network", "id"), ("lease", "network"))
    network: Annotated[Ref, field("Network.", ref="network")]

    def fetch(self, reader: Reader) -> Network:
        row = reader.one(f"SELECT * FROM ({_SQL}) WHERE id = ?", (self.network,))
        if row is None:
            raise Missing("network-missing", f"there is no network {self.network}")
        return shown(row)


@action(
    "GET /v1/leases",
    cli="ipam leases",
    permission="network.read",
    summary="List addresses and who has them",
    answers=Leases,
)
class ListLeases(Page, frozen=True, kw_only=True):
    """A page of leases."""

    def fetch(self, reader: Reader) -> Leases:
        names = {"id": "id", "address": "text", "mac": "mac", "network": "network_name", "vm": "vm_name", "vm_id": "vm"}
        found, following = page(reader, _LEASES, names, self)
        items = [
            Leased(
                id=row["id"], address=row["text"], mac=row["mac"], network=row["network_name"], vm=row["vm_name"],
                vm_id=row["vm"], since=rfc3339(row["at_ms"]),
            )
            for row in found
        ]  # fmt: skip
        return Leases(items, following, reader.applied_index)
