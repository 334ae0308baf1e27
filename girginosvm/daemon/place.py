"""Where this node is, as the others see it."""

from __future__ import annotations

import ipaddress

import msgspec

from girginosvm.core.errors import HostFault, Invalid
from girginosvm.core.settings import Settings
from girginosvm.daemon.identity import Member


class Place(msgspec.Struct, frozen=True):
    """How this node is called, and where the others reach it (IP:port); empty while it has no such address."""

    member: str
    cluster: str
    name: str
    raft: str = ""
    api: str = ""


def place_of(config: Settings, me: Member, name: str, addresses: tuple[str, ...], *, port: int) -> Place:
    """Of the addresses that the host has, the one that is set, or the first that others can reach."""
    wanted = config.address or next((one for one in addresses if _reachable(one)), "")
    if not wanted:
        return Place(me.member, me.cluster, name)
    try:
        host = ipaddress.ip_address(wanted)
    except ValueError as fault:
        raise Invalid("settings-invalid", f"address: {wanted!r} is no IP address") from fault
    text = f"[{host}]" if host.version == 6 else str(host)
    return Place(me.member, me.cluster, name, f"{text}:{config.raft_port}", f"{text}:{port}")


def _reachable(text: str) -> bool:
    try:
        one = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (one.is_loopback or one.is_link_local or one.is_unspecified or one.is_multicast)


def reachable_at(place: Place) -> Place:
    """The same; HostFault ``address-missing`` when nobody could reach it."""
    if not place.raft:
        raise HostFault(
            "address-missing", "this node has no address that other nodes could reach",
            hint="set address in girginosvm.toml to the IP address that the other nodes reach it by",
        )  # fmt: skip
    return place
