"""Every method of a port is a kill point."""

import os
import subprocess
import sys
from pathlib import Path

from girginosvm.hypervisor.points import points_of
from girginosvm.hypervisor.ports import Facts, Volumes

_PROGRAM = """
import asyncio
from girginosvm.core.points import name_process
from girginosvm.hypervisor.points import pointed

class Port:
    name = "plain"
    async def ensure(self, path, *, deep=False): return f"{path} {deep}"
    def events(self): return "not awaited"

name_process("agent")
port = pointed(Port(), "volumes")
print(asyncio.run(port.ensure("/a", deep=True)), asyncio.run(port.ensure("/b")), port.events(), port.name)
"""


def _watched(tmp_path: Path, kill: str) -> tuple[int, str, list[str]]:
    log = tmp_path / "points"
    environment = {**os.environ, "GIRGINOSVM_POINTS_LOG": str(log), "GIRGINOSVM_POINTS_KILL": kill}
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM], env=environment, capture_output=True, text=True, check=False, timeout=30
    )
    return ran.returncode, ran.stdout.strip(), log.read_text(encoding="utf-8").split()


def test_the_points_are_listed_from_the_protocol() -> None:
    assert points_of(Facts, "facts") == ("facts.observe:before", "facts.observe:after")
    assert len(points_of(Volumes, "volumes")) == 12


def test_a_pointed_port_answers_as_before_and_passes_both_points_each_time(tmp_path: Path) -> None:
    code, answer, seen = _watched(tmp_path, "")
    assert (code, answer) == (0, "/a True /b False not awaited plain")
    assert seen == ["agent/volumes.ensure:before", "agent/volumes.ensure:after"] * 2


def test_a_process_dies_at_the_point_that_was_named(tmp_path: Path) -> None:
    code, answer, seen = _watched(tmp_path, "agent/volumes.ensure:after")
    assert (code, answer) == (-9, "")
    assert seen == ["agent/volumes.ensure:before", "agent/volumes.ensure:after"]
