"""The rows of a machine that is new here, however it came: created, adopted, or brought along by its node."""

from __future__ import annotations

import msgspec

from girginosvm.core.errors import Conflict
from girginosvm.state.tx import Tx

# What nobody has asked of it yet, and what it may be without.
_UNASKED = {"stop_mode": "", "stop_by_ms": 0, "reboots": 0, "reboot_force": 0, "doomed": ""}
_UNSAID = {"adopted": 0, "image": "", "image_name": "", "user_data": "", "notes": "", "external_id": ""}


def check_name(tx: Tx, project: str, name: str) -> None:
    """Conflict ``name-taken`` when the project has a machine of that name."""
    if tx.one("SELECT 1 FROM vm WHERE project = ? AND name = ?", (project, name)):
        raise Conflict("name-taken", f"project {project} has a machine named {name} already")


def add_machine(
    tx: Tx, vm: str, *, ssh_keys: tuple[str, ...] = (), tags: tuple[str, ...] = (), **columns: str | int
) -> None:
    """The machine itself; ``columns`` are those of the table."""
    words = {"ssh_keys": _listed(ssh_keys), "tags": _listed(tags)}
    tx.insert("vm", id=vm, created_index=tx.index, **(_UNASKED | _UNSAID | words | columns))


def _listed(words: tuple[str, ...]) -> str:
    return msgspec.json.encode(words).decode()


def take_disk(tx: Tx, vm: str, n: int, path: str, **columns: str | int) -> None:
    """A disk that is there already. Conflict ``disk-taken`` when it is another machine's."""
    if tx.one("SELECT 1 FROM vm_disk WHERE path = ?", (path,)):
        raise Conflict("disk-taken", f"{path} is a disk of another machine")
    tx.insert("vm_disk", vm=vm, n=n, path=path, **columns)
