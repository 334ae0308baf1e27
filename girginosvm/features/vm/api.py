"""The door of machines."""

import msgspec

from girginosvm.core.errors import Conflict, Fault, Invalid, Missing
from girginosvm.core.units import GIB
from girginosvm.features.node.model import Beside, Verdict
from girginosvm.features.node.plan import told
from girginosvm.features.operation import api as operations
from girginosvm.features.vm.strays import Held
from girginosvm.state.db import Row
from girginosvm.state.reader import Reader
from girginosvm.state.tx import Tx


def machine(tx: Tx, vm: str, *, doomed: bool = True) -> Row:
    """A machine's row; Missing, or Conflict when it is being destroyed and ``doomed`` is false."""
    row = tx.one("SELECT * FROM vm WHERE id = ?", (vm,))
    if row is None:
        raise Missing("vm-missing", f"there is no machine {vm}")
    if row["doomed"] and not doomed:
        raise Conflict("vm-doomed", f"machine {row['name']} is being destroyed")
    return row


def changed(tx: Tx, row: Row, kind: str, **columns: str | int) -> str:
    """Write what is wanted of a machine as its next generation; answers the operation that waits for it."""
    generation = row["generation"] + 1
    assignments = ", ".join(f"{name} = ?" for name in columns)
    tx.run(f"UPDATE vm SET {assignments}, generation = ? WHERE id = ?", (*columns.values(), generation, row["id"]))
    return operations.start(
        tx, kind=kind, noun="vm", subject_id=row["id"], name=row["name"], node=row["node"], generation=generation
    )


def disk_bytes(disk_gb: int, least_gb: int) -> int:
    """How large the first disk becomes; 0 asks for what the image needs. Invalid ``disk-too-small``."""
    if disk_gb and disk_gb < least_gb:
        detail = f"the image needs a disk of at least {least_gb} GiB, {disk_gb} asked"
        raise Invalid("disk-too-small", detail, faults=(Fault("/disk_gb", detail),))
    return max(disk_gb, least_gb, 1) * GIB


def firmware_for(asked: str, image: Row) -> str:
    """The firmware that a machine of this image starts with; ``auto``: as the image says."""
    return (image["firmware"] or "bios") if asked == "auto" else asked


def beside(db: Reader | Tx, project: str, group: str) -> dict[str, Beside]:
    """The machines of an anti-affinity group on each node that has some; those that are being destroyed count."""
    if not group:
        return {}
    found: dict[str, Beside] = {}
    rows = db.all(
        "SELECT node, name, anti_affinity_soft FROM vm WHERE project = ? AND anti_affinity = ? AND anti_affinity <> '' "
        "ORDER BY name, id",
        (project, group),
    )
    for row in rows:
        there = found.get(row["node"], Beside())
        found[row["node"]] = Beside((*there.names, row["name"]), there.hard or not row["anti_affinity_soft"])
    return found


def held(reader: Reader) -> dict[str, Held]:
    """Every machine of the cluster by id: which node has it."""
    rows = reader.all("SELECT vm.id, vm.node, node.name FROM vm LEFT JOIN node ON node.id = vm.node ORDER BY vm.id")
    return {row["id"]: Held(row["node"], row["name"] or row["node"]) for row in rows}


def placed(tx: Tx, vm: str, node: str, generation: int, verdicts: tuple[Verdict, ...]) -> None:
    """Keep why a machine is where it is from ``generation`` on."""
    tx.run("DELETE FROM placement WHERE vm = ?", (vm,))
    reasons = msgspec.json.encode([(one.name, one.text, one.word, one.values) for one in told(verdicts)]).decode()
    tx.insert("placement", vm=vm, node=node, generation=generation, reasons=reasons, at_ms=tx.at_ms)
