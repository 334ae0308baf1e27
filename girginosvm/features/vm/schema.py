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
    # The loads of nodes and pools follow the rows by themselves: no command can forget them.
    Migration(
        3,
        """
INSERT INTO node_load SELECT node, sum(memory_bytes), sum(vcpu), count(*) FROM vm GROUP BY node;
INSERT INTO pool_load SELECT vm_disk.pool, vm.node, sum(size_bytes) FROM vm_disk JOIN vm ON vm.id = vm_disk.vm
  WHERE true GROUP BY vm_disk.pool, vm.node
  ON CONFLICT DO UPDATE SET booked_bytes = booked_bytes + excluded.booked_bytes;
CREATE TRIGGER vm_load_added AFTER INSERT ON vm BEGIN
  INSERT INTO node_load VALUES (new.node, new.memory_bytes, new.vcpu, 1) ON CONFLICT DO UPDATE SET
    memory_bytes = memory_bytes + excluded.memory_bytes, vcpus = vcpus + excluded.vcpus, vms = vms + 1;
END;
CREATE TRIGGER vm_load_removed AFTER DELETE ON vm BEGIN
  UPDATE node_load SET memory_bytes = memory_bytes - old.memory_bytes, vcpus = vcpus - old.vcpu, vms = vms - 1
    WHERE node = old.node;
END;
CREATE TRIGGER vm_load_moved AFTER UPDATE OF node, memory_bytes, vcpu ON vm BEGIN
  UPDATE node_load SET memory_bytes = memory_bytes - old.memory_bytes, vcpus = vcpus - old.vcpu, vms = vms - 1
    WHERE node = old.node;
  INSERT INTO node_load VALUES (new.node, new.memory_bytes, new.vcpu, 1) ON CONFLICT DO UPDATE SET
    memory_bytes = memory_bytes + excluded.memory_bytes, vcpus = vcpus + excluded.vcpus, vms = vms + 1;
  UPDATE pool_load SET booked_bytes = booked_bytes
      - (SELECT ifnull(sum(size_bytes), 0) FROM vm_disk WHERE vm = new.id AND vm_disk.pool = pool_load.pool)
    WHERE node = old.node;
  INSERT INTO pool_load SELECT pool, new.node, sum(size_bytes) FROM vm_disk WHERE vm = new.id GROUP BY pool
    ON CONFLICT DO UPDATE SET booked_bytes = booked_bytes + excluded.booked_bytes;
END;
CREATE TRIGGER vm_disk_booked AFTER INSERT ON vm_disk BEGIN
  INSERT INTO pool_load SELECT new.pool, node, new.size_bytes FROM vm WHERE id = new.vm
    ON CONFLICT DO UPDATE SET booked_bytes = booked_bytes + excluded.booked_bytes;
END;
CREATE TRIGGER vm_disk_freed AFTER DELETE ON vm_disk BEGIN
  UPDATE pool_load SET booked_bytes = booked_bytes - old.size_bytes
    WHERE pool = old.pool AND node = (SELECT node FROM vm WHERE id = old.vm);
END;
CREATE TRIGGER vm_disk_resized AFTER UPDATE OF pool, size_bytes ON vm_disk BEGIN
  UPDATE pool_load SET booked_bytes = booked_bytes - old.size_bytes
    WHERE pool = old.pool AND node = (SELECT node FROM vm WHERE id = old.vm);
  INSERT INTO pool_load SELECT new.pool, node, new.size_bytes FROM vm WHERE id = new.vm
    ON CONFLICT DO UPDATE SET booked_bytes = booked_bytes + excluded.booked_bytes;
END;
""",
    ),
    # Lists in order of name, and machines by name: in one project or another.
    Migration(4, "CREATE INDEX vm_by_name ON vm (name, id);\n"),
    # Why a machine is where it is, as found when it was placed; and groups whose machines stay apart.
    Migration(
        5,
        """
CREATE TABLE placement (
  vm TEXT PRIMARY KEY, node TEXT NOT NULL, generation INTEGER NOT NULL, reasons TEXT NOT NULL, at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
ALTER TABLE vm ADD COLUMN anti_affinity TEXT NOT NULL DEFAULT '';
ALTER TABLE vm ADD COLUMN anti_affinity_soft INTEGER NOT NULL DEFAULT 0;
CREATE INDEX vm_group ON vm (project, anti_affinity, name, id) WHERE anti_affinity <> '';
DROP INDEX vm_node;
CREATE INDEX vm_node ON vm (node, name, id);
""",
    ),
    # A domain that carries our mark, and that the cluster does not have on its node, is listed beside foreign ones; who
    # adopts it goes on from the generation that its host holds.
    Migration(6, "ALTER TABLE vm_foreign ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;\n"),
)
