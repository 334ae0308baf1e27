"""Keeps the node's bridges and guards: the shell around ``plan``."""

from __future__ import annotations

from girginosvm.core.host import BridgeSpec, Guard
from girginosvm.features.lanes import Lanes
from girginosvm.features.network import plan as plans
from girginosvm.features.site import Site
from girginosvm.state.reader import Reader


class NetworkReconciler:
    """Guards are in force before a machine's first packet: its plan waits for them."""

    name = "network"
    wakes_on = ("network", "vm_nic", "lease")
    resync_s = 15.0

    def __init__(self, site: Site) -> None:
        self._site = site

    async def reconcile(self, lanes: Lanes) -> float | None:
        """One round; woken by change and by time."""
        bridges, guards = await self._site.read(self._wanted)
        host = self._site.host
        steps = plans.plan(bridges, guards, await host.bridges.observe(), await host.filter.observe())
        for step in steps:
            self._site.log.info("network.step", step=type(step).__name__, reason=step.reason)
            match step:
                case plans.SetGuards(wanted):
                    await host.filter.apply(wanted)
                case plans.EnsureBridge(spec):
                    await host.bridges.ensure(spec)
                case plans.DropBridge(name):
                    await host.bridges.remove(name)
        if steps:
            self._site.wake("vm")
        return None

    def _wanted(self, reader: Reader) -> tuple[tuple[BridgeSpec, ...], tuple[Guard, ...]]:
        bridges = tuple(
            BridgeSpec(row["bridge"], row["cidr"], row["gateway"], row["kind"] == "nat", row["mtu"])
            for row in reader.all("SELECT * FROM network ORDER BY bridge")
        )
        guards = tuple(
            Guard(row["tap"], row["mac"], (row["address"],) if row["address"] else ())
            for row in reader.all(
                "SELECT vm_nic.* FROM vm_nic JOIN vm ON vm.id = vm_nic.vm "
                # An adopted domain's interface is guarded when it is one of ours, which came back.
                "WHERE vm.node = ? AND (vm.adopted = 0 OR vm_nic.network <> '') ORDER BY tap",
                (self._site.node,),
            )
        )
        return bridges, guards
