"""The real host: libvirt, netlink, nftables, files."""

from __future__ import annotations

from pathlib import Path

from girginosvm.hypervisor.libvirt.domains import LibvirtDomains
from girginosvm.hypervisor.libvirt.facts import LibvirtFacts
from girginosvm.hypervisor.libvirt.loop import Link
from girginosvm.hypervisor.net.bridges import NetlinkBridges
from girginosvm.hypervisor.net.filter import NftFilter
from girginosvm.hypervisor.points import pointed
from girginosvm.hypervisor.ports import Bridges, Domains, Facts, Images, PacketFilter, Seeds, Volumes
from girginosvm.hypervisor.seed import IsoSeeds
from girginosvm.hypervisor.storage import qemu_img
from girginosvm.hypervisor.storage.directory import DirectoryVolumes
from girginosvm.hypervisor.storage.images import StoreImages


class RealHost:
    """See ``Host``. ``place``: a directory of ours that is empty after a boot."""

    def __init__(
        self, libvirt_uri: str, place: Path, *, node_name: str = "", image_sources: tuple[str, ...] = ()
    ) -> None:
        self._link = Link(libvirt_uri)
        self.domains: Domains = pointed(LibvirtDomains(self._link), "domains")
        self.volumes: Volumes = pointed(DirectoryVolumes(), "volumes")
        self.images: Images = pointed(StoreImages(image_sources, check=qemu_img.check), "images")
        self.seeds: Seeds = pointed(IsoSeeds(), "seeds")
        self.bridges: Bridges = pointed(NetlinkBridges(), "bridges")
        self.filter: PacketFilter = pointed(NftFilter(), "filter")
        self.facts: Facts = pointed(LibvirtFacts(self._link, place, node_name=node_name), "facts")

    async def close(self) -> None:
        """Let go of libvirt."""
        await self._link.close()
