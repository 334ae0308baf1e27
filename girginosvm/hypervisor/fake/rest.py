"""Volumes, bridges and filter of the fake host. Images and seeds are plain files: the real ones serve here too."""

from __future__ import annotations

from pathlib import Path

import msgspec

from girginosvm.core.errors import HostFault
from girginosvm.core.host import BridgeSpec, FoundBridge, FoundVolume, Guard, PoolFacts, VolumeSpec
from girginosvm.core.units import GIB
from girginosvm.hypervisor.fake.state import State

_CAPACITY = 1000 * GIB


class FakeVolumes:
    """Volumes in the section ``volumes``: path -> size."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def ensure_pool(self, path: str) -> None:
        await self._state.visit("volumes.ensure_pool")
        with self._state.edit("pools") as pools:
            pools[path] = True

    async def facts(self, path: str) -> PoolFacts:
        await self._state.visit("volumes.facts")
        if path not in self._state.section("pools"):
            return PoolFacts(path, 0, 0, f"{path}: No such file or directory")
        return PoolFacts(path, _CAPACITY, _CAPACITY, filesystem="fake")

    async def observe(self, path: str) -> tuple[FoundVolume, ...]:
        await self._state.visit("volumes.observe")
        if path not in self._state.section("pools"):
            raise HostFault("pool-unreadable", f"{path}: No such file or directory")
        volumes = self._state.section("volumes")
        return tuple(
            FoundVolume(name, size, 0, name.rpartition(".")[2])
            for name, size in sorted(volumes.items())
            if str(Path(name).parent) == path
        )

    async def ensure(self, spec: VolumeSpec) -> None:
        await self._state.visit("volumes.ensure")
        with self._state.edit("volumes") as volumes:
            volumes.setdefault(spec.path, spec.size_bytes)

    async def remove(self, path: str) -> None:
        await self._state.visit("volumes.remove")
        with self._state.edit("volumes") as volumes:
            volumes.pop(path, None)

    async def sweep(self, path: str) -> tuple[str, ...]:
        await self._state.visit("volumes.sweep")
        return ()


class FakeBridges:
    """Bridges in the section ``bridges``."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def observe(self) -> tuple[FoundBridge, ...]:
        await self._state.visit("bridges.observe")
        found = self._state.section("bridges").values()
        return tuple(sorted((msgspec.convert(one, FoundBridge) for one in found), key=lambda bridge: bridge.name))

    async def ensure(self, spec: BridgeSpec) -> None:
        await self._state.visit("bridges.ensure")
        held = (f"{spec.gateway}/{spec.cidr.partition('/')[2]}",) if spec.nat else ()
        with self._state.edit("bridges") as bridges:
            old = msgspec.convert(bridges[spec.name], FoundBridge) if spec.name in bridges else None
            ours = old.ours if old else True
            bridges[spec.name] = msgspec.to_builtins(FoundBridge(spec.name, True, held, (), spec.mtu, ours))

    async def remove(self, name: str) -> None:
        await self._state.visit("bridges.remove")
        with self._state.edit("bridges") as bridges:
            if bridges.get(name, {}).get("ours"):
                del bridges[name]


class FakeFilter:
    """Guards in the section ``guards``."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def observe(self) -> tuple[Guard, ...]:
        await self._state.visit("filter.observe")
        found = self._state.section("guards").get("in_force", [])
        return tuple(sorted((msgspec.convert(one, Guard) for one in found), key=lambda guard: guard.tap))

    async def apply(self, guards: tuple[Guard, ...]) -> None:
        await self._state.visit("filter.apply")
        with self._state.edit("guards") as section:
            section["in_force"] = msgspec.to_builtins(guards)
