"""Anti-spoofing at the taps: nftables (nft(8)), family bridge, one table of ours, replaced in one transaction.

A frame from a tap named ``gvm*`` passes only through that tap's own chain; a tap without one is dropped whole. The
chain is looked up by name in a verdict map, so its cost does not grow with the machines on the host.
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


# Frames of guests carry this bit, so that the host's own input can tell them by the time they are packets.
MARK: Final = "0x04000000"
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
    """The whole table as nft text. Pure; the order is the guards'."""
    for guard in guards:
        _check(guard)
    chains = "".join(_chain(guard) for guard in guards)
    taps = ", ".join(f'"{guard.tap}" : jump tap_{guard.tap}' for guard in guards)
    lookup = f"    iifname vmap {{ {taps} }}\n" if guards else ""
    return (
        f"table bridge {TABLE}\ndelete table bridge {TABLE}\ntable bridge {TABLE} {{\n{chains}"
        f"  chain guests {{\n{lookup}    drop\n  }}\n"
        "  chain prerouting {\n    type filter hook prerouting priority -300; policy accept;\n"
        f'    iifname "gvm*" meta mark set meta mark or {MARK}\n    iifname "gvm*" jump guests\n  }}\n}}\n'
        # For the host itself, not what it routes; new connections only, since its own ones use such ports too.
        f"table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n"
        "  chain input {\n    type filter hook input priority -10; policy accept;\n"
        f"    meta mark and {MARK} == {MARK} tcp dport {CLOSED_PORTS} tcp flags & (syn | ack) == syn drop\n  }}\n}}\n"
    )


def _chain(guard: Guard) -> str:
    note = f"{guard.mac} {','.join(guard.addresses)}"
    lines = [f'ether saddr != {guard.mac} drop comment "{note}"', f"ether type arp arp saddr ether != {guard.mac} drop"]
    if guard.addresses:
        own = "{ " + ", ".join(guard.addresses) + " }"
        probing = "{ " + ", ".join(("0.0.0.0", *guard.addresses)) + " }"
        lines += [
            f"ether type arp arp saddr ip != {probing} drop",  # 0.0.0.0: address probes (RFC 5227 2.1.1)
            "ether type arp accept",
            "ether type ip udp sport 67 drop",  # no DHCP server behind a tap
            "ether type ip ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept",
            f"ether type ip ip saddr {own} accept",
        ]
    else:  # addresses come from elsewhere: the MAC is all we know
        lines += [
            "ether type arp accept",
            "ether type ip udp sport 67 drop",
            "ether type ip accept",
            "ether type ip6 icmpv6 type { nd-router-advert, nd-redirect } drop",
            "ether type ip6 udp sport 547 drop",
            "ether type ip6 accept",
        ]
    lines.append("drop")
    return f"  chain tap_{guard.tap} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def parsed(listing: dict[str, Any]) -> tuple[Guard, ...]:
    """Guards in force, out of ``nft -j list table``: only taps that the map jumps to, with every rule in place."""
    rules: dict[str, list[dict[str, Any]]] = {}
    for item in listing.get("nftables", []):
        rule = item.get("rule")
        if rule:
            rules.setdefault(rule["chain"], []).append(rule)
    if not any("gvm*" in json.dumps(rule["expr"]) for rule in rules.get("prerouting", [])):
        return ()
    mapped = {target for rule in rules.get("guests", []) for target in _targets(rule["expr"])}
    guards = []
    for chain in mapped & rules.keys():
        found = rules[chain]
        mac, _, addresses = found[0].get("comment", "").partition(" ")
        guard = Guard(chain.removeprefix("tap_"), mac, tuple(filter(None, addresses.split(","))))
        if mac and len(found) == _chain(guard).count("\n") - 2:
            guards.append(guard)
    return tuple(sorted(guards, key=lambda guard: guard.tap))


def _targets(expressions: list[dict[str, Any]]) -> list[str]:
    """The chains that a rule's verdict map jumps to, each for the tap that it is named after (libnftables-json(5))."""
    found = []
    for expression in expressions:
        data = expression.get("vmap", {}).get("data", {})
        for tap, verdict in data.get("set", []) if isinstance(data, dict) else []:
            target = verdict.get("jump", {}).get("target", "")
            if target == f"tap_{tap}":
                found.append(target)
    return found


class NftFilter:
    """See ``PacketFilter``."""

    async def observe(self) -> tuple[Guard, ...]:
        """Guards in force."""
        ran = await run("nft", "-j", "list", "table", "bridge", TABLE, most_bytes=_LISTING_BYTES)
        if ran.code:
            if "No such file" in ran.err or "does not exist" in ran.err:
                return ()
            raise HostFault("filter-unreadable", f"nft: {ran.err.strip()[:500]}")
        if ran.cut:
            detail = f"nft listed more than {_LISTING_BYTES:,} bytes of guards: too many to tell which are in force"
            raise HostFault("filter-unreadable", detail)
        return await asyncio.to_thread(lambda: parsed(json.loads(ran.out)))

    async def apply(self, guards: tuple[Guard, ...]) -> None:
        """Exactly these, in one transaction."""
        text = await asyncio.to_thread(lambda: ruleset(guards).encode())
        await demand("nft", "-f", "-", stdin=text)
