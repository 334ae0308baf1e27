"""Machines as wanted (people write), as found (their node writes), and foreign domains (listed, never touched)."""

from typing import Final

from girginosvm.core.manifest import Migration

MIGRATIONS: Final = (
    Migration(
        1,
        """
CREATE TABLE vm (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, name TEXT NOT NULL, project TEXT NOT NULL,
  node TEXT NOT NULL, generation INTEGER NOT NULL, power TEXT NOT NULL CHECK (power IN ('on', 'off')),
  stop_mode TEXT NOT NULL, stop_by_ms INTEGER NOT NULL, reboots INTEGER NOT NULL, reboot_force INTEGER NOT NULL,
  doomed TEXT NOT NULL CHECK (doomed IN ('', 'keep', 'purge')),
  adopted INTEGER NOT NULL, vcpu INTEGER NOT NULL, memory_bytes INTEGER NOT NULL, firmware TEXT NOT NULL,
  image TEXT NOT NULL, image_name TEXT NOT NULL, ssh_keys TEXT NOT NULL, user_data TEXT NOT NULL,
  tags TEXT NOT NULL, notes TEXT NOT NULL, external_id TEXT NOT NULL, created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX vm_name ON vm (project, name);
CREATE INDEX vm_order ON vm (created_index, id);
CREATE INDEX vm_node ON vm (node);
CREATE TABLE vm_disk (
  vm TEXT NOT NULL, n INTEGER NOT NULL, pool TEXT NOT NULL, path TEXT NOT NULL UNIQUE, format TEXT NOT NULL,
  size_bytes INTEGER NOT NULL, image TEXT NOT NULL, image_format TEXT NOT NULL, full_copy INTEGER NOT NULL,
  PRIMARY KEY (vm, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX vm_disk_pool ON vm_disk (pool);
CREATE TABLE vm_nic (
  vm TEXT NOT NULL, n INTEGER NOT NULL, network TEXT NOT NULL, mac TEXT NOT NULL UNIQUE, address TEXT NOT NULL,
  tap TEXT NOT NULL, PRIMARY KEY (vm, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX vm_nic_network ON vm_nic (network);
CREATE TABLE vm_found (
  vm TEXT PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT NULL, generation INTEGER NOT NULL,
  reboots INTEGER NOT NULL, acceleration TEXT NOT NULL, agent INTEGER NOT NULL, problem_code TEXT NOT NULL,
  problem TEXT NOT NULL, at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE vm_foreign (
  node TEXT NOT NULL, id TEXT NOT NULL, created_index INTEGER NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
  vcpu INTEGER NOT NULL, memory_bytes INTEGER NOT NULL, firmware TEXT NOT NULL, disks TEXT NOT NULL,
  nics TEXT NOT NULL, PRIMARY KEY (node, id)
) STRICT, WITHOUT ROWID;
""",
    ),
    # Interfaces of adopted machines are on no network of ours.
    Migration(2, "ALTER TABLE vm_nic ADD COLUMN bridge TEXT NOT NULL DEFAULT ''"),
)
