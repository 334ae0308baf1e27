"""A node that waits for its cluster's state says so, and can become again what it was."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from floors.raft.book import FakeClock

from girginosvm.core import settings
from girginosvm.core.errors import Busy, Problem
from girginosvm.core.log import Log
from girginosvm.core.settings import Settings
from girginosvm.daemon import turn
from girginosvm.daemon.bring import Bring
from girginosvm.daemon.identity import Member
from girginosvm.daemon.waiting import Waiting
from girginosvm.features.membership.commands import LeaveCluster
from girginosvm.raft.standing import Status

BEFORE = {"pki/ca.key": b"own", "db/state.db": b"rows", "raft/journal/1.journal": b"entries", "raft/member.json": b"{}"}


class Raft:
    """The raft process: how it stands, or why it does not say."""

    def __init__(self, said: Status | Problem) -> None:
        self.said = said

    async def status(self) -> Status:
        if isinstance(self.said, Problem):
            raise self.said
        return self.said


STANDS = Status("m2", 0, 0, 0, 0, 0, 0, "", role="observer", members=("m1", "m2", "m3"), reached=("m3",))


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    """A node that has joined, and has nothing of the cluster yet."""
    config = settings.load(str(tmp_path), {})
    for name, data in BEFORE.items():
        path = config.path("archive", "own-1", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for part in ("pki", "db", "raft"):
        config.path(part).mkdir()
    config.path("raft", "member.json").write_bytes(msgspec.json.encode(Member("m2", "theirs", 1)))
    config.path("raft", "bring").write_bytes(msgspec.msgpack.encode(Bring((), (), (), (), "own-1")))
    return config


def asked(
    config: Settings, method: str, path: str, body: Any = None, *, raft: Status | Problem = STANDS,
    waited_ms: int = 10_000,
) -> Any:  # fmt: skip
    """Status and answer; the third is whether the life ends."""
    ends: list[bool] = []
    clock = FakeClock()

    def ask() -> tuple[int, Any]:
        link = http.client.HTTPConnection("localhost")
        link.sock = socket.socket(socket.AF_UNIX)
        link.sock.connect(str(config.run_path("agent.sock")))
        link.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        answer = link.getresponse()
        return answer.status, json.loads(answer.read())

    async def served() -> tuple[int, Any]:
        client: Any = Raft(raft)
        ended = asyncio.Event()
        async with Waiting(config, client, clock, Log(), leave=ended.set):
            clock.mono += waited_ms
            said = await asyncio.to_thread(ask)
            if said[0] < 300:
                await ended.wait()
                ends.append(True)
            return said

    return *asyncio.run(served()), bool(ends)


def test_it_says_what_it_waits_for_whatever_it_is_asked(config: Settings) -> None:
    for method, path in (("GET", "/v1/membership"), ("POST", "/v1/vms"), ("GET", "/v1/membership/leave")):
        status, said, _ = asked(config, method, path)
        assert (status, said["code"]) == (503, "state-awaited")
    assert "1 of 2 other members are reached" in said["detail"]
    assert "membership leave --confirm" in said["hint"]
    away = asked(config, "GET", "/v1/health", raft=Busy("raft-away", "the raft process does not answer"))
    assert away[:2] == (503, away[1])
    assert away[1]["code"] == "raft-away"


def test_it_becomes_what_it_was_before_it_joined(config: Settings) -> None:
    status, said, _ = asked(config, "POST", "/v1/membership/leave", {})
    assert (status, said["code"]) == (409, "confirm-missing")
    status, said, ends = asked(config, "POST", "/v1/membership/leave", {"confirm": True})
    assert (status, said["cluster"], ends) == (202, "theirs", True)
    assert turn.finish(config.path(), Log())
    assert {name: config.path(name).read_bytes() for name in BEFORE} == BEFORE
    assert not config.path("raft", "bring").exists()
    left = Path(said["archive"])
    assert (left / "raft" / "member.json").exists()
    assert not (left / "raft" / "bring").exists()  # it has secrets in clear


def test_what_comes_while_it_goes_back_comes_too_late(config: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be a member that is about to become another."""
    ended: list[bool] = []
    opened = threading.Event()
    go_back = turn.go_back

    def slow(*words: Any, **more: Any) -> None:
        opened.wait(20)
        go_back(*words, **more)

    monkeypatch.setattr(turn, "go_back", slow)

    async def comes() -> None:
        client: Any = Raft(STANDS)
        clock = FakeClock()
        waiting = Waiting(config, client, clock, Log(), leave=lambda: ended.append(True))
        async with waiting:
            clock.mono += 10_000
            leaving = asyncio.create_task(waiting.leave(LeaveCluster(confirm=True)))
            await asyncio.sleep(0)
            with pytest.raises(Busy):
                await waiting.leave(LeaveCluster(confirm=True))
            asyncio.get_running_loop().call_soon(opened.set)
        assert ended
        await leaving

    asyncio.run(comes())
    assert turn.finish(config.path(), Log())


def test_one_that_was_a_member_does_not_go_back(config: Settings) -> None:
    """It lost its database: what it was before is years ago, and its machines are the cluster's."""
    config.path("raft", "bring").unlink()
    status, said, _ = asked(config, "POST", "/v1/membership/leave", {"confirm": True})
    assert (status, said["code"]) == (503, "state-awaited")
    assert "leave" not in said["hint"]
    assert not config.path("join").exists()


@pytest.mark.parametrize(
    ("raft", "waited_ms"), [(STANDS, 9_999), (msgspec.structs.replace(STANDS, leader="m3"), 60_000)]
)
def test_what_is_about_to_come_is_waited_for(config: Settings, raft: Status, waited_ms: int) -> None:
    body = {"confirm": True}
    status, said, _ = asked(config, "POST", "/v1/membership/leave", body, raft=raft, waited_ms=waited_ms)
    assert (status, said["code"]) == (503, "state-awaited")
    assert not config.path("join").exists()
    lost = msgspec.structs.replace(STANDS, leader="m1")  # it was heard, and is not reached any more
    assert asked(config, "POST", "/v1/membership/leave", body, raft=lost)[0] == 202


def test_what_cannot_be_read_changes_nothing(config: Settings) -> None:
    config.path("archive", "own-1", "db", "state.db").unlink()
    config.path("archive", "own-1", "db").rmdir()
    for _ in range(2):
        status, said, _ = asked(config, "POST", "/v1/membership/leave", {"confirm": True})
        assert (status, said["code"]) == (502, "join-unfinished")
    assert not turn.finish(config.path(), Log())
