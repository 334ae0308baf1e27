"""What a network shows of itself."""

from features.engine import ADMIN, NODE, Engine

from girginosvm.core.host import Guard
from girginosvm.features.network.commands import AddNetwork
from girginosvm.features.network.queries import ListNetworks
from girginosvm.hypervisor.net.filter import ruleset


def test_ipv6_is_said_to_be_dropped_exactly_where_the_guards_of_the_taps_drop_it(engine: Engine) -> None:
    engine.run(AddNetwork(name="ours", bridge="br0", cidr="192.0.2.0/24", gateway="192.0.2.1"), actor=ADMIN, node=NODE)
    engine.run(AddNetwork(name="theirs", bridge="br1"), actor=ADMIN, node=NODE)
    said = {network.name: network.ipv6 for network in ListNetworks().fetch(engine.reader).items}
    mac = "52:54:00:00:00:01"
    rules = {"ours": ruleset((Guard("gvm1", mac, ("192.0.2.7",)),)), "theirs": ruleset((Guard("gvm1", mac, ()),))}
    passes = {name: "ether type ip6 accept" in text for name, text in rules.items()}
    assert said == {name: "passes" if through else "dropped" for name, through in passes.items()}
    assert set(said.values()) == {"dropped", "passes"}
