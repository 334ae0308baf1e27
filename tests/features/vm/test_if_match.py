"""A write with If-Match is done only to what its caller has seen, also when somebody else is quicker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from features.engine import ADMIN, NODE, Engine

from girginosvm.core import codec
from girginosvm.core.action import Command, Condition, Page, Query
from girginosvm.core.clock import SystemChance
from girginosvm.core.entries import Entry, Halt
from girginosvm.core.errors import Stale
from girginosvm.daemon.execute import Executor
from girginosvm.daemon.secrets import ClusterKey
from girginosvm.features.event.commands import SetRetention
from girginosvm.features.event.queries import ShowRetention
from girginosvm.features.registry import REGISTRY
from girginosvm.features.vm.commands import CreateVm
from girginosvm.features.vm.power import RebootVm, StopVm
from girginosvm.features.vm.queries import ShowVm
from girginosvm.features.vm.reports import ReportVm
from girginosvm.state.reader import Readers


class Now:
    """The log's own time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def wall_ms(self) -> int:
        return self._engine.machine.last_stamp_ms()

    def monotonic_ms(self) -> int:
        return 0


class Office:
    """The executor above the engine; ``first`` is done just before its command gets into the log."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.first: Callable[[], object] = lambda: None
        self.readers = Readers(engine.path)
        self.executor = Executor(
            REGISTRY, self.readers, self._propose, key=ClusterKey(b"k" * 32, chance=SystemChance()), hash_password=str,
            clock=Now(engine), chance=SystemChance(),
        )  # fmt: skip

    async def _propose(self, data: bytes) -> bytes:
        self.first()
        return self.engine.append(data)

    async def ask(self, command: Command, **words: Any) -> Any:
        return await self.executor.command(command, ADMIN, **words)


@pytest.fixture
def vm(engine: Engine) -> str:
    image = engine.furnish()
    return str(engine.run(CreateVm(
        name="web", image=image, network=engine.rows("SELECT id FROM network")[0]["id"],
        pool=engine.rows("SELECT id FROM pool")[0]["id"],
    ))["vm"])  # fmt: skip


@pytest.fixture
def office(engine: Engine):
    one = Office(engine)
    yield one
    one.readers.close()


def unchanged(engine: Engine, vm: str) -> Condition:
    """As somebody sees the machine now."""
    known = msgspec.json.encode(ShowVm(vm=vm).fetch(engine.reader))

    def check(value: Any) -> None:
        if msgspec.json.encode(value) != known:
            raise Stale("etag-mismatch", "it has changed since")

    return Condition(ShowVm(vm="web"), check)


async def test_what_was_seen_and_is_still_so_is_written_to(engine: Engine, office: Office, vm: str) -> None:
    await office.ask(RebootVm(vm="web"), condition=unchanged(engine, vm))
    assert engine.rows("SELECT reboots FROM vm")[0]["reboots"] == 1


async def test_of_two_who_saw_the_same_one_is_refused(engine: Engine, office: Office, vm: str) -> None:
    seen = unchanged(engine, vm)
    met = asyncio.Barrier(2)

    async def both(data: bytes) -> bytes:
        await met.wait()
        return engine.append(data)

    office.executor._propose = both
    asks = (office.ask(RebootVm(vm="web"), condition=seen) for _ in range(2))
    ends = await asyncio.gather(*asks, return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["Answer", "Stale"]
    assert engine.rows("SELECT reboots FROM vm")[0]["reboots"] == 1


OTHERS: dict[str, Callable[[str], Command]] = {
    "wanted": lambda vm: StopVm(vm=vm),
    "found": lambda vm: ReportVm(vm=vm, node=NODE, state="stopped"),
    "operation": lambda vm: ReportVm(vm=vm, node=NODE, state="stopped", step="building its disk"),
}


@pytest.mark.parametrize("other", OTHERS)
async def test_a_change_between_the_look_and_the_log_refuses(engine: Engine, office: Office, vm: str, other: str):
    seen = unchanged(engine, vm)
    office.first = lambda: engine.run(OTHERS[other](vm))
    with pytest.raises(Stale) as caught:
        await office.ask(RebootVm(vm="web"), condition=seen)
    assert caught.value.code == "etag-mismatch"
    assert engine.rows("SELECT reboots FROM vm")[0]["reboots"] == 0


async def test_a_repeat_is_answered_though_it_changed_the_thing_itself(engine: Engine, office: Office, vm: str) -> None:
    seen = unchanged(engine, vm)
    first = await office.ask(RebootVm(vm="web"), condition=seen, key="once")
    again = await office.ask(RebootVm(vm="web"), condition=seen, key="once")
    assert (again.value, again.repeated) == (first.value, True)


async def test_another_machine_may_change_meanwhile(engine: Engine, office: Office, vm: str) -> None:
    row = engine.rows("SELECT image FROM vm")[0]
    ids = {noun: engine.rows(f"SELECT id FROM {noun}")[0]["id"] for noun in ("network", "pool")}
    seen = unchanged(engine, vm)
    office.first = lambda: engine.run(CreateVm(name="other", image=row["image"], **ids))
    await office.ask(RebootVm(vm="web"), condition=seen)
    rows = engine.rows("SELECT name, reboots FROM vm ORDER BY name")
    assert [(row["name"], row["reboots"]) for row in rows] == [("other", 0), ("web", 1)]


def test_a_condition_that_this_release_does_not_know_halts(engine: Engine, vm: str) -> None:
    envelope = msgspec.msgpack.decode(engine.log[-1].commands[0]) | {"only_on_sundays": True}
    entry = Entry(engine.machine.applied_index() + 1, 1, 1, NODE, (codec.encode(envelope),))
    with pytest.raises(Halt, match="only_on_sundays: upgrade this node"):
        engine.machine.apply(entry)


def shows() -> dict[str, type[Query]]:
    """What a command's If-Match is compared with: the Show at its path or above."""
    by_path = {kind.action.path: kind for kind in REGISTRY.queries.values() if not issubclass(kind, Page)}
    found = {}
    for name, kind in REGISTRY.commands.items():
        path = kind.action.path
        while path and path not in by_path:
            path = path.rpartition("/")[0]
        if path and by_path[path].action.path_fields == kind.action.path_fields:
            found[name] = by_path[path]
    return found


@pytest.mark.parametrize("command", shows())
def test_whatever_has_an_etag_says_which_rows_it_is_made_of(engine: Engine, command: str) -> None:
    show = shows()[command]
    assert show.rows
    for table, column in show.rows:
        assert engine.rows("SELECT 1 FROM pragma_table_info(?) WHERE name = ?", table, column)
    assert len(show.action.path_fields) == 1 or [column for _, column in show.rows] == ["one"]


async def test_what_there_is_one_of_is_guarded_in_the_log_too(engine: Engine, office: Office) -> None:
    engine.furnish()
    condition = Condition(ShowRetention(), lambda shown: None)
    office.first = lambda: engine.run(SetRetention(event_days=30))
    with pytest.raises(Stale):
        await office.ask(SetRetention(event_days=500), condition=condition)
    office.first = lambda: None
    assert (await office.ask(SetRetention(event_days=500), condition=condition)).value["event_days"] == 500
