"""Networks and leases. Addresses are integers, so that "the lowest free one" is arithmetic."""

from typing import Final

from girginosvm.core.manifest import Migration

MIGRATIONS: Final = (
    Migration(
        1,
        """
CREATE TABLE network (
  id TEXT PRIMARY KEY, created_index INTEGER NOT NULL, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL
  CHECK (kind IN ('nat', 'bridge')), bridge TEXT NOT NULL UNIQUE, cidr TEXT NOT NULL, gateway TEXT NOT NULL,
  range_start INTEGER NOT NULL, range_end INTEGER NOT NULL, dns TEXT NOT NULL, mtu INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE lease (
  network TEXT NOT NULL, address INTEGER NOT NULL, text TEXT NOT NULL, mac TEXT NOT NULL UNIQUE, vm TEXT NOT NULL,
  nic INTEGER NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (network, address)
) STRICT, WITHOUT ROWID;
CREATE INDEX lease_vm ON lease (vm, nic);
""",
    ),
    # Leases in order of address, over all networks.
    Migration(2, "CREATE INDEX lease_order ON lease (address, text);\n"),
)
