"""The active feature level: a row that only the log moves (``core.levels`` says when it may).

It stands beside ``applied_index``, so it is in every snapshot and every fingerprint. What a release finds or hears that
needs more than it supports it does not guess at: a database is not opened, a snapshot not installed, an entry not
applied.
"""

from __future__ import annotations

import apsw

from girginosvm.core.codec import Envelope
from girginosvm.core.entries import Beyond
from girginosvm.core.errors import Conflict
from girginosvm.state import db as dbs


def active(db: apsw.Connection) -> int:
    """The level of a database."""
    return int(dbs.rows(db, "SELECT feature_level FROM machine_state")[0]["feature_level"])


def check(db: apsw.Connection, supported: int) -> None:
    """Conflict ``level-newer`` when the database is at a level that this release does not know."""
    found = active(db)
    if found > supported:
        raise Conflict(
            "level-newer", f"the database is at feature level {found}, and this release supports {supported}",
            hint="install a release that supports it; nothing was changed",
        )  # fmt: skip


def refuse(envelope: Envelope, level: int) -> None:
    """Conflict ``level-low`` for a command that needs more than the active level: equal on every node, whether it
    knows the command or not."""
    if envelope.level > level:
        raise Conflict(
            "level-low", f"{envelope.name} version {envelope.version} needs feature level {envelope.level}, "
            f"and this cluster is at {level}; nothing was changed",
        )  # fmt: skip


def raise_to(db: apsw.Connection, level: int, supported: int) -> None:
    """From here on the cluster is at ``level``. Beyond when this release does not support that."""
    if level > supported:
        raise Beyond(f"the cluster is at feature level {level}, this release supports {supported}: upgrade this node")
    db.execute("UPDATE machine_state SET feature_level = ?", (level,))
