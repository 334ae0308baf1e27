"""100,000 machines in the database, on a node that is not here: pages, one more create, one change to a listener.

The first is made by its command; the others are copies of its rows by SQL, since what is measured is the reading."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import statistics
import time

from girginosvm.features.vm.queries import ListVms
from girginosvm.state import db as dbs
from girginosvm.state.reader import Readers
from tests.bench.table import line
from tests.scenarios.node import Node, UnixLink

COUNT = 100_000
_KEYS = {"vm": "id", "vm_disk": "vm", "vm_nic": "vm", "vm_found": "vm"}
# What has to differ in each copy, and how.
_OWN = {
    "id": "printf('%08x-0000-4000-8000-%012x', k, k)", "vm": "printf('%08x-0000-4000-8000-%012x', k, k)",
    "name": "'crowd' || k", "created_index": "created_index + k", "path": "path || k", "mac": "printf('%012x', k)",
    "tap": "'gvm' || k",
    "power": "CASE k % 10 WHEN 0 THEN 'on' ELSE power END",
    "node": "'elsewhere'", "state": "CASE k % 10 WHEN 0 THEN 'running' ELSE state END",
}  # fmt: skip


def fill(node: Node) -> str:
    """The raft process must not run meanwhile."""
    db = dbs.open_writer(node.root / "var/lib/girginosvm/db/state.db")
    try:
        first = str(dbs.rows(db, "SELECT id FROM vm ORDER BY created_index, id LIMIT 1")[0]["id"])
        with db:
            for table, key in _KEYS.items():
                columns = [row["name"] for row in dbs.rows(db, f"SELECT name FROM pragma_table_info('{table}')")]
                values = ", ".join(_OWN.get(column, column) if column != "generation" else "1" for column in columns)
                db.execute(
                    f"WITH RECURSIVE c(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM c WHERE k < {COUNT}) "
                    f"INSERT INTO {table} SELECT {values} FROM {table}, c WHERE {key} = ?", (first,),
                )  # fmt: skip
        db.execute("pragma wal_checkpoint(truncate)").fetchall()
        return first
    finally:
        db.close()


def pages(node: Node) -> None:
    readers = Readers(node.root / "var/lib/girginosvm/db/state.db")

    async def took_ms(query: ListVms) -> float:
        took = []
        for _ in range(11):
            began = time.perf_counter()
            found = await readers.read(query.fetch)
            took.append((time.perf_counter() - began) * 1000)
            assert len(found.items) == 50, f"{query}: {len(found.items)}"
        return statistics.median(took)

    cases = {
        "as it comes": ListVms(), "by name": ListVms(sort="name"), "by state": ListVms(sort="-state"),
        "running ones": ListVms(filter="state=running"), "name contains 999": ListVms(filter="name~999"),
    }  # fmt: skip
    try:
        for name, query in cases.items():
            line(
                f"{COUNT:,} machines: 50 of them, {name}",
                f"{asyncio.run(took_ms(query)):,.1f} ms",
                "read and made values; no HTTP",
            )
    finally:
        readers.close()


def changes(node: Node) -> None:
    """From a request to the line that a listener gets, 20 times."""
    link = UnixLink(node.root / "run/girginosvm/agent.sock")
    link.request("GET", "/v1/events/stream")
    stream = link.getresponse()
    assert stream.status == 200, stream.read()
    took, created = [], []
    for number in range(20):
        began = time.perf_counter()
        made = node.ask("POST", "/v1/networks", {"name": f"n{number}", "bridge": f"bn{number}"})
        created.append((time.perf_counter() - began) * 1000)
        while made["network"].encode() not in stream.readline():
            pass
        took.append((time.perf_counter() - began) * 1000)
    with contextlib.suppress(OSError, http.client.HTTPException):
        link.close()
    line(f"{COUNT:,} machines: a change to a listener (SSE)", f"{statistics.median(took):,.1f} ms",
         f"the request itself: {statistics.median(created):,.1f} ms, a connection each")  # fmt: skip


def creates(node: Node) -> None:
    """One more machine: placement, room, address."""
    took = []
    for number in range(10):
        began = time.perf_counter()
        body = {"name": f"more{number}", "image": "tiny", "memory_mb": 64, "start": False}
        answer = node.ask("POST", "/v1/vms", body)
        took.append((time.perf_counter() - began) * 1000)
        assert "vm" in answer, json.dumps(answer)
    line(
        f"{COUNT:,} machines: create accepted",
        f"{statistics.median(took):,.1f} ms",
        "over the socket, a connection each",
    )


def measure(node: Node) -> Node:
    """Answers the node that runs now."""
    node.stop()
    began = time.perf_counter()
    fill(node)
    line(f"{COUNT:,} machines: filling", f"{time.perf_counter() - began:,.1f} s", "rows copied by SQL")
    again = Node(node.root, GIRGINOSVM_TOKEN="bench-token-of-this-run-only").ready()
    pages(again)
    changes(again)
    creates(again)
    return again
