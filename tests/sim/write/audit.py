"""What has to hold when a storm is over: of replicas, of what people were told, of rows."""

from __future__ import annotations

import msgspec
from sim.raft.invariants import Broken
from sim.write.database import Database
from sim.write.ledger import Ledger
from sim.write.people import Book
from sim.write.world import WriteWorld

from girginosvm.core.codec import Outcome
from girginosvm.daemon.execute import Answer

_EMPTY = {
    "what a node has promised is the sum of its machines": """
        SELECT node, memory_bytes, vcpus, vms FROM node_load WHERE vms <> 0 OR memory_bytes <> 0 OR vcpus <> 0
        EXCEPT SELECT node, sum(memory_bytes), sum(vcpu), count(*) FROM vm GROUP BY node""",
    "every machine's node has promised it": """
        SELECT node, sum(memory_bytes), sum(vcpu), count(*) FROM vm GROUP BY node
        EXCEPT SELECT node, memory_bytes, vcpus, vms FROM node_load""",
    "what is booked of a pool is the sum of its disks": """
        WITH disks AS (
          SELECT vm_disk.pool, vm.node, size_bytes FROM vm_disk JOIN vm ON vm.id = vm_disk.vm
          UNION ALL SELECT pool, node, size_bytes FROM disk_kept)
        SELECT pool, node, sum(size_bytes) FROM disks GROUP BY pool, node
        EXCEPT SELECT pool, node, booked_bytes FROM pool_load""",
    "no node has promised more memory than it has": """
        SELECT node FROM node_load JOIN node ON node.id = node_load.node
        WHERE node_load.memory_bytes > node.memory_bytes - node.reserve_bytes""",
    "no pool is booked beyond its room": """
        SELECT load.pool FROM pool_load load JOIN pool_found f ON f.pool = load.pool AND f.node = load.node
        WHERE load.booked_bytes > f.free_bytes + f.allocated_bytes""",
    "no address of a network is two machines'": """
        SELECT network, address FROM vm_nic WHERE address <> '' GROUP BY network, address HAVING count(*) > 1""",
    "every address is leased to its machine": """
        SELECT vm, n, network, address, mac FROM vm_nic WHERE address <> ''
        EXCEPT SELECT vm, nic, network, text, mac FROM lease""",
    "every lease is a machine's": """
        SELECT vm, nic, network, text, mac FROM lease
        EXCEPT SELECT vm, n, network, address, mac FROM vm_nic""",
    "every address is in its network's range": """
        SELECT lease.text FROM lease JOIN network ON network.id = lease.network
        WHERE lease.address NOT BETWEEN network.range_start AND network.range_end""",
    "names are unique": "SELECT name FROM vm GROUP BY project, name HAVING count(*) > 1",
    "every machine has its disk and its interface": """
        SELECT id FROM vm WHERE (SELECT count(*) FROM vm_disk WHERE vm = vm.id) <> 1
        OR (SELECT count(*) FROM vm_nic WHERE vm = vm.id) <> 1""",
    "every disk's image is there": """
        SELECT path FROM vm_disk WHERE full_copy = 0 AND image NOT IN (SELECT id FROM image)""",
    "a machine was created once": """
        SELECT subject_id FROM event WHERE kind = 'vm.created' GROUP BY subject_id HAVING count(*) > 1""",
    "no key has two requests": """
        SELECT actor, key FROM request WHERE key IS NOT NULL GROUP BY actor, key HAVING count(*) > 1""",
}


def replicas(world: WriteWorld) -> None:
    """All are equal, to the last row, and no line of history is missing or changed."""
    hosts = list(world.hosts.values())
    first = hosts[0].database.fingerprint()
    for host in hosts:
        world.ledger.compare(first, host.database.fingerprint(), f"n1 and {host.name}")
        broken = host.database.broken_event()
        if broken is not None:
            raise Broken(f"{host.name}: the chain of events is broken at entry {broken}")


def books(book: Book, ledger: Ledger) -> None:
    """What people were told is what was done, once."""
    for why, outcomes in ledger.executed.items():
        if len(outcomes) > 1 and why:
            raise Broken(f"{why} was executed {len(outcomes)} times")
    for why, answer in book.done.items():
        outcomes = ledger.executed.get(why)
        if not outcomes:
            raise Broken(f"{why} was acknowledged at entry {answer.index}, and is in no log")
        if not _same(answer, outcomes[0]):
            raise Broken(f"{why} was answered with {answer}, and the log has {outcomes[0]}")
    for why, code in book.refused.items():
        for outcome in ledger.executed.get(why, []):
            if outcome.problem is None or outcome.problem.code != code:
                raise Broken(f"{why} was refused as {code}, and the log has {outcome}")
    undead = sorted(book.undone & set(ledger.executed))
    if undead:
        raise Broken(f"refused as not done, and done: {undead}")


def _same(answer: Answer, outcome: Outcome) -> bool:
    value = msgspec.msgpack.decode(outcome.value) if outcome.value else None
    return (answer.index, answer.value) == (outcome.index, value)


def rows(database: Database) -> None:
    """What rows promise each other."""
    for promise, sql in _EMPTY.items():
        found = database.rows(sql)
        if found:
            raise Broken(f"not so: {promise}: {found[:3]}")
