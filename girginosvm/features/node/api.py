"""The door of nodes: which of them takes a machine, what they are like, and whose word counts."""

from collections.abc import Mapping
from typing import Final

import msgspec

from girginosvm.core import levels
from girginosvm.core.errors import Busy, Conflict, HostFault, Missing, OverQuota, Overreach, Problem, Stale
from girginosvm.features.node.model import Asked, Beside, Decision, Pool
from girginosvm.features.node.plan import SILENT_MS, Candidate, decide, decisive, is_heard, sentence
from girginosvm.features.node.words import Said
from girginosvm.state.db import Row
from girginosvm.state.reader import Reader
from girginosvm.state.tx import Tx

# What is a node's own, by its column ``node``.
_OF_A_NODE = (
    "vm_foreign", "disk_kept", "pool_found", "pool_load", "report", "node_cordon", "node_domain", "node_away",
    "image_copy", "image_gone",
)  # fmt: skip
_TEXTS = msgspec.json.Decoder(tuple[str, ...])
# Of a row of ``node``: the leader does not reach it, or it has not said for three minutes that it is there. A lone node
# says that only when it has something to say: whoever asks it hears it.
IS_SILENT: Final = f"""((SELECT count(*) FROM node) > 1 AND (
  EXISTS (SELECT 1 FROM node_away WHERE node_away.node = node.id) OR
  node.reported_at_ms < (SELECT at_ms FROM machine_state) - {SILENT_MS}))"""


def addresses(reader: Reader, node: str) -> tuple[str, ...]:
    """The addresses that a node has reported; none before its first report."""
    row = reader.one("SELECT addresses FROM node WHERE id = ?", (node,))
    return _TEXTS.decode(row["addresses"]) if row else ()


def domains(reader: Reader) -> dict[str, str]:
    """The failure domain of each node; "" for one that nobody has put into one."""
    rows = reader.all("SELECT id, domain FROM node LEFT JOIN node_domain ON node = id ORDER BY id")
    return {row["id"]: row["domain"] or "" for row in rows}


def name_of(reader: Reader, node: str) -> str:
    """What a node calls itself, a member or not; its id where nothing is known of it."""
    row = reader.one("SELECT name FROM node WHERE id = ?", (node,))
    return str(row["name"]) if row else node


def silent(reader: Reader) -> tuple[str, ...]:
    """Names of the nodes that are silent (``IS_SILENT``)."""
    return tuple(row["name"] for row in reader.all(f"SELECT name FROM node WHERE {IS_SILENT} ORDER BY name"))


def unheard(reader: Reader) -> frozenset[str]:
    """Nodes of which the database says how they were, and not how they are, seen from the node that is asked."""
    here, cut_off = reader.sight
    return frozenset(
        row["id"] for row in reader.all(f"SELECT id, {IS_SILENT} AS silent FROM node ORDER BY id")
        if not is_heard(here=row["id"] == here, away=bool(row["silent"]), cut_off=cut_off)
    )  # fmt: skip


def away(reader: Reader) -> frozenset[str]:
    """Nodes that the leader does not reach."""
    return frozenset(row["node"] for row in reader.all("SELECT node FROM node_away ORDER BY node"))


def machines_on(reader: Reader, node: str) -> tuple[str, ...]:
    """Names of the machines on a node."""
    return tuple(row["name"] for row in reader.all("SELECT name FROM vm WHERE node = ? ORDER BY name, id", (node,)))


def releases(db: Reader | Tx) -> tuple[levels.Node, ...]:
    """Which release every member runs, as far as it has said so, in order of id."""
    rows = db.all(
        "SELECT id, coalesce(member.name, node.name, id) AS name, ifnull(release, '') AS release, "
        "ifnull(level, 0) AS level, max(ifnull(node.reported_at_ms, 0), ifnull(said.at_ms, 0), "
        "ifnull(member.at_ms, 0)) AS seen_ms FROM (SELECT id FROM member UNION SELECT node FROM node_release) "
        "LEFT JOIN member USING (id) LEFT JOIN node USING (id) LEFT JOIN node_release said ON said.node = id "
        "ORDER BY id"
    )
    return tuple(levels.Node(**row) for row in rows)


def record_release(tx: Tx, node: str, release: str, level: int) -> None:
    """A node runs this release from now on; history keeps a change."""
    before = tx.one("SELECT release, level FROM node_release WHERE node = ?", (node,))
    tx.run("INSERT OR REPLACE INTO node_release VALUES (?, ?, ?, ?)", (node, release, level, tx.at_ms))
    if before is not None and (before["release"], before["level"]) != (release, level):
        text = f"{called(tx, node)} runs release {release}, which supports feature level {level}; it was "
        tx.event("node.release", "node", node, text + before["release"], release=release, level=level)


def forget_release(tx: Tx, node: str) -> None:
    """It is no member any more."""
    tx.run("DELETE FROM node_release WHERE node = ?", (node,))


def own(tx: Tx, node: str) -> None:
    """A node speaks of its own rows only (raft stamps who spoke). The refusal is kept in the history."""
    if tx.node != node:
        raise Overreach("not-your-row", f"node {tx.node} spoke for node {node}")


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


def known(tx: Tx, node: str) -> Row:
    """A node's row; Missing ``node-missing``."""
    row = tx.one("SELECT * FROM node WHERE id = ?", (node,))
    if row is None:
        raise Missing("node-missing", f"there is no node {node}")
    return row


def called(tx: Tx, node: str) -> str:
    """A node's name; its id before it has said what it is."""
    row = tx.one("SELECT name FROM node WHERE id = ?", (node,))
    return str(row["name"]) if row else node


def close(tx: Tx, node: str, holder: str) -> bool:
    """Let no new machine onto a node until ``holder`` opens it again; the reason is the request's. False when this
    holder has closed it before. Holders do not know of each other: the last to open it opens it."""
    if tx.one("SELECT 1 FROM node_cordon WHERE node = ? AND holder = ?", (node, holder)):
        return False
    tx.insert("node_cordon", node=node, holder=holder, why=tx.why, actor=tx.actor.name, at_ms=tx.at_ms)
    return True


def open_again(tx: Tx, node: str, holder: str) -> bool:
    """Take back what ``holder`` closed; False when it had not."""
    return bool(tx.run("DELETE FROM node_cordon WHERE node = ? AND holder = ?", (node, holder)))


def lose(tx: Tx, node: str) -> None:
    """Nobody hears the host from here on; what it said of itself, and what is on it, stays described."""
    if tx.one("SELECT 1 FROM node WHERE id = ?", (node,)):
        tx.run("INSERT INTO node_away VALUES (?, ?) ON CONFLICT DO NOTHING", (node, tx.at_ms))


def succeed(tx: Tx, was: str, node: str) -> None:
    """The same host under another id: where it stands, and who else than a drain keeps it closed, stays true of it."""
    tx.run("UPDATE node_domain SET node = ? WHERE node = ?", (node, was))
    tx.run("UPDATE node_cordon SET node = ? WHERE node = ? AND holder <> 'drain'", (node, was))


def forget_node(tx: Tx, node: str) -> None:
    """The host is gone for good: what it said of itself, and everything that was on it, is given up."""
    for vm in tx.all("SELECT id FROM vm WHERE node = ? ORDER BY id", (node,)):
        for table in ("vm_disk", "vm_nic", "vm_found", "lease", "placement"):
            tx.run(f"DELETE FROM {table} WHERE vm = ?", (vm["id"],))
        tx.run("DELETE FROM vm WHERE id = ?", (vm["id"],))
        forget(tx, f"vm {vm['id']}")
    for table in _OF_A_NODE:
        tx.run(f"DELETE FROM {table} WHERE node = ?", (node,))
    tx.run(
        "UPDATE image SET state = 'failed', problem_code = 'overtaken', problem = 'its node is gone' "
        "WHERE node = ? AND state = 'pulling'",
        (node,),
    )
    tx.run("DELETE FROM node WHERE id = ?", (node,))


def place(tx: Tx, asked: Asked, pools: Mapping[str, Pool], beside: Mapping[str, Beside]) -> Decision:
    """The node for a machine, with the reasons. ``pools``: the asked pool on each node that shows it; ``beside``: the
    machines of its group on each node that has some. A problem with all reasons when no node can take it."""
    # Whoever hands the request in is there.
    decision = decide(asked, _candidates(tx, tx.node, pools, beside))
    if not decision.verdicts:
        raise Busy("no-node", "no node has described itself yet; try again in a few seconds", retry_after_s=2)
    if not decision.node:
        raise _refusal(asked, decision)
    return decision


def foresee(reader: Reader, asked: Asked, pools: Mapping[str, Pool], beside: Mapping[str, Beside]) -> Decision:
    """What ``place`` would decide now; nothing is booked, and no node is a decision too. A node that is alone is there:
    it says so only when it has something to say."""
    rows = reader.all("SELECT id FROM node ORDER BY id LIMIT 2")
    here = rows[0]["id"] if len(rows) == 1 else ""
    return decide(asked, _candidates(reader, here, pools, beside))


def _candidates(
    db: Reader | Tx, here: str, pools: Mapping[str, Pool], beside: Mapping[str, Beside]
) -> tuple[Candidate, ...]:
    closed = {row["node"]: _closed(row) for row in db.all("SELECT * FROM node_cordon ORDER BY node, holder DESC")}
    for row in db.all("SELECT id, state, witness FROM member ORDER BY id"):
        if row["witness"] or row["state"] != "member":
            closed[row["id"]] = Said("witness" if row["witness"] else "joining")
    closed |= {row["id"]: Said("gone") for row in db.all("SELECT id FROM member_gone ORDER BY id")}
    rows = db.all(
        "SELECT id, name, node.memory_bytes, reserve_bytes, firmwares, reported_at_ms, "
        "ifnull(load.memory_bytes, 0) AS booked_bytes, ifnull(node_domain.domain, '') AS domain, since_ms FROM node "
        "LEFT JOIN node_load load ON load.node = node.id LEFT JOIN node_domain ON node_domain.node = node.id "
        "LEFT JOIN node_away ON node_away.node = node.id ORDER BY node.id"
    )
    alone = Beside()
    return tuple(
        Candidate(
            id=row["id"], name=row["name"], domain=row["domain"], memory_bytes=row["memory_bytes"],
            reserve_bytes=row["reserve_bytes"], booked_bytes=row["booked_bytes"],
            firmwares=_TEXTS.decode(row["firmwares"]), closed=closed.get(row["id"]),
            away_ms=-1 if row["since_ms"] is None or row["id"] == here else db.at_ms - row["since_ms"],
            silent_ms=0 if row["id"] == here else db.at_ms - row["reported_at_ms"],
            pool=pools.get(row["id"]), beside=beside.get(row["id"], alone),
        )
        for row in rows
    )  # fmt: skip


def _closed(row: Row) -> Said:
    how = {"maintenance": "maintenance", "drain": "drained"}.get(row["holder"], "cordoned")
    return Said(f"{how}-why", {"why": row["why"]}) if row["why"] else Said(how)


def _refusal(asked: Asked, decision: Decision) -> Problem:
    verdicts = tuple(one for one in decision.verdicts if one.code != "elsewhere")
    code, detail = decisive(verdicts), sentence(verdicts)
    match code:
        case "pool-unknown":
            return Busy("pool-unknown", detail, retry_after_s=2)
        case "pool-faulty":
            return HostFault("pool-faulty", detail)
        case "memory-short" | "pool-full":
            return OverQuota(code, detail)
        case _:
            return Conflict(code, detail)
