"""An upload whose outcome is unknown keeps its file: the row may be in the log."""

from pathlib import Path
from typing import Any

import pytest

from girginosvm.core.access import Actor, Role
from girginosvm.core.clock import SystemChance, SystemClock
from girginosvm.core.errors import Busy, Conflict, Problem, Unknown
from girginosvm.core.log import Log
from girginosvm.core.manifest import Registry
from girginosvm.core.settings import Settings
from girginosvm.daemon.desk import LocalDesk, Watch
from girginosvm.daemon.execute import Executor
from girginosvm.features.image.commands import UploadImage
from girginosvm.features.site import Site
from girginosvm.http.desk import Upload
from girginosvm.hypervisor.fake.host import FakeHost
from tests.floors.hypervisor.test_qcow2_header import image

ADMIN = Actor(kind="local", id="local", name="root", role=Role.ADMIN)


async def fresh() -> None:
    """Nobody reads here."""


class Refusing:
    """An executor that ends every command in one problem."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    async def command(self, *_: Any, **__: Any) -> Any:
        raise self._problem


@pytest.mark.parametrize(
    ("problem", "kept"), [(Unknown("no-answer", "nobody answered"), 1), (Conflict("image-exists", "it is here"), 0)]
)
async def test_the_file_stays_only_when_its_row_may_exist(tmp_path: Path, problem: Problem, kept: int) -> None:
    clock, chance, settings = SystemClock(), SystemChance(), Settings(root=str(tmp_path))
    site = Site(
        node="n1", settings=settings, host=FakeHost(tmp_path / "host.json"), read=None, say=None, unseal=str,
        clock=clock, log=Log(), progress={},
    )  # fmt: skip
    desk = LocalDesk(Refusing(problem), site, Watch(), clock, chance, barrier=fresh)
    with desk.upload_room(UploadImage(name="tiny"), None) as (arrived, _):
        arrived.write_bytes(image())
        upload = Upload(path=arrived, size_bytes=arrived.stat().st_size, sha256="")
        with pytest.raises(type(problem)):
            await desk.receive(UploadImage(name="tiny"), ADMIN, upload, key="", why="")
    assert len(list(arrived.parent.iterdir())) == kept


async def test_a_request_sent_without_an_answer_stays_unknown_though_the_next_try_is_refused() -> None:
    tries: list[Problem] = [Unknown("connection-lost", "it went away"), *[Busy("raft-away", "it is away")] * 9]

    async def propose(_: bytes) -> bytes:
        raise tries.pop(0)

    executor = Executor(
        Registry(()), None, propose, key=None, hash_password=str, clock=SystemClock(), chance=SystemChance()
    )
    with pytest.raises(Unknown):
        await executor._sent(b"x")
    with pytest.raises(Busy):  # nothing of this one was ever sent
        await executor._sent(b"x")
