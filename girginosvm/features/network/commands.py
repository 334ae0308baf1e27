"""Writing networks."""

import ipaddress
from typing import Annotated, Literal

import msgspec

from girginosvm.core.action import Command, action
from girginosvm.core.errors import Conflict, Fault, InUse, Invalid, Missing
from girginosvm.core.fields import Name, Ref, field
from girginosvm.state.tx import Tx

_ADDRESS = r"^$|^[0-9]{1,3}(\.[0-9]{1,3}){3}$"
_ADDRESS_WANTS = "an IPv4 address, as 192.0.2.1"
_DEVICE = r"^[A-Za-z][A-Za-z0-9_.-]{0,14}$"
_DEVICE_WANTS = "a letter, then letters, digits and _ . -, 15 characters at most"


def _invalid(pointer: str, detail: str) -> Invalid:
    return Invalid("network-invalid", detail, faults=(Fault(pointer, detail),))


@action(
    "POST /v1/networks",
    cli="net pool add",
    permission="network.create",
    summary="Add a network with its address pool",
    audit="added network {name}",
    answers=dict[str, str],
    status=201,
    examples=("girginosvm net pool add --name pub-eu --cidr 49.12.158.176/29 --gateway 49.12.158.177 --bridge br-vsw",),
)
class AddNetwork(Command, frozen=True, kw_only=True):
    """A bridge and the addresses that machines on it get."""

    name: Annotated[Name, field("Name of the network.")]
    bridge: Annotated[str, field("Linux bridge on each node.", pattern=_DEVICE, wants=_DEVICE_WANTS)]
    cidr: Annotated[
        str, field("IPv4 network, as 192.0.2.0/24; empty: addresses come from elsewhere.", max_length=18)
    ] = ""
    gateway: Annotated[
        str, field("The guests' router; inside the network.", pattern=_ADDRESS, wants=_ADDRESS_WANTS)
    ] = ""
    range_start: Annotated[str, field("First address to hand out.", pattern=_ADDRESS, wants=_ADDRESS_WANTS)] = ""
    range_end: Annotated[str, field("Last address to hand out.", pattern=_ADDRESS, wants=_ADDRESS_WANTS)] = ""
    kind: Annotated[
        Literal["bridge", "nat"], field("`nat`: the node routes and masquerades; `bridge`: somebody else does.")
    ] = "bridge"
    dns: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=45)], ...], field("Name servers.", max_length=4)] = ()
    vlan: Annotated[int, field("VLAN id; 0: untagged. Only 0 is built so far.", ge=0, le=4094)] = 0
    mtu: Annotated[int, field("Largest packet, bytes.", ge=576, le=9216)] = 1500

    def apply(self, tx: Tx) -> dict[str, str]:
        if self.vlan:
            raise _invalid("/vlan", "VLANs are not built yet: only 0 (untagged) is accepted")
        if self.bridge.startswith("gvm"):
            raise _invalid("/bridge", "names that begin with gvm are the machines' own devices")
        start, end = self._range()
        for server in self.dns:
            _address("/dns", server)
        same = tx.one("SELECT * FROM network WHERE name = ? OR bridge = ? ORDER BY id", (self.name, self.bridge))
        if same is not None:
            raise Conflict("network-exists", f"network {same['name']} uses bridge {same['bridge']}")
        network = tx.new_id()
        tx.insert(
            "network", id=network, created_index=tx.index, name=self.name, kind=self.kind, bridge=self.bridge,
            cidr=self.cidr, gateway=self.gateway, range_start=start, range_end=end,
            dns=msgspec.json.encode(self.dns).decode(), mtu=self.mtu,
        )  # fmt: skip
        tx.event("network.added", "network", network, f"added network {self.name} on {self.bridge}")
        return {"network": network}

    def _range(self) -> tuple[int, int]:
        if not self.cidr:
            if self.gateway or self.range_start or self.range_end or self.kind == "nat":
                raise _invalid("/cidr", "a gateway, a range or NAT needs the network they belong to")
            return 0, 0
        try:
            net = ipaddress.IPv4Network(self.cidr)
        except ValueError as fault:
            raise _invalid("/cidr", f"{self.cidr!r} is no IPv4 network: {fault}") from fault
        if net.prefixlen > 30:
            raise _invalid("/cidr", f"{net} has no room for a gateway and a guest")
        first, last = int(net.network_address) + 1, int(net.broadcast_address) - 1
        gateway = _address("/gateway", self.gateway) if self.gateway else None
        if gateway is None and self.kind == "nat":
            raise _invalid("/gateway", "a NAT network needs a gateway: the node's own address in it")
        if gateway is not None and not first <= gateway <= last:
            raise _invalid("/gateway", f"the gateway {self.gateway} is not inside {net}")
        start = _address("/range_start", self.range_start) if self.range_start else first
        end = _address("/range_end", self.range_end) if self.range_end else last
        if not first <= start <= end <= last:
            raise _invalid("/range_start", f"the range has to lie inside {net}, first before last")
        if gateway is not None and start <= gateway <= end:
            if gateway == start:
                start += 1
            elif gateway == end:
                end -= 1
            else:
                raise _invalid("/range_start", f"the range {start} to {end} includes the gateway {self.gateway}")
        if start > end:
            raise _invalid("/range_start", "no address is left beside the gateway")
        return start, end


def _address(pointer: str, text: str) -> int:
    try:
        return int(ipaddress.IPv4Address(text))
    except ValueError as fault:
        raise _invalid(pointer, f"{text!r} is no IPv4 address") from fault


@action(
    "DELETE /v1/networks/{network}",
    cli="net pool rm",
    permission="network.delete",
    summary="Remove a network that no machine uses",
    audit="removed network {network}",
    answers=dict[str, str],
)
class RemoveNetwork(Command, frozen=True, kw_only=True):
    """Forget a network; nodes take its bridge away when it is theirs."""

    network: Annotated[Ref, field("Network.", ref="network")]

    def apply(self, tx: Tx) -> dict[str, str]:
        row = tx.one("SELECT * FROM network WHERE id = ?", (self.network,))
        if row is None:
            raise Missing("network-missing", f"there is no network {self.network}")
        used = tx.one("SELECT count(*) AS n FROM vm_nic WHERE network = ?", (self.network,))
        if used and used["n"]:
            raise InUse("network-in-use", f"{used['n']} interfaces are plugged into network {row['name']}")
        tx.run("DELETE FROM network WHERE id = ?", (self.network,))
        tx.event("network.removed", "network", self.network, f"removed network {row['name']}")
        return {"network": self.network}
