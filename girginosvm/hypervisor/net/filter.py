"""Anti-spoofing at the taps: nftables (nft(8)), family bridge, one table of ours, each change one transaction.

A frame from a tap named ``gvm*`` passes only through that tap's own chain; a tap without one is dropped whole. The
chain is looked up by name in a verdict map, so its cost does not grow with the machines on the host. A change touches
the changed taps only: while a whole table is replaced, a look-up under way may find nothing in the set it began in,
and an honest frame is lost.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
from typing import Any, Final

from girginosvm.core.errors import HostFault
from girginosvm.core.host import Guard
from girginosvm.hypervisor.run import demand, run

TABLE: Final = "girginosvm"
# What a guest may never reach on its host: Raft, panel, center, portal; DRBD; migration and NBD.
CLOSED_PORTS: Final = "{ 1995-1998, 7789-7988, 49152-49215, 16509, 16514 }"

# The same without the range that the host's own questions are asked from (ip_local_port_range).
CLOSED_UDP: Final = "{ 1995-1998, 7789-7988, 16509, 16514 }"

# Frames of guests carry this bit, so that the host's own input can tell them by the time they are packets.
MARK: Final = "0x04000000"
# The group addresses that bridges keep to themselves.
LINK_LOCAL: Final = "01:80:c2:00:00:00-01:80:c2:00:00:0f"
# A guard is listed in about 3 KB.
_LISTING_BYTES: Final = 64 << 20
_TAP: Final = re.compile(r"gvm[A-Za-z0-9_]{1,12}")
_MAC: Final = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def _check(guard: Guard) -> None:
    """HostFault ``guard-invalid`` for what would not be one word of a rule."""
    if not _TAP.fullmatch(guard.tap) or not _MAC.fullmatch(guard.mac):
        raise HostFault("guard-invalid", f"no guard for tap {guard.tap!r} with MAC {guard.mac!r}")
    try:
        for address in guard.addresses:
            ipaddress.IPv4Address(address)
    except ValueError as fault:
        raise HostFault("guard-invalid", f"guard of {guard.tap}: {fault}") from fault


def ruleset(guards: tuple[Guard, ...]) -> str:
    """Both tables, whole, as nft text. Pure; the order is the guards'."""
    return (
        f"table bridge {TABLE}\ndelete table bridge {TABLE}\ntable bridge {TABLE} {{\n{_chains(guards)}{_map(guards)}"
        "  chain guests {\n    iifname vmap @taps\n    drop\n  }\n"
        "  chain prerouting {\n    type filter hook prerouting priority -300; policy accept;\n"
        f'    iifname "gvm*" meta mark set meta mark or {MARK}\n    iifname "gvm*" jump guests\n  }}\n'
        # Frames to the bridge itself (IEEE 802.1Q 8.6.3) come past prerouting: a guest takes no part in spanning trees.
        "  chain input {\n    type filter hook input priority -300; policy accept;\n"
        f'    iifname "gvm*" ether daddr {LINK_LOCAL} drop\n  }}\n}}\n'
        # For the host itself, not what it routes; new connections only, since its own ones use such ports too.
        f"table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n"
        "  chain input {\n    type filter hook input priority -10; policy accept;\n"
        f"    meta mark and {MARK} == {MARK} tcp dport {CLOSED_PORTS} tcp flags & (syn | ack) == syn drop\n"
        f"    meta mark and {MARK} == {MARK} udp dport {CLOSED_UDP} drop\n  }}\n}}\n"
    )


def change(held: tuple[Guard, ...], wanted: tuple[Guard, ...]) -> str:
    """From one set of guards to another, as nft text; empty when they are the same. Pure."""
    before = {guard.tap: guard for guard in held}
    after = {guard.tap: guard for guard in wanted}
    text = ""
    for tap in before.keys() - after.keys():
        text += f'delete element bridge {TABLE} taps {{ "{tap}" }}\ndelete chain bridge {TABLE} tap_{tap}\n'
    new = tuple(guard for guard in wanted if before.get(guard.tap) != guard)
    text += "".join(f"flush chain bridge {TABLE} tap_{guard.tap}\n" for guard in new if guard.tap in before)
    if new:
        added = tuple(guard for guard in new if guard.tap not in before)
        text += f"table bridge {TABLE} {{\n{_chains(new)}{_map(added)}}}\n"
    return text


def _chains(guards: tuple[Guard, ...]) -> str:
    for guard in guards:
        _check(guard)
    return "".join(_chain(guard) for guard in guards)


def _map(guards: tuple[Guard, ...]) -> str:
    taps = ", ".join(f'"{guard.tap}" : jump tap_{guard.tap}' for guard in guards)
    elements = f"    elements = {{ {taps} }}\n" if guards else ""
    return f"  map taps {{\n    type ifname : verdict\n{elements}  }}\n"


def _chain(guard: Guard) -> str:
    note = f"{guard.mac} {','.join(guard.addresses)}"
    lines = [f'ether saddr != {guard.mac} drop comment "{note}"', *_no_server(guard.mac)]
    if guard.addresses:
        own = "{ " + ", ".join(guard.addresses) + " }"
        probing = "{ " + ", ".join(("0.0.0.0", *guard.addresses)) + " }"
        lines += [
            # 0.0.0.0: address probes (RFC 5227 2.1.1)
            f"ether type arp arp saddr ether {guard.mac} arp saddr ip {probing} accept",
            "ether type ip ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept",
            f"ether type ip ip saddr {own} accept",
        ]
    else:  # addresses come from elsewhere: the MAC is all we know
        lines += [
            f"ether type arp arp saddr ether {guard.mac} accept",
            "ether type ip accept",
            "ether type ip6 icmpv6 type { nd-router-advert, nd-redirect } drop",
            # The same in pieces, where no rule sees what it is: neighbour discovery has none (RFC 6980), and a chain of
            # headers is whole in the first piece (RFC 7112). 0, 43, 60: options and routing, 44: pieces of pieces.
            "ether type ip6 frag nexthdr { 0, 43, 44, 58, 60 } drop",
            "ether type ip6 udp sport 547 drop",
            "ether type ip6 udp dport 546 drop",
            "ether type ip6 accept",
        ]
    lines.append("drop")
    return f"  chain tap_{guard.tap} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def _no_server(mac: str) -> list[str]:
    """No DHCP server behind a tap, whatever port it speaks from: clients look at their own port only. And no leases in
    other names: the client's hardware address is 28 bytes into the message (RFC 2131 2)."""
    return [
        "ether type ip udp sport 67 drop",
        "ether type ip udp dport 68 drop",
        f"ether type ip udp dport 67 @th,288,48 != 0x{mac.replace(':', '')} drop",
    ]


def parsed(taps: dict[str, Any], closed: dict[str, Any]) -> tuple[Guard, ...] | None:
    """The guards in force, out of ``nft -j list table`` of both tables (libnftables-json(5)). None when there is more
    or less than what belongs to them: a rule that is missing, a tap that jumps elsewhere, a table that is gone."""
    rules = _rules(taps)
    around = {name: len(found) for name, found in rules.items() if not name.startswith("tap_")}
    if around != {"guests": 2, "prerouting": 2, "input": 1} or len(_rules(closed).get("input", ())) != 2:
        return None
    jumps = {
        tap: verdict.get("jump", {}).get("target")
        for item in taps["nftables"]
        for tap, verdict in item.get("map", {}).get("elem", ())
    }
    guards = []
    for tap, target in jumps.items():
        found = rules.get(f"tap_{tap}", [{}])
        mac, _, addresses = found[0].get("comment", "").partition(" ")
        guard = Guard(tap, mac, tuple(filter(None, addresses.split(","))))
        if not mac or target != f"tap_{tap}" or len(found) != _chain(guard).count("\n") - 2:
            return None
        guards.append(guard)
    chains = {item["chain"]["name"] for item in taps["nftables"] if "chain" in item}
    if chains != {"guests", "prerouting", "input", *(f"tap_{tap}" for tap in jumps)}:
        return None
    return tuple(sorted(guards, key=lambda guard: guard.tap))


def _rules(listing: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    rules: dict[str, list[dict[str, Any]]] = {}
    for item in listing.get("nftables", ()):
        if "rule" in item:
            rules.setdefault(item["rule"]["chain"], []).append(item["rule"])
    return rules


class NftFilter:
    """See ``PacketFilter``."""

    async def observe(self) -> tuple[Guard, ...]:
        """Guards in force; none when the tables are not as we made them, so that they are made anew."""
        return await _found() or ()

    async def apply(self, guards: tuple[Guard, ...]) -> None:
        """Exactly these, in one transaction; what is as wanted already is not touched."""
        found = await _found()
        text = await asyncio.to_thread(change, found, guards) if found is not None else ruleset(guards)
        if text:
            await demand("nft", "-f", "-", stdin=text.encode())


async def _found() -> tuple[Guard, ...] | None:
    taps, closed = await _listed("bridge"), await _listed("inet")
    return await asyncio.to_thread(lambda: parsed(json.loads(taps), json.loads(closed)))


async def _listed(family: str) -> str:
    ran = await run("nft", "-j", "list", "table", family, TABLE, most_bytes=_LISTING_BYTES)
    if ran.code:
        if "No such file" in ran.err or "does not exist" in ran.err:
            return "{}"
        raise HostFault("filter-unreadable", f"nft: {ran.err.strip()[:500]}")
    if ran.cut:
        detail = f"nft listed more than {_LISTING_BYTES:,} bytes of guards: too many to tell which are in force"
        raise HostFault("filter-unreadable", detail)
    return ran.out
