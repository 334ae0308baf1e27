CREATE TABLE ca (
  generation INTEGER PRIMARY KEY, certificate TEXT NOT NULL, sealed_key TEXT NOT NULL, sealed_cluster_key TEXT NOT NULL,
  phase TEXT NOT NULL CHECK (phase IN ('offered', 'used', 'old')), born_index INTEGER NOT NULL, at_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE center (
  node TEXT PRIMARY KEY, created_index INTEGER NOT NULL, bind TEXT NOT NULL, public_url TEXT NOT NULL,
  at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE center_found (
  node TEXT PRIMARY KEY, bind TEXT NOT NULL, problem TEXT NOT NULL, at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE cluster_key (
  one INTEGER PRIMARY KEY CHECK (one = 1), mark TEXT NOT NULL
) STRICT;
CREATE TRIGGER disk_kept_booked AFTER INSERT ON disk_kept BEGIN
  INSERT INTO pool_load VALUES (new.pool, new.node, new.size_bytes)
    ON CONFLICT DO UPDATE SET booked_bytes = booked_bytes + excluded.booked_bytes;
END;
CREATE TRIGGER disk_kept_freed AFTER DELETE ON disk_kept BEGIN
  UPDATE pool_load SET booked_bytes = booked_bytes - old.size_bytes WHERE pool = old.pool AND node = old.node;
END;
CREATE TABLE disk_kept (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, path TEXT NOT NULL UNIQUE, pool TEXT NOT NULL,
  node TEXT NOT NULL, size_bytes INTEGER NOT NULL, image TEXT NOT NULL, vm_name TEXT NOT NULL, at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX disk_kept_image ON disk_kept (image);
CREATE INDEX disk_kept_pool ON disk_kept (pool, node);
CREATE TABLE event (
  log_index INTEGER NOT NULL, n INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, at_ms INTEGER NOT NULL,
  kind TEXT NOT NULL, noun TEXT NOT NULL, subject_id TEXT NOT NULL, text TEXT NOT NULL,
  actor TEXT NOT NULL, actor_name TEXT NOT NULL, address TEXT NOT NULL, why TEXT NOT NULL, node TEXT NOT NULL,
  fields TEXT NOT NULL, chain BLOB NOT NULL, PRIMARY KEY (log_index, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_subject ON event (noun, subject_id, log_index, n);
CREATE TABLE event_anchor (
  one INTEGER PRIMARY KEY CHECK (one = 1), log_index INTEGER NOT NULL, n INTEGER NOT NULL, chain BLOB NOT NULL,
  events INTEGER NOT NULL
) STRICT;
CREATE TABLE image (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, name TEXT NOT NULL UNIQUE, version TEXT NOT NULL,
  sha256 TEXT NOT NULL, size_bytes INTEGER NOT NULL, virtual_bytes INTEGER NOT NULL, format TEXT NOT NULL,
  min_disk_gb INTEGER NOT NULL, firmware TEXT NOT NULL, signed INTEGER NOT NULL, source TEXT NOT NULL,
  node TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('pulling', 'ready', 'failed')),
  problem_code TEXT NOT NULL, problem TEXT NOT NULL, created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE image_copy (
  image TEXT NOT NULL, node TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('wanted', 'ready')),
  problem_code TEXT NOT NULL, problem TEXT NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (image, node)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_copy_node ON image_copy (node, state);
CREATE TABLE image_gone (
  id TEXT NOT NULL, node TEXT NOT NULL, format TEXT NOT NULL, PRIMARY KEY (id, node)
) STRICT, WITHOUT ROWID;
CREATE TABLE join_token (
  token_hash TEXT PRIMARY KEY, created_index INTEGER NOT NULL, created_by TEXT NOT NULL, expires_at_ms INTEGER NOT NULL,
  used_by TEXT NOT NULL
, revoked_at_ms INTEGER) STRICT, WITHOUT ROWID;
CREATE TABLE lease (
  network TEXT NOT NULL, address INTEGER NOT NULL, text TEXT NOT NULL, mac TEXT NOT NULL UNIQUE, vm TEXT NOT NULL,
  nic INTEGER NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (network, address)
) STRICT, WITHOUT ROWID;
CREATE INDEX lease_order ON lease (address, text);
CREATE INDEX lease_vm ON lease (vm, nic);
CREATE TABLE machine_state (
  one INTEGER PRIMARY KEY CHECK (one = 1), applied_index INTEGER NOT NULL, applied_term INTEGER NOT NULL,
  at_ms INTEGER NOT NULL, incarnation TEXT NOT NULL, feature_level INTEGER NOT NULL, event_chain BLOB NOT NULL
) STRICT;
CREATE TABLE member (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, name TEXT NOT NULL UNIQUE, address TEXT NOT NULL UNIQUE,
  api TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('joining', 'member')), witness INTEGER NOT NULL,
  at_ms INTEGER NOT NULL
, drained INTEGER NOT NULL DEFAULT 0, lead TEXT NOT NULL DEFAULT '' CHECK (lead IN ('', 'first', 'any', 'last'))) STRICT, WITHOUT ROWID;
CREATE TABLE member_gone (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, name TEXT NOT NULL, reason TEXT NOT NULL, at_ms INTEGER NOT NULL
, lead TEXT NOT NULL DEFAULT '') STRICT, WITHOUT ROWID;
CREATE TABLE member_trust (
  member TEXT PRIMARY KEY, trusts INTEGER NOT NULL, shows INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE migration (
  room TEXT NOT NULL, number INTEGER NOT NULL, checksum TEXT NOT NULL, PRIMARY KEY (room, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE network (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL
  CHECK (kind IN ('nat', 'bridge')), bridge TEXT NOT NULL UNIQUE, cidr TEXT NOT NULL, gateway TEXT NOT NULL,
  range_start INTEGER NOT NULL, range_end INTEGER NOT NULL, dns TEXT NOT NULL, mtu INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE node (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, name TEXT NOT NULL UNIQUE, hostname TEXT NOT NULL,
  cpus INTEGER NOT NULL, cpu_model TEXT NOT NULL, memory_bytes INTEGER NOT NULL, reserve_bytes INTEGER NOT NULL,
  kernel TEXT NOT NULL, os TEXT NOT NULL, libvirt TEXT NOT NULL, qemu TEXT NOT NULL, acceleration TEXT NOT NULL,
  acceleration_reason TEXT NOT NULL, firmwares TEXT NOT NULL, addresses TEXT NOT NULL, reported_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE node_away (node TEXT PRIMARY KEY, since_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE node_cordon (
  node TEXT NOT NULL, holder TEXT NOT NULL CHECK (holder IN ('person', 'maintenance', 'drain')), why TEXT NOT NULL,
  actor TEXT NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (node, holder)
) STRICT, WITHOUT ROWID;
CREATE TABLE node_domain (node TEXT PRIMARY KEY, domain TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE node_load (
  node TEXT PRIMARY KEY, memory_bytes INTEGER NOT NULL, vcpus INTEGER NOT NULL, vms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE node_release (
  node TEXT PRIMARY KEY, release TEXT NOT NULL, level INTEGER NOT NULL, at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE operation (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, kind TEXT NOT NULL, noun TEXT NOT NULL,
  subject_id TEXT NOT NULL, subject_name TEXT NOT NULL, node TEXT NOT NULL, generation INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed')), step TEXT NOT NULL,
  problem_code TEXT NOT NULL, problem TEXT NOT NULL, actor TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL, finished_at_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX operation_ended ON operation (finished_at_ms, id) WHERE finished_at_ms IS NOT NULL;
CREATE INDEX operation_order ON operation (created_index, id);
CREATE INDEX operation_subject ON operation (subject_id, state);
CREATE TABLE placement (
  vm TEXT PRIMARY KEY, node TEXT NOT NULL, generation INTEGER NOT NULL, reasons TEXT NOT NULL, at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE pool (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, name TEXT NOT NULL UNIQUE, path TEXT NOT NULL UNIQUE,
  reserve_percent INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE pool_found (
  pool TEXT NOT NULL, node TEXT NOT NULL, capacity_bytes INTEGER NOT NULL, free_bytes INTEGER NOT NULL,
  allocated_bytes INTEGER NOT NULL, problem TEXT NOT NULL, at_ms INTEGER NOT NULL, filesystem TEXT NOT NULL DEFAULT '', PRIMARY KEY (pool, node)
) STRICT, WITHOUT ROWID;
CREATE INDEX pool_found_node ON pool_found (node, filesystem);
CREATE TABLE pool_load (
  pool TEXT NOT NULL, node TEXT NOT NULL, booked_bytes INTEGER NOT NULL, PRIMARY KEY (pool, node)
) STRICT, WITHOUT ROWID;
CREATE TABLE report (
  node TEXT NOT NULL, subject TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (subject, node)
) STRICT, WITHOUT ROWID;
CREATE INDEX report_node ON report (node);
CREATE TABLE request (
  request_id TEXT PRIMARY KEY, actor TEXT NOT NULL, key TEXT, digest BLOB NOT NULL, outcome BLOB NOT NULL,
  at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX request_age ON request (at_ms);
CREATE UNIQUE INDEX request_key ON request (actor, key) WHERE key IS NOT NULL;
CREATE TABLE retention (
  one INTEGER PRIMARY KEY CHECK (one = 1), event_days INTEGER NOT NULL, operation_days INTEGER NOT NULL
) STRICT;
CREATE TABLE session (
  token_hash TEXT PRIMARY KEY, user TEXT NOT NULL REFERENCES user (id), address TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_user ON session (user);
CREATE TABLE sign_in_attempt (
  email TEXT NOT NULL, address TEXT NOT NULL, count INTEGER NOT NULL, last_at_ms INTEGER NOT NULL,
  PRIMARY KEY (email, address)
) STRICT, WITHOUT ROWID;
CREATE TABLE token (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, name TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'viewer')), token_hash TEXT NOT NULL UNIQUE,
  created_by TEXT NOT NULL, created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER, revoked_at_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX token_order ON token (created_index, id);
CREATE TABLE user (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, email TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'viewer')),
  password_hash TEXT NOT NULL, must_change INTEGER NOT NULL, disabled INTEGER NOT NULL, created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX user_order ON user (created_index, id);
CREATE TRIGGER vm_load_added AFTER INSERT ON vm BEGIN
  INSERT INTO node_load VALUES (new.node, new.memory_bytes, new.vcpu, 1) ON CONFLICT DO UPDATE SET
    memory_bytes = memory_bytes + excluded.memory_bytes, vcpus = vcpus + excluded.vcpus, vms = vms + 1;
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
CREATE TRIGGER vm_load_removed AFTER DELETE ON vm BEGIN
  UPDATE node_load SET memory_bytes = memory_bytes - old.memory_bytes, vcpus = vcpus - old.vcpu, vms = vms - 1
    WHERE node = old.node;
END;
CREATE TABLE vm (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, name TEXT NOT NULL, project TEXT NOT NULL,
  node TEXT NOT NULL, generation INTEGER NOT NULL, power TEXT NOT NULL CHECK (power IN ('on', 'off')),
  stop_mode TEXT NOT NULL, stop_by_ms INTEGER NOT NULL, reboots INTEGER NOT NULL, reboot_force INTEGER NOT NULL,
  doomed TEXT NOT NULL CHECK (doomed IN ('', 'keep', 'purge')),
  adopted INTEGER NOT NULL, vcpu INTEGER NOT NULL, memory_bytes INTEGER NOT NULL, firmware TEXT NOT NULL,
  image TEXT NOT NULL, image_name TEXT NOT NULL, ssh_keys TEXT NOT NULL, user_data TEXT NOT NULL,
  tags TEXT NOT NULL, notes TEXT NOT NULL, external_id TEXT NOT NULL, created_at_ms INTEGER NOT NULL
, anti_affinity TEXT NOT NULL DEFAULT '', anti_affinity_soft INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
CREATE INDEX vm_by_name ON vm (name, id);
CREATE INDEX vm_group ON vm (project, anti_affinity, name, id) WHERE anti_affinity <> '';
CREATE UNIQUE INDEX vm_name ON vm (project, name);
CREATE INDEX vm_node ON vm (node, name, id);
CREATE INDEX vm_order ON vm (created_index, id);
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
CREATE TABLE vm_disk (
  vm TEXT NOT NULL, n INTEGER NOT NULL, pool TEXT NOT NULL, path TEXT NOT NULL UNIQUE, format TEXT NOT NULL,
  size_bytes INTEGER NOT NULL, image TEXT NOT NULL, image_format TEXT NOT NULL, full_copy INTEGER NOT NULL,
  PRIMARY KEY (vm, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX vm_disk_pool ON vm_disk (pool);
CREATE TABLE vm_foreign (
  node TEXT NOT NULL, id TEXT NOT NULL, created_index INTEGER NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
  vcpu INTEGER NOT NULL, memory_bytes INTEGER NOT NULL, firmware TEXT NOT NULL, disks TEXT NOT NULL,
  nics TEXT NOT NULL, generation INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (node, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE vm_found (
  vm TEXT PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT NULL, generation INTEGER NOT NULL,
  reboots INTEGER NOT NULL, acceleration TEXT NOT NULL, agent INTEGER NOT NULL, problem_code TEXT NOT NULL,
  problem TEXT NOT NULL, at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE vm_nic (
  vm TEXT NOT NULL, n INTEGER NOT NULL, network TEXT NOT NULL, mac TEXT NOT NULL UNIQUE, address TEXT NOT NULL,
  tap TEXT NOT NULL, bridge TEXT NOT NULL DEFAULT '', PRIMARY KEY (vm, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX vm_nic_network ON vm_nic (network);
