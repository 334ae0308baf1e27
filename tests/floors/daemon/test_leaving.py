"""A node that leaves: whom it gives the lead, and what it does when others are going at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from girginosvm.core import settings
from girginosvm.core.access import Actor, Role
from girginosvm.core.clock import SystemClock
from girginosvm.core.errors import Busy, Missing
from girginosvm.core.log import Log
from girginosvm.daemon.identity import Member
from girginosvm.daemon.leaving import Leaving
from girginosvm.features.membership.api import Row
from girginosvm.features.membership.commands import LeaveCluster, RemoveMember
from girginosvm.raft.standing import Status

WHO = Actor("user", "u", "admin@local", Role.ADMIN)
ROWS = tuple(Row(name, name, f"{name}:1995", f"{name}:1996", "member", witness=False) for name in ("n1", "n2"))
BOTH = ("n1", "n2")


def status(role: str, term: int, voters: tuple[str, ...] = BOTH, reached: tuple[str, ...] = ("n2",)) -> Status:
    return Status("n1", term, 0, 0, 0, 0, 0, "", role=role, voters=voters, members=BOTH, reached=reached)


class Stage:
    """The node n1 of n1 and n2. ``standings``: how it stands each time that it looks, the last for good."""

    def __init__(self, home: Path, standings: list[Status], say: Callable[[], object] = lambda: None) -> None:
        self.standings, self.given, self.said, self.ended = standings, 0, 0, 0
        self.speak, self.removed, self.out = say, False, False
        config = settings.load(str(home), {})
        config.path().mkdir(parents=True)
        self.ready = config.path("join", "ready")
        client: Any = self
        self.leaving = Leaving(
            config=config, me=Member("n1", "cluster", 0), client=client, read=self.read, say=self.say,
            clock=SystemClock(), log=Log(), removed=lambda: self.removed, leave=self.end,
        )  # fmt: skip

    async def status(self) -> Status:
        return self.standings.pop(0) if len(self.standings) > 1 else self.standings[0]

    async def transfer(self, peer: str) -> None:
        assert peer == "n2"
        self.given += 1

    async def read(self, fetch: Any) -> Any:
        return ROWS, self.out

    async def say(self, command: Any, actor: Actor) -> None:
        assert command == RemoveMember(member="n1")
        self.said += 1
        waits = self.speak()
        if isinstance(waits, asyncio.Event):
            await waits.wait()

    def end(self) -> None:
        self.ended += 1

    def leave(self) -> Any:
        return self.leaving.leave(LeaveCluster(confirm=True), WHO)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it waits for has happened when it looks again."""
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda _: sleep(0))


def test_a_leader_gives_the_lead_away_before_it_says_that_it_goes(tmp_path: Path) -> None:
    stage = Stage(
        tmp_path,
        [
            status("leader", 3),
            status("leader", 3),
            status("leader", 3),
            status("follower", 4),
            status("follower", 4, ("n2",)),
        ],
    )
    asyncio.run(stage.leave())
    assert (stage.given, stage.said, stage.ready.exists()) == (2, 1, True)


def test_two_that_leave_do_not_give_the_lead_to_each_other_for_ever(tmp_path: Path) -> None:
    stage = Stage(
        tmp_path, [status("leader", 3), status("leader", 3), status("leader", 5), status("follower", 6, ("n2",))]
    )
    asyncio.run(stage.leave())
    assert (stage.given, stage.said) == (1, 1)


def test_a_leader_from_whom_nobody_takes_the_lead_stays(tmp_path: Path) -> None:
    stage = Stage(tmp_path, [status("leader", 3)])
    with pytest.raises(Busy) as refused:
        asyncio.run(stage.leave())
    assert (refused.value.code, stage.said, stage.ready.exists()) == ("leads-still", 0, False)


def test_one_that_is_removed_while_it_says_that_it_goes_goes(tmp_path: Path) -> None:
    def gone() -> None:
        raise Missing("member-missing", "there is no member n1")

    stage = Stage(tmp_path, [status("follower", 3), status("follower", 3, ("n2",))], gone)
    asyncio.run(stage.leave())
    assert (stage.said, stage.ready.exists()) == (1, True)


@pytest.mark.parametrize("answer", [asyncio.Event, lambda: None])
def test_one_that_cannot_hear_any_more_that_it_was_removed_goes_when_others_say_so(
    tmp_path: Path, answer: Callable[[], object]
) -> None:
    """It stood still while it was removed, and has no line any more when it goes on: no answer comes, and its vote is
    taken as far as the others know."""

    def told() -> object:
        stage.removed = True
        return answer()

    stage = Stage(tmp_path, [status("follower", 3)], told)
    asyncio.run(stage.leave())
    assert (stage.said, stage.ready.exists()) == (1, True)


def test_of_two_requests_to_leave_one_is_done_and_the_other_is_told_so(tmp_path: Path) -> None:
    stage = Stage(tmp_path, [status("follower", 3), status("follower", 3), status("follower", 3, ("n2",))])

    async def both() -> list[Any]:
        first = await asyncio.gather(stage.leave(), stage.leave(), return_exceptions=True)
        return [*first, *await asyncio.gather(stage.leave(), return_exceptions=True)]

    done, *refused = asyncio.run(both())
    assert done.value.cluster == "cluster"
    assert [one.code for one in refused] == ["leaving", "leaving"]
    assert stage.said == 1


@pytest.mark.parametrize(
    ("voters", "reached", "away"),
    [(BOTH, (), "n2"), (("n1", "n2", "n3"), ("n2",), "n3"), (("n1", "n2", "n3"), (), "n2, n3")],
)
@pytest.mark.parametrize(("out", "code"), [(False, "vote-needed"), (True, "votes-still")])
def test_who_is_away_while_the_others_cannot_do_without_this_vote_is_said(
    tmp_path: Path, voters: tuple[str, ...], reached: tuple[str, ...], away: str, out: bool, code: str
) -> None:
    stage = Stage(tmp_path, [status("leader", 3, voters, reached)])
    stage.out = out
    with pytest.raises(Busy) as refused:
        asyncio.run(stage.leave())
    assert (refused.value.code, stage.said, stage.given) == (code, 0, 0)
    assert refused.value.detail.endswith(f"could decide nothing while they do not reach {away}")


def test_one_without_a_vote_is_needed_by_nobody(tmp_path: Path) -> None:
    stage = Stage(tmp_path, [status("observer", 3, ("n2", "n3"), ())])
    asyncio.run(stage.leave())
    assert stage.ready.exists()


def test_after_a_leaving_that_failed_it_can_be_asked_again(tmp_path: Path) -> None:
    stage = Stage(tmp_path, [status("follower", 3)])
    for _ in range(2):
        with pytest.raises(Busy) as refused:
            asyncio.run(stage.leave())
        assert refused.value.code == "votes-still"
