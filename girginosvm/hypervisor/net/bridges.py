"""Bridges through netlink (rtnetlink(7)); NAT by a small nftables table per bridge."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from girginosvm.core.errors import HostFault
from girginosvm.core.host import BridgeSpec, FoundBridge
from girginosvm.hypervisor.run import demand, run

_OURS: Final = "girginosvm"  # written as the link's alias: what we made, and may take away
_DEAF: Final = "no_linklocal_learn"
_LISTING_BYTES: Final = 16 << 20
T = TypeVar("T")


class NetlinkBridges:
    """See ``Bridges``."""

    async def observe(self) -> tuple[FoundBridge, ...]:
        """Every bridge, by name."""
        found = await asyncio.to_thread(_netlink, _observe)
        learning = await _learning() if found else frozenset()
        return tuple(msgspec.structs.replace(one, learns_unseen=one.name in learning) for one in found)

    async def ensure(self, spec: BridgeSpec) -> None:
        """Up, and with ``nat`` its gateway, forwarding and masquerading. It learns nothing from the frames that bridges
        keep to themselves (ip-link(8)): they pass no filter, so a guest could take another's place."""
        if spec.nat:  # before the address: whoever sees the gateway on the bridge takes the bridge for done
            _forward()
            await demand("nft", "-f", "-", stdin=nat_rules(spec).encode())
        await asyncio.to_thread(_netlink, lambda link: _ensure(link, spec))
        await demand("ip", "link", "set", "dev", spec.name, "type", "bridge", _DEAF, "1")

    async def remove(self, name: str) -> None:
        """Gone when it is ours and nothing is plugged in. Its NAT goes first: as long as the bridge is there, whoever
        looks next finds what a crash left to do."""
        if await asyncio.to_thread(_netlink, lambda link: _removable(link, name)):
            await run("nft", "delete", "table", "ip", nat_table(name))
            await asyncio.to_thread(_netlink, lambda link: _remove(link, name))


def nat_table(bridge: str) -> str:
    """The table of a bridge; hashed, since a bridge's name may have characters that nft's may not."""
    return "girginosvm_nat_" + hashlib.sha256(bridge.encode()).hexdigest()[:12]


def nat_rules(spec: BridgeSpec) -> str:
    """Masquerade what leaves by another device, let in only what was asked for. Pure."""
    table = nat_table(spec.name)
    net = ipaddress.IPv4Network(spec.cidr)
    return (
        f"table ip {table}\ndelete table ip {table}\ntable ip {table} {{\n"
        "  chain postrouting {\n    type nat hook postrouting priority 100; policy accept;\n"
        f'    ip saddr {net} oifname != "{spec.name}" masquerade\n  }}\n'
        "  chain forward {\n    type filter hook forward priority 0; policy accept;\n"
        f'    oifname "{spec.name}" iifname != "{spec.name}" ct state != {{ established, related }} drop\n'
        "  }\n}\n"
    )


async def _learning() -> frozenset[str]:
    """The bridges that are not deaf. By ip(8): pyroute2 does not know the option."""
    listed = await demand("ip", "-j", "-d", "link", "show", "type", "bridge", most_bytes=_LISTING_BYTES)
    links = json.loads(listed or "[]")
    return frozenset(one["ifname"] for one in links if not one["linkinfo"]["info_data"].get(_DEAF))


def _netlink(work: Callable[[Any], T]) -> T:
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPRoute() as link:
            return work(link)
    except (NetlinkError, OSError) as fault:
        raise HostFault("netlink", f"the kernel refused: {fault}") from fault


def _links(link: Any) -> list[Any]:
    return list(link.get_links())


def _kind(one: Any) -> str:
    info = one.get_attr("IFLA_LINKINFO")
    return str(info.get_attr("IFLA_INFO_KIND")) if info is not None else ""


def _observe(link: Any) -> tuple[FoundBridge, ...]:
    links = _links(link)
    addresses: dict[int, list[str]] = {}
    for one in link.get_addr(family=2):
        addresses.setdefault(one["index"], []).append(f"{one.get_attr('IFA_ADDRESS')}/{one['prefixlen']}")
    found = []
    for one in links:
        if _kind(one) != "bridge":
            continue
        ports = sorted(
            str(port.get_attr("IFLA_IFNAME")) for port in links if port.get_attr("IFLA_MASTER") == one["index"]
        )
        found.append(
            FoundBridge(
                str(one.get_attr("IFLA_IFNAME")), bool(one["flags"] & 1), tuple(addresses.get(one["index"], [])),
                tuple(ports), int(one.get_attr("IFLA_MTU")), one.get_attr("IFLA_IFALIAS") == _OURS,
            )
        )  # fmt: skip
    return tuple(sorted(found, key=lambda bridge: bridge.name))


def _ensure(link: Any, spec: BridgeSpec) -> None:
    index = _index(link, spec.name)
    if index is None:
        link.link("add", ifname=spec.name, kind="bridge", br_stp_state=0, br_forward_delay=0)
        index = _index(link, spec.name)
        if index is None:
            raise HostFault("bridge-failed", f"bridge {spec.name} did not come into being")
        link.link("set", index=index, IFLA_IFALIAS=_OURS, mtu=spec.mtu)
    elif not any(bridge.name == spec.name for bridge in _observe(link)):
        raise HostFault("bridge-taken", f"{spec.name} is a device of another kind")
    link.link("set", index=index, state="up")
    found = next(one for one in _observe(link) if one.name == spec.name)
    if found.ours and found.mtu != spec.mtu:
        link.link("set", index=index, mtu=spec.mtu)
    if spec.nat:
        _hold(link, index, found, spec)


def _hold(link: Any, index: int, found: FoundBridge, spec: BridgeSpec) -> None:
    """The gateway with its prefix; the same address with another prefix goes."""
    prefix = ipaddress.IPv4Network(spec.cidr).prefixlen
    if f"{spec.gateway}/{prefix}" not in found.addresses:
        link.addr("add", index=index, address=spec.gateway, prefixlen=prefix)
    for address, _, other in (one.partition("/") for one in found.addresses):
        if address == spec.gateway and int(other) != prefix:
            link.addr("del", index=index, address=address, prefixlen=int(other))


def _removable(link: Any, name: str) -> bool:
    found = next((bridge for bridge in _observe(link) if bridge.name == name), None)
    return found is None or (found.ours and not found.ports)


def _remove(link: Any, name: str) -> None:
    if _removable(link, name) and (index := _index(link, name)) is not None:
        link.link("del", index=index)


def _index(link: Any, name: str) -> int | None:
    found = link.link_lookup(ifname=name)
    return int(found[0]) if found else None


def _forward() -> None:
    with contextlib.suppress(OSError):  # a read-only /proc/sys: the administrator set it, or NAT will not work
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n", encoding="ascii")
