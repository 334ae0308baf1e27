"""What a guest is told of its network."""

import json

from girginosvm.features.vm.model import WantedNic
from girginosvm.features.vm.seed import network_config

FIRST = WantedNic(
    *("52:54:00:00:00:01", "gvm1", "br0", 1500), address="192.0.2.9", prefix=24, gateway="192.0.2.1", dns=("192.0.2.2",)
)
SECOND = WantedNic("52:54:00:00:00:02", "gvm2", "br1", 9000, address="198.51.100.9", prefix=25, gateway="198.51.100.1")
FOREIGN = WantedNic("52:54:00:00:00:03", "gvm3", "br2", 1500)


def test_an_interface_is_known_by_its_mac_and_the_first_has_the_way_out() -> None:
    told = json.loads(network_config((FIRST, SECOND, FOREIGN)))
    assert told["version"] == 2
    assert told["ethernets"] == {
        "eth0": {
            "match": {"macaddress": "52:54:00:00:00:01"},
            "set-name": "eth0",
            "addresses": ["192.0.2.9/24"],
            "accept-ra": False,
            "routes": [{"to": "0.0.0.0/0", "via": "192.0.2.1"}],
            "nameservers": {"addresses": ["192.0.2.2"]},
        },
        "eth1": {
            "match": {"macaddress": "52:54:00:00:00:02"},
            "set-name": "eth1",
            "addresses": ["198.51.100.9/25"],
            "accept-ra": False,
            "mtu": 9000,
        },
        "eth2": {"match": {"macaddress": "52:54:00:00:00:03"}, "set-name": "eth2", "dhcp4": True},
    }
