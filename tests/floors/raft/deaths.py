"""Where a process can die while a snapshot is made, sent and installed. ``test_snapshot_processes`` kills one at each,
and ``tests/floors/state`` in the middle of the database's transaction."""

MAKING = ("machine.snapshot:before", "machine.snapshot:after")
INSTALLING = (
    "snapshot.seal:before", "snapshot.seal:named", "snapshot.seal:after", "machine.install:before",
    "machine.install:after", "snapshot.remove:before", "snapshot.remove:after",
)  # fmt: skip
STARTING = ("snapshot.restart:before", "snapshot.restart:after")  # of one that died between database and journal
INSIDE = ("machine.install:pages",)
ALL = (*MAKING, *INSTALLING, *STARTING, *INSIDE)
