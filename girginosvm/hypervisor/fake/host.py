"""The fake host: all ports on one state file."""

from __future__ import annotations

from pathlib import Path

from girginosvm.hypervisor.fake.domains import FakeDomains
from girginosvm.hypervisor.fake.facts import FakeFacts
from girginosvm.hypervisor.fake.rest import FakeBridges, FakeFilter, FakeVolumes
from girginosvm.hypervisor.fake.state import State
from girginosvm.hypervisor.points import pointed
from girginosvm.hypervisor.ports import Bridges, Domains, Facts, Images, PacketFilter, Seeds, Volumes
from girginosvm.hypervisor.seed import IsoSeeds
from girginosvm.hypervisor.storage.images import StoreImages


class FakeHost:
    """See ``Host``."""

    def __init__(self, path: Path, *, image_sources: tuple[str, ...] = ()) -> None:
        self.state = State(path)
        self.domains: Domains = pointed(FakeDomains(self.state), "domains")
        self.volumes: Volumes = pointed(FakeVolumes(self.state), "volumes")
        self.images: Images = pointed(StoreImages(image_sources), "images")
        self.seeds: Seeds = pointed(IsoSeeds(), "seeds")
        self.bridges: Bridges = pointed(FakeBridges(self.state), "bridges")
        self.filter: PacketFilter = pointed(FakeFilter(self.state), "filter")
        self.facts: Facts = pointed(FakeFacts(self.state), "facts")

    async def close(self) -> None:
        """Nothing is held open."""
