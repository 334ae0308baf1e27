"""What a node that joins has, in words for the cluster's eyes and as the commands that bring it in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from girginosvm.core.action import Command
from girginosvm.core.errors import Conflict
from girginosvm.core.log import Log
from girginosvm.features.image.commands import RecordImage
from girginosvm.features.membership.model import Brought, BroughtImage, BroughtNetwork, BroughtPool, BroughtVm
from girginosvm.features.network.commands import AddNetwork
from girginosvm.features.storage.commands import AddPool
from girginosvm.features.vm.bring import BringVm, brought_vms
from girginosvm.hypervisor import owners
from girginosvm.state.reader import Reader


class Bring(msgspec.Struct, frozen=True):
    """In this order. Names of networks, pools and images are the node's; the cluster's ids are found by them.
    ``before``: the folder below ``archive/`` with the life that the node had until then."""

    pools: tuple[AddPool, ...]
    networks: tuple[AddNetwork, ...]
    images: tuple[RecordImage, ...]
    vms: tuple[BringVm, ...]
    before: str = ""


def life_before(path: Path) -> str:
    """The archive of what this node was, as long as it has not brought what the file at ``path`` holds."""
    return msgspec.msgpack.decode(path.read_bytes(), type=Bring).before if path.exists() else ""


def brought_by(reader: Reader, node: str) -> Brought:
    """What the cluster has to judge before it lets this node in."""
    vms = tuple(
        BroughtVm(
            vm.id, vm.name, vm.project, tuple(nic.mac for nic in vm.nics),
            tuple((nic.network, nic.address) for nic in vm.nics if nic.network and nic.address),
            tuple(disk.path for disk in vm.disks if not disk.pool),
        )
        for vm in brought_vms(reader, node, lambda text: "")
    )  # fmt: skip
    used = sorted({nic.network for vm in brought_vms(reader, node, lambda text: "") for nic in vm.nics if nic.network})
    return Brought(
        vms=vms,
        networks=tuple(
            BroughtNetwork(row["name"], row["kind"], row["bridge"], row["cidr"], row["gateway"])
            for row in reader.all("SELECT * FROM network ORDER BY name") if row["name"] in used
        ),
        pools=tuple(BroughtPool(row["name"], row["path"]) for row in _pools(reader, node)),
        images=tuple(BroughtImage(row["id"], row["name"], row["sha256"]) for row in _images(reader, node)),
    )  # fmt: skip


def bring_list(reader: Reader, node: str, unseal: Callable[[str], str], *, before: str) -> bytes:
    """Everything as commands, kept in a file until the cluster has it. The file is root's, and goes then: it holds
    what is sealed in the database in clear, since the cluster seals it with a key of its own."""
    vms = brought_vms(reader, node, unseal)
    used = {nic.network for vm in vms for nic in vm.nics}
    networks = tuple(
        AddNetwork(
            name=row["name"], bridge=row["bridge"], cidr=row["cidr"], gateway=row["gateway"], kind=row["kind"],
            range_start=_ip(row["range_start"]), range_end=_ip(row["range_end"]),
            dns=tuple(msgspec.json.decode(row["dns"])), mtu=row["mtu"],
        )
        for row in reader.all("SELECT * FROM network ORDER BY name") if row["name"] in used
    )  # fmt: skip
    images = tuple(
        RecordImage(
            name=row["name"], node=node, source=row["source"], sha256=row["sha256"], size_bytes=row["size_bytes"],
            virtual_bytes=row["virtual_bytes"], format=row["format"], version=row["version"],
            min_disk_gb=row["min_disk_gb"], firmware=row["firmware"], signed=bool(row["signed"]), state="ready",
            id=row["id"],
        )
        for row in _images(reader, node)
    )  # fmt: skip
    pools = tuple(
        AddPool(name=row["name"], path=row["path"], reserve_percent=row["reserve_percent"])
        for row in _pools(reader, node)
    )
    return msgspec.msgpack.encode(Bring(pools, networks, images, vms, before))


def _images(reader: Reader, node: str) -> list[dict[str, Any]]:
    """Those whose file is here: others of its cluster may have more."""
    return reader.all(
        "SELECT image.* FROM image JOIN image_copy ON image_copy.image = image.id "
        "WHERE image.state = 'ready' AND image_copy.node = ? AND image_copy.state = 'ready' ORDER BY name",
        (node,),
    )


def _pools(reader: Reader, node: str) -> list[dict[str, Any]]:
    return reader.all(
        "SELECT DISTINCT pool.* FROM pool JOIN vm_disk ON vm_disk.pool = pool.id JOIN vm ON vm.id = vm_disk.vm "
        "WHERE vm.node = ? ORDER BY pool.name",
        (node,),
    )


def _ip(number: int) -> str:
    import ipaddress

    return str(ipaddress.IPv4Address(number)) if number else ""


async def bring_in(path: Path, node: str, name: str, say: Callable[[Command], Awaitable[Any]], log: Log) -> None:
    """Propose what the file at ``path`` holds, and delete it: at every start until it is done. What the cluster has
    already (an earlier try was cut off) is no conflict."""
    if not path.exists():
        return
    bring = msgspec.msgpack.decode(path.read_bytes(), type=Bring)
    for pool in (*bring.pools, *bring.networks):
        await _once(say, pool)
    for image in bring.images:
        await _image(say, msgspec.structs.replace(image, node=node), name)
    for vm in bring.vms:
        await _once(say, msgspec.structs.replace(vm, node=node))
    path.unlink()
    owners.flush(path.parent)
    log.info("membership.brought", vms=len(bring.vms), images=len(bring.images))


async def _image(say: Callable[[Command], Awaitable[Any]], image: RecordImage, node: str) -> None:
    """Its files are called by its id, so it comes in as an image of its own; a name that is taken gets the node's."""
    try:
        await say(image)
    except Conflict as taken:
        if taken.code != "image-exists":
            raise
        await _once(say, msgspec.structs.replace(image, name=f"{image.name[: 62 - len(node)]}-{node}"[:63]))


async def _once(say: Callable[[Command], Awaitable[Any]], command: Command) -> None:
    try:
        await say(command)
    except Conflict as there:
        if there.code not in ("pool-exists", "network-exists", "image-exists", "vm-brought"):
            raise
