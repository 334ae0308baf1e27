"""What has to be true of a node on a fake host when nothing is under way: rows and host agree, thing by thing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from girginosvm.state import db as dbs

HOME = "var/lib/girginosvm"


def faults(root: Path) -> list[str]:
    """Sentences about what is not as it should be; empty: everything is."""
    db = dbs.open_reader(root / HOME / "db/state.db")
    try:
        db.execute("BEGIN")
        look = _Look(root, db)
        return [*look.machines(), *look.files(), *look.network(), *look.rest()]
    finally:
        db.close()


class _Look:
    """One look at both sides."""

    def __init__(self, root: Path, db: Any) -> None:
        self._root = root
        self._home = root / HOME
        self._db = db
        self._host: dict[str, Any] = json.loads((self._home / "fake-host.json").read_text())
        self._vms = {row["id"]: row for row in self._rows("SELECT * FROM vm")}

    def _rows(self, sql: str) -> list[dbs.Row]:
        return dbs.rows(self._db, sql)

    def machines(self) -> Iterator[str]:
        """Every machine is on the host as its row wants it, and no other one of ours is."""
        domains = self._host.get("domains", {})
        found = {row["vm"]: row for row in self._rows("SELECT * FROM vm_found")}
        for vm, row in self._vms.items():
            domain, seen = domains.get(vm), found.get(vm)
            if row["doomed"]:
                yield f"machine {row['name']} is still being destroyed"
            elif domain is None or not domain["defined"]["ours"]:
                yield f"machine {row['name']} is not on the host"
            elif domain["defined"]["generation"] != row["generation"]:
                yield f"{row['name']}: generation {domain['defined']['generation']} defined, {row['generation']} wanted"
            elif (domain["live"] is not None) != (row["power"] == "on") and domain["reason"] != "shutdown":
                yield f"{row['name']} is {domain['power']} ({domain['reason']}), wanted {row['power']}"
            elif seen is None or seen["state"] != domain["power"]:
                yield f"{row['name']} is {domain['power']}, the database says {seen and seen['state']}"
            elif seen["problem"]:
                yield f"{row['name']} is as it should be, the database says {seen['problem']}"
        for vm, domain in domains.items():
            if domain["defined"]["ours"] and vm not in self._vms:
                yield f"domain {domain['defined']['name']} ({domain['power']}) is ours and nobody's"

    def files(self) -> Iterator[str]:
        """Volumes, seeds, images: each has an owner, each owner has it, nothing is unfinished."""
        disks = {
            self._path(row["path"]) for row in self._rows("SELECT path FROM vm_disk UNION SELECT path FROM disk_kept")
        }
        yield from _differ("volumes", self._host.get("volumes", {}), disks)
        seeds = {f"{vm}.iso" for vm, row in self._vms.items() if not row["adopted"]}
        yield from _differ("seeds", self._names("seeds"), seeds)
        images = {f"{row['id']}.{row['format']}" for row in self._rows("SELECT * FROM image WHERE state = 'ready'")}
        yield from _differ("images", self._names("images"), images)
        yield from (f"{path} is unfinished" for path in sorted(self._home.rglob("*.new")) if path.suffix == ".new")

    def network(self) -> Iterator[str]:
        """Guards, leases and bridges are those of the rows."""
        nics = self._rows("SELECT * FROM vm_nic")
        guards = [one["tap"] for one in self._host.get("guards", {}).get("in_force", [])]
        ours = {nic["tap"] for nic in nics if nic["network"] or not self._vms[nic["vm"]]["adopted"]}
        yield from _differ("guards", guards, ours)
        leases = {(row["vm"], row["nic"], row["text"]) for row in self._rows("SELECT * FROM lease")}
        yield from _differ("leases", leases, {(nic["vm"], nic["n"], nic["address"]) for nic in nics if nic["address"]})
        ours = [name for name, bridge in self._host.get("bridges", {}).items() if bridge["ours"]]
        bridges = {row["bridge"] for row in self._rows("SELECT bridge FROM network")}
        yield from _differ("bridges", ours, bridges & set(self._host.get("bridges", {})) & set(ours))
        yield from (f"bridge {name} is missing" for name in sorted(bridges - set(self._host.get("bridges", {}))))

    def rest(self) -> Iterator[str]:
        """Operations have ended, what is forgotten is gone, and nothing is given out twice."""
        for row in self._rows("SELECT * FROM operation WHERE state = 'running'"):
            yield f"{row['kind']} of {row['subject_name']} still runs: {row['step']}"
        yield from (f"image {row['id']} is still to be deleted" for row in self._rows("SELECT * FROM image_gone"))
        yield from (
            f"image {row['name']} is pulled" for row in self._rows("SELECT * FROM image WHERE state = 'pulling'")
        )
        for row in self._rows("SELECT pool.path FROM pool"):
            if self._path(row["path"]) not in self._host.get("pools", {}):
                yield f"pool {row['path']} has no directory"
        for row in self._rows(
            "SELECT node.name, node.memory_bytes - node.reserve_bytes - "
            "(SELECT ifnull(sum(memory_bytes), 0) FROM vm WHERE vm.node = node.id) AS free FROM node"
        ):
            if row["free"] < 0:
                yield f"node {row['name']} has {row['free']} bytes of memory left"

    def _path(self, path: str) -> str:
        return str(Path(self._root, path.lstrip("/")))

    def _names(self, folder: str) -> list[str]:
        place = self._home / folder
        return [file.name for file in place.iterdir()] if place.is_dir() else []


def _differ(what: str, found: Iterable[Any], wanted: set[Any]) -> Iterator[str]:
    there = list(found)
    if len(there) != len(set(there)):
        yield f"{what}: some twice in {sorted(there)}"
    if set(there) != wanted:
        yield f"{what}: too many {sorted(set(there) - wanted)}, missing {sorted(wanted - set(there))}"


if __name__ == "__main__":  # for who has to look from inside another mount namespace
    print(json.dumps(faults(Path(sys.argv[1]))))
