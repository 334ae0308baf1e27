"""The ``Bridges`` contract, on the fake and in a namespace of the real kernel."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from girginosvm.core.host import BridgeSpec
from girginosvm.features.network.plan import DropBridge, EnsureBridge, plan
from girginosvm.hypervisor.fake.rest import FakeBridges
from girginosvm.hypervisor.fake.state import State
from girginosvm.hypervisor.net import bridges as net
from girginosvm.hypervisor.net.bridges import NetlinkBridges, nat_table
from girginosvm.hypervisor.ports import Bridges


class InterruptedRemovalError(Exception):
    """The process dies here."""


NAT = BridgeSpec("br-nat", "192.0.2.0/24", "192.0.2.1", nat=True)


def said(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.host)])
def bridges(request: pytest.FixtureRequest, tmp_path: Path) -> Bridges:
    if request.param == "fake":
        return FakeBridges(State(tmp_path / "host.json"))
    request.getfixturevalue("namespace")
    return NetlinkBridges()


async def test_a_nat_bridge_is_up_ours_and_holds_its_gateway_also_the_second_time(bridges: Bridges) -> None:
    for _ in range(2):
        await bridges.ensure(NAT)
    (found,) = await bridges.observe()
    assert (found.name, found.up, found.ours, found.addresses) == ("br-nat", True, True, ("192.0.2.1/24",))


async def test_removing_leaves_nothing_and_may_be_repeated(bridges: Bridges) -> None:
    await bridges.ensure(NAT)
    for _ in range(2):
        await bridges.remove(NAT.name)
    assert await bridges.observe() == ()


@pytest.mark.host
async def test_a_bridge_that_learns_from_frames_no_guard_sees_is_mended_whoever_made_it(namespace: str) -> None:
    said("ip", "link", "add", "br-old", "up", "type", "bridge")
    bridges, old = NetlinkBridges(), BridgeSpec("br-old")
    found = await bridges.observe()
    assert plan((old,), (), found, ()) == (EnsureBridge(old, "the bridge learns from frames that no guard sees"),)
    await bridges.ensure(old)
    assert plan((old,), (), await bridges.observe(), ()) == ()


@pytest.mark.host
async def test_a_bridge_in_use_stays_with_its_nat_and_a_foreign_one_is_not_ours(namespace: str) -> None:
    bridges = NetlinkBridges()
    await bridges.ensure(NAT)
    for line in ("add br-old type bridge", "add gvmport type veth peer name inside", "set gvmport master br-nat"):
        said("ip", "link", *line.split())
    for name in ("br-nat", "br-old"):
        await bridges.remove(name)
    assert [(one.name, one.ours) for one in await bridges.observe()] == [("br-nat", True), ("br-old", False)]
    assert "masquerade" in said("nft", "list", "table", "ip", nat_table("br-nat"))


@pytest.mark.host
async def test_what_differs_on_a_bridge_of_ours_is_seen_and_mended(namespace: str) -> None:
    bridges = NetlinkBridges()
    await bridges.ensure(NAT)
    for line in ("addr del 192.0.2.1/24 dev br-nat", "addr add 192.0.2.1/25 dev br-nat", "link set br-nat mtu 1400"):
        said("ip", *line.split())
    (found,) = await bridges.observe()
    assert [type(step) for step in plan((NAT,), (), (found,), ())] == [EnsureBridge]
    await bridges.ensure(NAT)
    (found,) = await bridges.observe()
    assert (found.mtu, found.addresses) == (1500, ("192.0.2.1/24",))
    assert plan((NAT,), (), (found,), ()) == ()


@pytest.mark.host
async def test_a_removal_that_was_interrupted_is_found_and_ended(namespace: str, monkeypatch: Any) -> None:
    bridges = NetlinkBridges()
    await bridges.ensure(NAT)

    def killed(link: object, name: str) -> None:
        raise InterruptedRemovalError

    monkeypatch.setattr(net, "_remove", killed)
    with pytest.raises(InterruptedRemovalError):
        await bridges.remove(NAT.name)
    monkeypatch.undo()
    left = await bridges.observe()
    assert [type(step) for step in plan((), (), left, ())] == [DropBridge]
    await bridges.remove(NAT.name)
    assert await bridges.observe() == ()
    assert "nat" not in said("nft", "list", "tables")
