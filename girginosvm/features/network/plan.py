"""Which bridges and guards a node needs. Pure."""

from __future__ import annotations

import msgspec

from girginosvm.core.host import BridgeSpec, FoundBridge, Guard


class EnsureBridge(msgspec.Struct, frozen=True):
    """Make or mend a bridge."""

    spec: BridgeSpec
    reason: str


class DropBridge(msgspec.Struct, frozen=True):
    """Take away a bridge of ours that no network names."""

    name: str
    reason: str


class SetGuards(msgspec.Struct, frozen=True):
    """Put exactly these guards in force."""

    guards: tuple[Guard, ...]
    reason: str


Step = EnsureBridge | DropBridge | SetGuards


def plan(
    wanted: tuple[BridgeSpec, ...],
    guards: tuple[Guard, ...],
    found: tuple[FoundBridge, ...],
    in_force: tuple[Guard, ...],
) -> tuple[Step, ...]:
    """Guards first: a machine may start as soon as its bridge and its guard are seen."""
    steps: list[Step] = []
    missing = len(set(guards) - set(in_force))
    surplus = len(set(in_force) - set(guards))
    if missing or surplus:
        steps.append(SetGuards(guards, f"{missing} guards missing, {surplus} too many"))
    bridges = {bridge.name: bridge for bridge in found}
    for spec in wanted:
        lack = _lack(spec, bridges.get(spec.name))
        if lack:
            steps.append(EnsureBridge(spec, lack))
    names = {spec.name for spec in wanted}
    steps += [
        DropBridge(bridge.name, "no network names it")
        for bridge in found
        if bridge.ours and bridge.name not in names and not bridge.ports
    ]
    return tuple(steps)


def _lack(spec: BridgeSpec, found: FoundBridge | None) -> str:
    if found is None:
        return "the bridge is not there"
    if not found.up:
        return "the bridge is down"
    if found.learns_unseen:
        return "the bridge learns from frames that no guard sees"
    prefix = spec.cidr.partition("/")[2]
    if spec.nat and f"{spec.gateway}/{prefix}" not in found.addresses:
        return f"the gateway {spec.gateway}/{prefix} is not on the bridge"
    if found.ours and found.mtu != spec.mtu:  # somebody else's bridge keeps its own
        return f"packets of {found.mtu} bytes, {spec.mtu} wanted"
    return ""
