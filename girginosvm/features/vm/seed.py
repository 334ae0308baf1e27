"""The guest's network-config (cloud-init network configuration, version 2), by MAC. Pure.

The gateway is a route to 0.0.0.0/0: ``gateway4`` is deprecated (netplan 0.103, and cloud-init warns from 23.1), and
``to: default`` is refused before cloud-init 22.3 where netplan is not the renderer. This form all of them know.
"""

from __future__ import annotations

from typing import Any

import msgspec

from girginosvm.features.vm.model import WantedNic


def network_config(nics: tuple[WantedNic, ...]) -> str:
    """JSON, which is YAML too: static where we hand out the address, DHCP where somebody else does."""
    ethernets: dict[str, Any] = {}
    for n, nic in enumerate(nics):
        # A fixed name (eth0) keeps tools that know only names working.
        entry: dict[str, Any] = {"match": {"macaddress": nic.mac}, "set-name": f"eth{n}"}
        if nic.address:
            entry["addresses"] = [f"{nic.address}/{nic.prefix}"]
            # The guard lets no IPv6 out beside such an address, and systemd before 254 holds the boot for 12 s until
            # no router has answered (its issue 27779).
            entry["accept-ra"] = False
            if nic.gateway and n == 0:
                entry["routes"] = [{"to": "0.0.0.0/0", "via": nic.gateway}]
            if nic.dns:
                entry["nameservers"] = {"addresses": list(nic.dns)}
        else:
            entry["dhcp4"] = True
        if nic.mtu != 1500:
            entry["mtu"] = nic.mtu
        ethernets[f"eth{n}"] = entry
    return msgspec.json.format(msgspec.json.encode({"version": 2, "ethernets": ethernets}), indent=2).decode()
