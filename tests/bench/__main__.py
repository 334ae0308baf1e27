"""``make bench``: our figures beside what they are compared with, in one run; ``make bench ONLY=commits,boot`` some of
them. The node is one on a fake host, so what is measured is the platform and not the guest; ``boot`` is real."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from tests.bench import boot, cluster, commits, crowd, fleet, lists, placing, rest, stages, start, table
from tests.scenarios.node import Node, qcow2

PARTS = ("start", "commits", "cluster", "rest", "stages", "place", "fleet", "lists", "crowd", "boot")


def main() -> int:
    wanted = tuple(filter(None, os.environ.get("ONLY", "").split(","))) or PARTS
    strange = set(wanted) - set(PARTS)
    if strange:
        print(f"ONLY={','.join(sorted(strange))}: known are {', '.join(PARTS)}")
        return 2
    folder = Path(tempfile.mkdtemp(prefix="girginosvm-bench-", dir="/var/tmp"))
    try:
        table.machine(folder)
        if "commits" in wanted:
            commits.measure(folder)
        if "cluster" in wanted:
            cluster.measure(folder / "cluster")
        if "rest" in wanted:
            rest.measure(folder / "rest")
        if "stages" in wanted:
            stages.measure(folder / "stages")
        if "place" in wanted:
            placing.measure(folder / "place")
        if "fleet" in wanted:
            fleet.measure(folder / "fleet")
        if {"start", "lists", "crowd"} & set(wanted):
            on_a_node(folder / "node", wanted)
        if "boot" in wanted:
            boot.measure()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def on_a_node(root: Path, wanted: tuple[str, ...]) -> None:
    root.mkdir()
    node = Node(root, GIRGINOSVM_TOKEN=lists.TOKEN)
    try:
        node.ready().upload("tiny", qcow2(root / "tiny.qcow2"))
        lists.answers(node.port)
        if "start" in wanted:
            start.measure(node)
        if "lists" in wanted:
            lists.measure(node)
        if "crowd" in wanted:
            if "lists" not in wanted:
                node.ask("POST", "/v1/vms", {"name": "m0", "image": "tiny", "memory_mb": 64, "start": False})
                node.until("/v1/vms", lambda found: found["items"][0]["state"] == "stopped")
            node = crowd.measure(node)
    finally:
        node.stop()


if __name__ == "__main__":
    raise SystemExit(main())
