"""The machines of one node as values, out of the database."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Any

import msgspec

from girginosvm.core.words import Said, said
from girginosvm.features.image import api as images
from girginosvm.features.site import Site
from girginosvm.features.vm.model import Wanted, WantedDisk, WantedNic
from girginosvm.state.reader import Reader


def machines(reader: Reader, site: Site) -> tuple[Wanted, ...]:
    """Every machine placed on the site's node, in order of id."""
    rows = reader.all(
        "SELECT vm.*, ifnull(f.state, '') AS f_state, ifnull(f.reason, '') AS f_reason, "
        "ifnull(f.generation, 0) AS f_generation, ifnull(f.reboots, 0) AS f_reboots, "
        "ifnull(f.acceleration, '') AS f_acceleration, ifnull(f.agent, 0) AS f_agent, "
        "ifnull(f.problem, '') AS f_problem "
        "FROM vm LEFT JOIN vm_found f ON f.vm = vm.id WHERE vm.node = ? ORDER BY vm.id",
        (site.node,),
    )
    # An adopted machine's disks lie in no pool and are nobody's to build or delete.
    disks = _by_vm(
        reader.all(
            "SELECT vm_disk.*, image.name AS image_name, ifnull(c.state, '') AS copy, "
            "ifnull(c.problem, '') AS copy_problem, "
            "ifnull((SELECT node.name FROM image_copy h JOIN node ON node.id = h.node WHERE h.image = vm_disk.image "
            "AND h.state = 'ready' ORDER BY h.node LIMIT 1), '') AS holder "
            "FROM vm JOIN vm_disk ON vm_disk.vm = vm.id "
            "LEFT JOIN image ON image.id = vm_disk.image "
            "LEFT JOIN image_copy c ON c.image = vm_disk.image AND c.node = vm.node "
            "WHERE vm.node = ? AND pool <> '' ORDER BY vm_disk.vm, vm_disk.n",
            (site.node,),
        )
    )
    nics = _by_vm(
        reader.all(
            "SELECT vm_nic.*, network.bridge, network.mtu, network.cidr, network.gateway, network.dns FROM vm "
            "JOIN vm_nic ON vm_nic.vm = vm.id JOIN network ON network.id = vm_nic.network "
            "WHERE vm.node = ? ORDER BY vm_nic.vm, vm_nic.n",
            (site.node,),
        )
    )
    bases = str(site.image_path(""))
    return tuple(_wanted(row, disks.get(row["id"], []), nics.get(row["id"], []), site, bases) for row in rows)


def _by_vm(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["vm"], []).append(row)
    return found


def _wanted(
    row: dict[str, Any], disks: list[dict[str, Any]], nics: list[dict[str, Any]], site: Site, bases: str
) -> Wanted:
    return Wanted(
        id=row["id"], name=row["name"], generation=row["generation"], power=row["power"], stop_mode=row["stop_mode"],
        stop_by_ms=row["stop_by_ms"], reboots=row["reboots"], reboot_force=bool(row["reboot_force"]),
        doomed=row["doomed"], adopted=bool(row["adopted"]), vcpu=row["vcpu"], memory_bytes=row["memory_bytes"],
        firmware=row["firmware"], disks=tuple(_disk(disk, site, bases) for disk in disks),
        nics=tuple(_nic(nic) for nic in nics), ssh_keys=tuple(msgspec.json.decode(row["ssh_keys"])),
        user_data=row["user_data"], found_state=row["f_state"], found_reason=row["f_reason"],
        found_generation=row["f_generation"], found_reboots=row["f_reboots"],
        found_acceleration=row["f_acceleration"], found_agent=bool(row["f_agent"]), found_problem=row["f_problem"],
    )  # fmt: skip


def _disk(row: dict[str, Any], site: Site, bases: str) -> WantedDisk:
    base = f"{bases}/{images.file_name(row['image'], row['image_format'])}" if row["image"] else ""
    return WantedDisk(
        path=site.pool_path(row["path"]), format=row["format"], size_bytes=row["size_bytes"], base=base,
        base_format=row["image_format"], full_copy=bool(row["full_copy"]), awaits=_awaits(row),
    )  # fmt: skip


def _awaits(row: dict[str, Any]) -> Said | None:
    if row["copy"] != "wanted":
        return None
    if row["copy_problem"]:
        return said("step.image-fails", image=row["image_name"], why=row["copy_problem"])
    if not row["holder"]:
        return said("step.image-mirror", image=row["image_name"])
    return said("step.image", image=row["image_name"], node=row["holder"])


@lru_cache(maxsize=256)
def _prefix(cidr: str) -> int:
    """Its length. Many interfaces are on few networks, and to read one takes longer than all of the rest."""
    return ipaddress.IPv4Network(cidr).prefixlen if cidr else 0


def _nic(row: dict[str, Any]) -> WantedNic:
    return WantedNic(
        mac=row["mac"], tap=row["tap"], bridge=row["bridge"], mtu=row["mtu"], address=row["address"],
        prefix=_prefix(row["cidr"]), gateway=row["gateway"],
        dns=tuple(msgspec.json.decode(row["dns"])),
    )  # fmt: skip
