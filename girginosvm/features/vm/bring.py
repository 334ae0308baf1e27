"""Machines of a node that joins: brought in with everything that is theirs, and running all the while."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Annotated

import msgspec

from girginosvm.core.action import Command, action
from girginosvm.core.errors import Conflict, Missing
from girginosvm.core.fields import field
from girginosvm.features.node import api as nodes
from girginosvm.features.node.model import verdict
from girginosvm.features.node.words import Said
from girginosvm.features.vm.api import placed
from girginosvm.features.vm.model import BroughtDisk, BroughtNic
from girginosvm.features.vm.rows import add_machine, check_name, take_disk
from girginosvm.state.reader import Reader
from girginosvm.state.tx import Tx


@action(
    "POST /v1/vms/bring", permission="vm.report", summary="A node that joined brings a machine along",
    audit="brought machine {name}", answers=dict[str, str],
)  # fmt: skip
class BringVm(Command, frozen=True, kw_only=True):
    """The rows of a machine as they were in the node's own cluster, under the same ids and generation, so that its
    domain stays as it is. Networks and pools are named; conflicts were looked at before the node was let in."""

    node: Annotated[str, field("Member id.", max_length=64)]
    id: Annotated[str, field("Machine id.", max_length=36)]
    name: Annotated[str, field("Name.", max_length=63)]
    project: Annotated[str, field("Project.", max_length=63)]
    generation: Annotated[int, field("Generation.", ge=1)]
    power: Annotated[str, field("on or off.", pattern="^(on|off)$", wants="on or off")]
    adopted: Annotated[bool, field("It was a foreign domain once.")]
    vcpu: Annotated[int, field("Virtual CPUs.", ge=1)]
    memory_bytes: Annotated[int, field("Memory.", ge=0)]
    firmware: Annotated[str, field("bios or uefi.", max_length=8)]
    image: Annotated[str, field("Image id.", max_length=36)]
    image_name: Annotated[str, field("Image name.", max_length=63)]
    ssh_keys: Annotated[tuple[str, ...], field("Public keys.", max_length=32)] = ()
    user_data: Annotated[str, field("cloud-init user-data.", secret="seal")] = ""
    tags: Annotated[tuple[str, ...], field("Words.", max_length=32)] = ()
    notes: Annotated[str, field("Notes.", max_length=4000)] = ""
    external_id: Annotated[str, field("Id elsewhere.", max_length=100)] = ""
    created_at_ms: Annotated[int, field("When it was made.", ge=0)] = 0
    anti_affinity: Annotated[str, field("Anti-affinity group.", max_length=63)] = ""
    anti_affinity_soft: Annotated[bool, field("It shares a node rather than not exist.")] = False
    disks: Annotated[tuple[BroughtDisk, ...], field("Disks.", max_length=64)] = ()
    nics: Annotated[tuple[BroughtNic, ...], field("Interfaces.", max_length=64)] = ()

    def apply(self, tx: Tx) -> dict[str, str]:
        nodes.own(tx, self.node)
        if tx.one("SELECT 1 FROM vm WHERE id = ?", (self.id,)):
            raise Conflict("vm-brought", f"machine {self.name} is here already")
        check_name(tx, self.project, self.name)
        add_machine(
            tx, self.id, name=self.name, project=self.project, node=self.node, generation=self.generation,
            power=self.power, adopted=int(self.adopted), vcpu=self.vcpu, memory_bytes=self.memory_bytes,
            firmware=self.firmware, image=self.image, image_name=self.image_name, ssh_keys=self.ssh_keys,
            user_data=self.user_data, tags=self.tags, notes=self.notes, external_id=self.external_id,
            created_at_ms=self.created_at_ms, anti_affinity=self.anti_affinity,
            anti_affinity_soft=int(self.anti_affinity_soft),
        )  # fmt: skip
        node = nodes.called(tx, self.node)
        placed(tx, self.id, self.node, self.generation, (verdict(self.node, node, "", Said("brought")),))
        for n, disk in enumerate(self.disks):
            take_disk(
                tx, self.id, n, disk.path, pool=_pool(tx, disk.pool), format=disk.format, size_bytes=disk.size_bytes,
                image=disk.image, image_format=disk.image_format, full_copy=int(disk.full_copy),
            )  # fmt: skip
        for n, nic in enumerate(self.nics):
            network = _network(tx, nic.network)
            tx.insert(
                "vm_nic", vm=self.id, n=n, network=network, mac=nic.mac, address=nic.address, tap=nic.tap,
                bridge=nic.bridge,
            )  # fmt: skip
            if nic.address:
                tx.insert(
                    "lease", network=network, address=int(ipaddress.IPv4Address(nic.address)), text=nic.address,
                    mac=nic.mac, vm=self.id, nic=n, at_ms=tx.at_ms,
                )  # fmt: skip
        tx.event("vm.brought", "vm", self.id, f"machine {self.name} came with its node")
        return {"vm": self.id}


def _pool(tx: Tx, name: str) -> str:
    row = tx.one("SELECT id FROM pool WHERE name = ?", (name,)) if name else None
    if name and row is None:
        raise Missing("pool-missing", f"there is no storage pool {name}")
    return str(row["id"]) if row else ""


def _network(tx: Tx, name: str) -> str:
    row = tx.one("SELECT id FROM network WHERE name = ?", (name,)) if name else None
    if name and row is None:
        raise Missing("network-missing", f"there is no network {name}")
    return str(row["id"]) if row else ""


def brought_vms(reader: Reader, node: str, unseal: Callable[[str], str]) -> tuple[BringVm, ...]:
    """The machines on ``node``, as commands; those that are being destroyed end with their node's own cluster."""
    found = []
    for row in reader.all("SELECT * FROM vm WHERE node = ? AND doomed = '' ORDER BY id", (node,)):
        disks = reader.all(
            "SELECT vm_disk.*, ifnull(pool.name, '') AS pool_name FROM vm_disk "
            "LEFT JOIN pool ON pool.id = vm_disk.pool WHERE vm = ? ORDER BY n",
            (row["id"],),
        )
        nics = reader.all(
            "SELECT vm_nic.*, ifnull(network.name, '') AS network_name FROM vm_nic "
            "LEFT JOIN network ON network.id = vm_nic.network WHERE vm = ? ORDER BY n",
            (row["id"],),
        )
        found.append(_bring(row, disks, nics, unseal))
    return tuple(found)


def _bring(
    row: dict[str, object], disks: list[dict[str, object]], nics: list[dict[str, object]], unseal: Callable[[str], str]
) -> BringVm:
    plain = {name: row[name] for name in BringVm.__struct_fields__ if name in row}
    return msgspec.convert(
        {
            **plain,
            "adopted": bool(row["adopted"]),
            "anti_affinity_soft": bool(row["anti_affinity_soft"]),
            "ssh_keys": msgspec.json.decode(str(row["ssh_keys"])),
            "tags": msgspec.json.decode(str(row["tags"])),
            "user_data": unseal(str(row["user_data"])),
            "disks": [
                {"pool": disk["pool_name"], "path": disk["path"], "format": disk["format"],
                 "size_bytes": disk["size_bytes"], "image": disk["image"], "image_format": disk["image_format"],
                 "full_copy": bool(disk["full_copy"])}
                for disk in disks
            ],
            "nics": [
                {"network": nic["network_name"], "mac": nic["mac"], "address": nic["address"], "tap": nic["tap"],
                 "bridge": nic["bridge"]}
                for nic in nics
            ],
        },
        BringVm,
    )  # fmt: skip
