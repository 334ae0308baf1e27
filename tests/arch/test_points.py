"""Whatever leaves the process can be killed on its way: each await, rename and program in daemon/ and hypervisor/ is
under a kill point, or stands here with the reason why it needs none."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

CODE = Path(__file__).parents[2] / "girginosvm"
DEEDS = ("os.rename", "os.replace", "os.link", "os.unlink", "os.posix_spawn", "shutil.rmtree", "shutil.move")
METHODS = ("rename", "unlink", "write_text", "write_bytes", "link_to", "symlink_to", "rmdir")
# Files whose classes stand behind `pointed` (libvirt/host.py, fake/host.py): points around every method.
PORTS = ("hypervisor/libvirt/", "hypervisor/fake/", "hypervisor/net/", "hypervisor/storage/", "hypervisor/seed.py")
INSIDE = "waits for something in this process"
READ = "reads the database, and changes nothing"
LOGGED = "ends in Client.propose, which has points"
REASONS = {
    "self._heard.get": INSIDE, "self._watch.moved": INSIDE, "self._moved.wait_for": INSIDE, "asyncio.sleep": INSIDE,
    "self._wake.wait": INSIDE, "waiter": INSIDE, "asyncio.wait": INSIDE, "asyncio.shield": INSIDE, "over": INSIDE,
    "self._readers.read": READ, "self._readers.glance": READ, "self._read": READ, "self.executor.resolve": READ,
    "self._health.made": READ, "self._site.read": READ, "read": READ,
    "open_ways.enter_async_context": "asks another node for what a person wants to see, and changes nothing",
    "self._fresh": "asks the raft process for the newest, and changes nothing",
    "self._client.status": "asks the raft process how it stands, and changes nothing", "self._membership.status": READ,
    "self._propose": LOGGED, "self._say": LOGGED, "executor.command": LOGGED, "self._signin.cluster_token": LOGGED,
    "self._signin.first_administrator": LOGGED, "parts.beginning.said": LOGGED,
    "hook": "daemon/host.py pull: reads a mirror's catalogue",
    "offer": "reads a mirror's catalogue, and changes nothing",
    "asyncio.to_thread": "argon2, a read of a serial log, a certificate (made anew at the next round): in this process",
    "self._turns.take": "argon2, in this process",
    "self._first_password.unlink": "a file that is good for nothing; the next start looks again",
    "ImageReconciler(parts.site).sweep": "a pointed port", "site.read": "reads the database, and changes nothing",
    "self._parts.site.host.close": "lets go of connections", "door.close": "lets go of connections",
    "self._door.close": "lets go of connections", "self._door.unix": "listens",
    "door.tcp": "listens", "self._door.tcp": "listens", "door.unix": "listens", "serve": "listens",
    "self._agreement.propose": "flushes under the journal's points", "self.agreement.start": INSIDE,
    "self.upgrade.begin": "its steps stand here by themselves", "step": "upgrade.py: the steps of this table",
    "self.agreement.stop": "flushes under the journal's points",
    "self._agreement.read_barrier": "asks the other members, and changes nothing",
    "self._client.turn": "ends this life of the raft process, whose next one begins under points",
    "self._client.recover": "the raft process writes it down, under points of its own",
    "self._joining.join": "its steps stand here by themselves",
    "self._leaving.leave": "its steps stand here by themselves",
    "self._partings.of_removal": READ, "self._partings.of_leaving": READ, "self._seen": READ,
    "self._peers.meet": "looks who is there, and changes nothing",
    "recovery.record": "an entry of the log and a file, under points of their own",
    "self._client.left": INSIDE, "self._membership.place": READ, "self._barrier": READ,
    "self._status": READ, "self._sight": "asks how long no leader was heard, and changes nothing",
    "contact.cut_off": "asks how long no leader was heard, and changes nothing",
    "cut_off": "asks how long no leader was heard, and changes nothing",
    "self._contact.age_ms": "asks the raft process how it stands, and changes nothing",
    "quorum.look": READ, "self._membership.seen": READ,
    "self._site.host.domains.observe": "a pointed port",
    "outward.date_of": "asks another node for its time", "self._site.host.facts.observe": "a pointed port",
    "asyncio.open_connection": "whether another node takes a connection, and nothing is said",
    "writer.wait_closed": "whether another node takes a connection, and nothing is said",
    "self._membership.look_whether_removed": "asks other nodes, and changes nothing",
    "self._client.change": "an entry of the log, under the journal's points", "self._client.transfer": INSIDE,
    "self._client.prefer": INSIDE,
    "outward.ask": "asks another node, whose writes have points of their own",
    "bring_in": LOGGED, "say": LOGGED,
    "path.unlink": "a list that is worked again, and then says that all of it is there",
    "dev.supervise": "the supervisor of --dev; its children have the points",
    "asyncio.gather": "the supervisor of --dev; its children have the points",
    "os.posix_spawn": "the supervisor of --dev; its children have the points",
    "process.stdin.drain": "run.py: the program is under the port's points and its own", "stream.read": "run.py, too",
}  # fmt: skip


def named(node: ast.AST, local: set[str]) -> str:
    """The callee that leaves, as it is written; empty for what stays and for functions of the same file."""
    if isinstance(node, ast.Await):
        text = ast.unparse(node.value.func if isinstance(node.value, ast.Call) else node.value)
        return "" if text.rpartition(".")[2] in local else text
    if isinstance(node, ast.Call):
        text = ast.unparse(node.func)
        return text if text in DEEDS or text.rpartition(".")[2] in METHODS else ""
    return ""


def leaving(source: str) -> Iterator[tuple[str, str]]:
    """(function, callee) of everything that leaves the process from a function without a point of its own."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    local = {function.name for function in functions}
    for function in functions:
        nodes = list(ast.walk(function))
        if any(isinstance(node, ast.Call) and ast.unparse(node.func).endswith("reach") for node in nodes):
            continue
        yield from ((function.name, text) for node in nodes if (text := named(node, local)))


def test_what_leaves_the_process_is_under_a_kill_point_or_has_a_reason() -> None:
    met, bare = set(), []
    for file in sorted(path for floor in ("daemon", "hypervisor") for path in (CODE / floor).rglob("*.py")):
        place = file.relative_to(CODE).as_posix()
        if place.startswith(PORTS):
            continue
        for function, callee in leaving(file.read_text(encoding="utf-8")):
            met.add(callee)
            if callee not in REASONS:
                bare.append(f"{place}: {function} calls {callee}")
    assert bare == []
    assert set(REASONS) - met == set(), "reasons for what is not there any more"


def test_the_walk_sees_a_rename_a_program_and_an_await() -> None:
    source = "async def f():\n    os.rename(a, b)\n    await asyncio.create_subprocess_exec(c)\n    await g()\n"
    assert {callee for _, callee in leaving(source)} == {"os.rename", "asyncio.create_subprocess_exec", "g"}
    assert not list(leaving("def f():\n    reach('x')\n    os.rename(a, b)\n"))
