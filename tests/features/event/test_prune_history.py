"""What is too old goes, a batch with each entry; what is left can still be checked, and a beginning that somebody else
took away shows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from features.engine import NODE, Engine
from features.nodes import cluster, created
from features.replay import replay

from girginosvm.cli.node import in_force
from girginosvm.core.access import Role, allowed
from girginosvm.core.clock import SystemClock
from girginosvm.core.errors import HostFault
from girginosvm.core.log import Log
from girginosvm.core.settings import Settings
from girginosvm.daemon.retention import RetentionReconciler, due
from girginosvm.features.cluster.commands import FoundCluster
from girginosvm.features.event import api
from girginosvm.features.event.commands import PruneHistory, SetRetention
from girginosvm.features.event.queries import ShowRetention, VerifyEvents
from girginosvm.features.lanes import Lanes
from girginosvm.features.node.commands import CordonNode, UncordonNode
from girginosvm.features.operation import api as operations
from girginosvm.features.vm.power import StartVm, StopVm
from girginosvm.features.vm.reports import ReportVm
from girginosvm.raft.standing import Status
from girginosvm.state.history import verify
from tests.features.event.test_verify_events import walked
from tests.features.vm.test_list_plans import Planned

LONG_MS = 500 * api.DAY_MS
LATE = 1 << 60  # a wall clock that is not behind the log


class Late(SystemClock):
    """Never behind the log."""

    def wall_ms(self) -> int:
        return LATE


class Noted(Planned):
    """Also what is asked for one row."""

    def one(self, sql: str, params: Any = ()) -> Any:
        return next(iter(self.all(sql, params)), None)


def say(engine: Engine, events: int) -> None:
    """So many further events, one an entry."""
    for n in range(events):
        engine.run(CordonNode(node=NODE) if n % 2 == 0 else UncordonNode(node=NODE))


@pytest.fixture
def old(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A history of which the first part is long ago; batches of seven."""
    monkeypatch.setattr(api, "BATCH", 7)
    cluster(engine)
    say(engine, 20)
    engine.ahead_ms += LONG_MS
    say(engine, 4)
    return engine


def prune(engine: Engine, **fields: int) -> dict[str, int]:
    before = engine.now_ms - 10 * api.DAY_MS
    answer: dict[str, int] = engine.run(
        PruneHistory(**({"events_before_ms": before, "operations_before_ms": before} | fields))
    )
    return answer


def count(engine: Engine) -> int:
    return int(engine.rows("SELECT count(*) AS n FROM event")[0]["n"])


def test_a_batch_goes_with_each_entry_the_oldest_first_and_the_rest_hangs_on_the_anchor(old: Engine) -> None:
    whole, gone = count(old), 0
    while n := prune(old)["events"]:
        assert n <= 7
        gone += n
        assert verify(old.reader_db) is None
    assert gone >= 20
    done = walked(old)
    said = len(old.rows("SELECT 1 FROM event WHERE kind = 'event.pruned'"))
    assert (done.pruned, done.events) == (gone, count(old)) == (gone, whole - gone + said)
    assert done.head.upper() == old.rows("SELECT hex(event_chain) AS head FROM machine_state")[0]["head"]
    assert old.reader.checked_end(3).whole
    assert min(row["at_ms"] for row in old.rows("SELECT at_ms FROM event")) > old.now_ms - 10 * api.DAY_MS


@pytest.mark.parametrize("limit", [1, 2, 5, 20_000])
def test_in_whatever_pieces_what_is_left_is_whole(old: Engine, limit: int) -> None:
    prune(old)
    assert walked(old, limit).pruned == 7


def test_a_walk_goes_on_though_what_it_stood_on_went_meanwhile(old: Engine) -> None:
    begun = VerifyEvents(limit=2).fetch(old.reader)
    prune(old)
    done = VerifyEvents(after=begun.next).fetch(old.reader)
    assert (done.next, done.events) == ("", 2 + count(old))


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM event WHERE log_index = (SELECT min(log_index) FROM event)",
        "DELETE FROM event WHERE kind = 'event.pruned'",
        "UPDATE event SET text = 'x' WHERE kind = 'event.pruned'",
        "UPDATE event_anchor SET chain = x'00'",
        "UPDATE event_anchor SET events = events + 1",
        "DELETE FROM event_anchor",
        # Taken away, and the anchor made to fit what is left.
        "UPDATE event_anchor SET (log_index, n, chain) = (SELECT log_index, n, chain FROM event ORDER BY log_index, n "
        "LIMIT 1); DELETE FROM event WHERE (log_index, n) <= (SELECT log_index, n FROM event_anchor)",
    ],
)
def test_what_somebody_else_took_away_or_changed_shows(old: Engine, harm: str) -> None:
    prune(old)
    old.machine._db.execute(harm)
    with pytest.raises(HostFault) as broken:
        walked(old)
    assert broken.value.code == "history-broken"


def test_a_beginning_that_was_taken_away_before_anything_was_pruned_shows(old: Engine) -> None:
    old.machine._db.execute(
        "INSERT INTO event_anchor SELECT 1, log_index, n, chain, 1 FROM event ORDER BY log_index, n LIMIT 1; "
        "DELETE FROM event WHERE (log_index, n) <= (SELECT log_index, n FROM event_anchor)"
    )
    with pytest.raises(HostFault):
        walked(old)


def test_nothing_of_the_last_two_days_goes_whatever_is_asked(old: Engine) -> None:
    for _ in range(10):
        prune(old, events_before_ms=2**60, operations_before_ms=2**60)
    left = [row["kind"] for row in old.rows("SELECT kind FROM event ORDER BY log_index, n")]
    assert left[:4] == ["node.cordoned", "node.uncordoned"] * 2
    assert set(left[4:]) == {"event.pruned"}
    assert prune(old, events_before_ms=0, operations_before_ms=0) == {"events": 0, "operations": 0}


def test_operations_that_ended_go_and_those_that_run_stay(engine: Engine) -> None:
    cluster(engine)
    vm = created(engine, "web")["vm"]
    for generation in range(1, 6):
        engine.run(ReportVm(vm=vm, node=NODE, state="running", reached=generation))
        engine.run(StopVm(vm=vm, force=True) if generation % 2 else StartVm(vm=vm))
    engine.ahead_ms += LONG_MS
    say(engine, 1)
    assert operations.due(engine.reader, engine.now_ms, 5)
    assert not operations.due(engine.reader, engine.now_ms, 6)
    assert prune(engine)["operations"] == 5
    (left,) = engine.rows("SELECT state FROM operation")
    assert left["state"] == "running"
    assert engine.rows("SELECT 1 FROM event WHERE kind = 'operation.pruned'")
    assert prune(engine)["operations"] == 0


def test_the_work_of_an_entry_is_bounded_and_by_an_index(old: Engine) -> None:
    reader = Noted(old.reader_db)
    api.due(reader, 1)
    operations.due(reader, 1, 7)
    reader.all("SELECT log_index, n, at_ms, chain FROM event ORDER BY log_index, n LIMIT 7")
    reader.all("SELECT id FROM operation WHERE finished_at_ms < 1 ORDER BY finished_at_ms, id LIMIT 7")
    assert not [line for line in reader.plan if "TEMP B-TREE" in line], reader.plan
    assert len([line for line in reader.plan if "operation_ended" in line]) == 2


def test_every_replica_comes_to_the_same_rows(old: Engine) -> None:
    while prune(old)["events"]:
        pass
    first, second = (list(replay(tuple(old.log))) for _ in range(2))
    assert first == second
    assert any("PruneHistory done" in line for line in first)


def keep(engine: Engine, **days: int) -> None:
    engine.run(SetRetention(**days))


def test_a_batch_is_due_once_all_of_it_is_too_old(old: Engine) -> None:
    assert due(old.reader, wall_ms=LATE) == PruneHistory(events_before_ms=old.reader.at_ms - 400 * api.DAY_MS)
    keep(old, event_days=0)
    assert due(old.reader, wall_ms=LATE) is None  # for ever
    keep(old, event_days=501)
    assert due(old.reader, wall_ms=LATE) is None
    keep(old, event_days=1)
    least = due(old.reader, wall_ms=LATE)
    assert least is not None
    assert least.events_before_ms == old.reader.at_ms - 2 * api.DAY_MS


def test_a_cluster_is_founded_with_its_first_node_s_settings_and_changed_for_all(engine: Engine) -> None:
    assert ShowRetention().fetch(engine.reader) == api.Retention(400, 90)  # of one that never said it
    engine.run(FoundCluster(pool_path="/srv", event_days=730, operation_days=30))
    assert ShowRetention().fetch(engine.reader) == api.Retention(730, 30)
    assert engine.run(SetRetention(operation_days=0)) == {"event_days": 730, "operation_days": 0}
    assert ShowRetention().fetch(engine.reader) == api.Retention(730, 0)
    (event,) = engine.rows("SELECT text FROM event WHERE kind = 'event.retention'")
    assert event["text"] == ("events are kept 730 days, operations that ended for ever; before: 730 days and 30 days")
    engine.run(SetRetention(event_days=730))  # no news
    assert len(engine.rows("SELECT 1 FROM event WHERE kind = 'event.retention'")) == 1


def test_doctor_settings_says_what_counts_where_the_file_says_something_else(engine: Engine, tmp_path: Path) -> None:
    engine.run(FoundCluster(pool_path="/srv", event_days=730, operation_days=90))
    config = Settings(root=str(tmp_path), event_days=20)
    for name in ("raft", "db"):
        config.path(name).mkdir(parents=True)
    config.path("raft", "member.json").write_text(f'{{"member": "{NODE}"}}')
    config.path("db", "state.db").symlink_to(engine.path)
    assert in_force(config) == {"event_days": "730, for the whole cluster: `girginosvm retention set` changes it"}


def test_how_long_the_history_is_kept_is_an_administrators_word() -> None:
    roles = [role for role in Role if allowed(role, SetRetention.action.permission)]
    assert roles == [Role.ADMIN]


def test_a_log_whose_time_ran_ahead_takes_no_history_with_it(old: Engine) -> None:
    """A leader began with a clock that was years ahead, and it was set right since."""
    right = old.reader.at_ms - 400 * api.DAY_MS
    assert due(old.reader, wall_ms=old.reader.at_ms) is not None
    assert due(old.reader, wall_ms=right) is None


@pytest.mark.parametrize("days", [-1, 40_000])
def test_a_setting_that_makes_no_sense_is_refused(days: int) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"event_days": days}, Settings)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"event_days": days}, SetRetention)


@pytest.mark.parametrize("role", ["leader", "follower"])
async def test_whoever_leads_says_it_until_no_batch_is_due(old: Engine, role: str) -> None:
    said: list[PruneHistory] = []

    async def status() -> Status:
        return Status("n1", 1, 1, 1, 1, 0, "", 0, role=role)

    async def read(fetch: Any) -> Any:
        return fetch(old.reader)

    async def speak(command: Any) -> object:
        said.append(command)
        return old.run(command)

    rounds = RetentionReconciler(status=status, read=read, say=speak, clock=Late())
    async with asyncio.TaskGroup() as group:
        lanes = Lanes(group, lambda: None, Log(level="error"))
        while await rounds.reconcile(lanes) is not None:
            assert len(said) < 50
    assert bool(said) == (role == "leader")
    assert (due(old.reader, wall_ms=LATE) is None) == (role == "leader")
    assert verify(old.reader_db) is None
