"""The door of nodes: where a machine can go, what room is left there, and whose word counts."""

import msgspec

from girginosvm.core.errors import Busy, Forbidden, OverQuota, Stale
from girginosvm.core.units import shown
from girginosvm.state.reader import Reader
from girginosvm.state.tx import Tx


def addresses(reader: Reader, node: str) -> tuple[str, ...]:
    """The addresses that a node has reported; none before its first report."""
    row = reader.one("SELECT addresses FROM node WHERE id = ?", (node,))
    return msgspec.json.decode(row["addresses"], type=tuple[str, ...]) if row else ()


def machines_on(reader: Reader, node: str) -> tuple[str, ...]:
    """Names of the machines on a node."""
    return tuple(row["name"] for row in reader.all("SELECT name FROM vm WHERE node = ? ORDER BY name, id", (node,)))


def own(tx: Tx, node: str) -> None:
    """A node speaks of its own rows only (raft stamps who spoke)."""
    if tx.node != node:
        raise Forbidden("not-your-row", f"node {tx.node} spoke for node {node}")


def newest(tx: Tx, node: str, subject: str, sequence: int) -> None:
    """What a node says of a subject is newer than what it said before; Stale ``report-late``. 0: not numbered."""
    if not sequence:
        return
    last = tx.one("SELECT sequence FROM report WHERE node = ? AND subject = ?", (node, subject))
    if last is not None and last["sequence"] >= sequence:
        detail = f"node {node} has said something newer of {subject}: {last['sequence']}, this is {sequence}"
        raise Stale("report-late", detail)
    tx.run("INSERT OR REPLACE INTO report VALUES (?, ?, ?)", (node, subject, sequence))


def forget(tx: Tx, subject: str) -> None:
    """The subject is gone: nothing more is said of it."""
    tx.run("DELETE FROM report WHERE subject = ?", (subject,))


def forget_node(tx: Tx, node: str) -> None:
    """The host is gone for good: what it said of itself, and everything that was on it, is given up."""
    for vm in tx.all("SELECT id FROM vm WHERE node = ? ORDER BY id", (node,)):
        for table in ("vm_disk", "vm_nic", "vm_found", "lease"):
            tx.run(f"DELETE FROM {table} WHERE vm = ?", (vm["id"],))
        tx.run("DELETE FROM vm WHERE id = ?", (vm["id"],))
        forget(tx, vm["id"])
    for table in ("vm_foreign", "disk_kept", "pool_found", "report"):
        tx.run(f"DELETE FROM {table} WHERE node = ?", (node,))
    tx.run("DELETE FROM node WHERE id = ?", (node,))


def place(tx: Tx, memory_bytes: int) -> str:
    """The node for a machine of this size. With one node it is that one; OverQuota says what is missing."""
    nodes = tx.all(
        "SELECT id, name, node.memory_bytes - reserve_bytes - ifnull(load.memory_bytes, 0) AS free_bytes FROM node "
        "LEFT JOIN node_load load ON load.node = node.id ORDER BY id"
    )
    if not nodes:
        raise Busy("no-node", "no node has described itself yet; try again in a few seconds", retry_after_s=2)
    reasons = []
    for node in nodes:
        if memory_bytes <= node["free_bytes"]:
            return str(node["id"])
        reasons.append(f"node {node['name']} has {shown(max(node['free_bytes'], 0))} of memory free")
    raise OverQuota("memory-short", f"{'; '.join(reasons)}; {shown(memory_bytes)} asked")
