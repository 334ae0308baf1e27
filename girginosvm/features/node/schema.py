"""Nodes as they describe themselves."""

from typing import Final

from girginosvm.core.manifest import Migration

MIGRATIONS: Final = (
    Migration(
        1,
        """
CREATE TABLE node (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, name TEXT NOT NULL UNIQUE, hostname TEXT NOT NULL,
  cpus INTEGER NOT NULL, cpu_model TEXT NOT NULL, memory_bytes INTEGER NOT NULL, reserve_bytes INTEGER NOT NULL,
  kernel TEXT NOT NULL, os TEXT NOT NULL, libvirt TEXT NOT NULL, qemu TEXT NOT NULL, acceleration TEXT NOT NULL,
  acceleration_reason TEXT NOT NULL, firmwares TEXT NOT NULL, addresses TEXT NOT NULL, reported_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
""",
    ),
    # What is promised to machines on a node, kept by triggers of the vm room: placement reads one row a node.
    Migration(
        2,
        """
CREATE TABLE node_load (
  node TEXT PRIMARY KEY, memory_bytes INTEGER NOT NULL, vcpus INTEGER NOT NULL, vms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
""",
    ),
    # The number of the last report of each node on each thing it reports on.
    Migration(
        3,
        """
CREATE TABLE report (
  node TEXT NOT NULL, subject TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (subject, node)
) STRICT, WITHOUT ROWID;
""",
    ),
    # What people say of nodes. A cordon has holders: a person, a maintenance, a drain; a node takes machines when the
    # last of them has let go.
    Migration(
        4,
        """
CREATE TABLE node_cordon (
  node TEXT NOT NULL, holder TEXT NOT NULL CHECK (holder IN ('person', 'maintenance', 'drain')), why TEXT NOT NULL,
  actor TEXT NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (node, holder)
) STRICT, WITHOUT ROWID;
CREATE TABLE node_domain (node TEXT PRIMARY KEY, domain TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX report_node ON report (node);
""",
    ),
    # Which release each node runs, and the highest feature level that it supports (``core.levels``).
    Migration(
        5,
        """
CREATE TABLE node_release (
  node TEXT PRIMARY KEY, release TEXT NOT NULL, level INTEGER NOT NULL, at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
""",
    ),
    # Nodes that the leader does not reach: they take no machines from then on.
    Migration(
        6,
        """
CREATE TABLE node_away (node TEXT PRIMARY KEY, since_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
""",
    ),
)
