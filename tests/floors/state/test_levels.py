"""The active feature level: only the log moves it, tables move with it, an older release stops before it guesses."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from girginosvm.core import codec
from girginosvm.core.action import Command, action
from girginosvm.core.entries import Beyond, Entry, Halt
from girginosvm.core.errors import Conflict
from girginosvm.core.fields import field
from girginosvm.core.levels import said_at
from girginosvm.core.log import Log
from girginosvm.core.manifest import Manifest, Migration, Registry
from girginosvm.state import db as dbs
from girginosvm.state.fingerprint import fingerprint
from girginosvm.state.machine import Machine
from girginosvm.state.migrate import MigrateSchema, Step
from girginosvm.state.tx import Tx
from tests.floors.state.bench import Bench, code, value
from tests.floors.state.toyroom import ROOM, MakeToy

LATER = "CREATE TABLE coat (toy TEXT PRIMARY KEY, colour TEXT NOT NULL) STRICT, WITHOUT ROWID"
ID = "01a00000-0000-7000-8000-000000000001"


@action("POST /v1/toys/go-on", permission="toy.report", summary="go on", audit="go on", answers=dict[str, Any])
class GoOn(Command, frozen=True, kw_only=True):
    """Raise the level, whoever supports it."""

    level: int
    steps: tuple[Step, ...] = ()
    stumble: bool = False

    def apply(self, tx: Tx) -> dict[str, Any]:
        ran = tx.raise_level(self.level, self.steps)
        if self.stumble:
            raise Conflict("toy-stumbled", "at the last step")
        tx.event("toy.level", "toy", "", f"level {self.level}")
        return {"ran": ran, "was": tx.level}


class Maker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that a command brings along."""

    name: str = "nobody"


@action("POST /v1/toys/coat", permission="toy.create", summary="coat", audit="coat", levels=(1, 2))
class CoatToy(Command, frozen=True, kw_only=True):
    """Version 1 makes a toy; version 2 keeps its colour in the new table, too."""

    name: str
    maker: Maker = Maker()
    colour: Annotated[str, field("Colour.", since=2)] = "white"

    def apply(self, tx: Tx) -> dict[str, Any]:
        made = MakeToy(name=self.name).apply(tx)
        if tx.version == 2:
            tx.insert("coat", toy=made["toy"], colour=self.colour)
        return made


@action("POST /v1/toys/count", permission="toy.create", summary="count", audit="count", levels=(2,))
class CountCoats(Command, frozen=True, kw_only=True):
    """Unknown to the release before."""

    def apply(self, tx: Tx) -> int:
        return len(tx.all("SELECT 1 FROM coat ORDER BY toy"))


@action("POST /v1/toys/coat", permission="toy.create", summary="coat", audit="coat")
class OldCoatToy(Command, frozen=True, kw_only=True):
    """As the release before has it."""

    name: str
    maker: Maker = Maker()

    def apply(self, tx: Tx) -> dict[str, Any]:
        return MakeToy(name=self.name).apply(tx)


OldCoatToy.__name__ = "CoatToy"
FIRST = Manifest(name="coat", migrations=(Migration(1, "CREATE TABLE peg (n INTEGER PRIMARY KEY) STRICT"),))
OLD = Registry((ROOM, msgspec.structs.replace(FIRST, actions=(GoOn, OldCoatToy))), level=1)
NEW = Registry(
    (
        ROOM,
        Manifest(
            name="coat",
            actions=(GoOn, CoatToy, CountCoats),
            migrations=(*FIRST.migrations, Migration(2, LATER, level=2)),
        ),
    ),
    level=2,
)


class Pair:
    """One log, applied by a release and by the next one."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.old = Bench(home / "old.db", OLD)
        self.log = list(self.old.log)
        self.new = Machine(home / "new.db", NEW, Log(), incarnation="bench")
        for entry in self.log:
            self.new.apply(entry)

    def entry(self, *commands: Command, at: int = 1, **words: Any) -> Entry:
        """The next one, said as the new release says it at a level."""
        said = []
        for command in commands:
            one = said_at(command, at)
            given = {"version": one.version, "level": one.needs} | words
            envelope = self.old.envelope(command, digest=one.body, **given)
            said.append(codec.encode(msgspec.structs.replace(envelope, body=msgspec.Raw(one.body))))
        self.old.at_ms += 1
        entry = Entry(len(self.log) + 1, 1, self.old.at_ms, "n1", tuple(said))
        self.log.append(entry)
        return entry

    def both(self, *commands: Command, **words: Any) -> list[codec.Outcome]:
        """Applied by both, to the same end."""
        entry = self.entry(*commands, **words)
        first, second = (list(machine.apply(entry).outcomes) for machine in (self.old.machine, self.new))
        assert first == second
        assert self.digest("old.db") == self.digest("new.db")
        return [codec.outcome(one) for one in first]

    def digest(self, name: str) -> str:
        reader = dbs.open_reader(self.home / name)
        try:
            return fingerprint(reader).digest
        finally:
            reader.close()

    def rise(self, **words: Any) -> GoOn:
        return GoOn(level=2, steps=self.new.steps(2), **words)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    one = Pair(tmp_path)
    yield one
    one.old.close()
    one.new.close()


def test_a_newer_release_keeps_to_the_tables_and_words_of_the_level(pair: Pair) -> None:
    assert pair.new.migration(ID, "n1") is None
    assert [code(one) for one in pair.both(CoatToy(name="top"), CoatToy(name="top"))] == ["", "toy-exists"]
    assert (pair.new.level, pair.new.supported, pair.old.machine.supported) == (1, 2, 1)


def test_what_needs_a_higher_level_is_refused_also_by_a_release_that_does_not_know_it(pair: Pair) -> None:
    migrate = MigrateSchema(steps=pair.new.steps(2))
    for command, words in ((CountCoats(), {}), (CoatToy(name="top", colour="red"), {}), (migrate, {"level": 2})):
        (said,) = pair.both(command, at=2, **words)
        assert code(said) == "level-low"
    assert "CoatToy version 2 needs feature level 2, and this cluster is at 1" in str(
        codec.outcome(pair.new.apply(pair.entry(CoatToy(name="top"), at=2)).outcomes[0]).problem
    )


def test_level_and_tables_move_in_one_entry_and_what_follows_in_it_is_of_the_new_level(pair: Pair) -> None:
    entry = pair.entry(CoatToy(name="a"), pair.rise(), CoatToy(name="b", colour="red"), CountCoats(), at=2)
    ends = [codec.outcome(one) for one in pair.new.apply(entry).outcomes]
    assert [code(one) for one in ends] == ["level-low", "", "", ""]
    assert value(ends[1]) == {"ran": ["coat.2"], "was": 1}
    assert value(ends[3]) == 1
    assert pair.new.level == 2
    assert pair.new.steps(2) == ()


def test_an_older_release_stops_before_the_step_and_goes_on_when_it_is_upgraded(pair: Pair) -> None:
    entry = pair.entry(CoatToy(name="a"), pair.rise())
    pair.new.apply(entry)
    before = pair.digest("old.db")
    with pytest.raises(Beyond, match="the cluster is at feature level 2, this release supports 1: upgrade this node"):
        pair.old.machine.apply(entry)
    assert pair.digest("old.db") == before  # nothing of the entry stays, not even what it understood
    assert (pair.old.machine.level, pair.old.machine.applied_index()) == (1, entry.index - 1)
    pair.old.machine.close()
    upgraded = Machine(pair.home / "old.db", NEW, Log(), incarnation="bench")
    after = pair.entry(CoatToy(name="b", colour="red"), at=2)
    for one in (entry, after):
        upgraded.apply(one)
    pair.new.apply(after)
    assert pair.digest("old.db") == pair.digest("new.db")
    upgraded.close()


def test_a_step_that_is_refused_or_stumbles_leaves_level_and_tables(pair: Pair) -> None:
    entry = pair.entry(pair.rise(stumble=True), CountCoats(), at=2)
    ends = [code(codec.outcome(one)) for one in pair.new.apply(entry).outcomes]
    assert ends == ["toy-stumbled", "level-low"]
    assert pair.new.level == 1
    assert [str(step) for step in pair.new.steps(2)] == ["coat.2"]


def test_a_step_whose_migration_would_fail_is_not_said(pair: Pair) -> None:
    broken = Manifest(name="coat", migrations=(*FIRST.migrations, Migration(2, "CREATE TABLE peg (n)", level=2)))
    machine = Machine(pair.home / "broken.db", Registry((ROOM, broken), level=2), Log(), incarnation="bench")
    for entry in pair.log:
        machine.apply(entry)
    with pytest.raises(Conflict, match=r"migration coat\.2 failed: SQLError: table peg already exists") as caught:
        machine.rehearse(machine.steps(2))
    assert caught.value.code == "migration-failed"
    assert machine.level == 1
    machine.close()


def test_a_database_of_a_higher_level_is_not_opened_by_an_older_release(pair: Pair) -> None:
    pair.new.apply(pair.entry(pair.rise()))
    with pytest.raises(Conflict, match="the database is at feature level 2, and this release supports 1") as caught:
        Machine(pair.home / "new.db", OLD, Log(), incarnation="bench")
    assert caught.value.code == "level-newer"


def test_a_level_without_tables_is_not_misread_either(pair: Pair) -> None:
    """A level may bring nothing but other outcomes."""
    pair.new.apply(pair.entry(GoOn(level=2)))
    with pytest.raises(Conflict) as caught:
        Machine(pair.home / "new.db", OLD, Log(), incarnation="bench")
    assert caught.value.code == "level-newer"


@pytest.mark.parametrize("steps", [True, False])
def test_a_snapshot_of_a_higher_level_waits_for_the_upgrade_and_changes_nothing(pair: Pair, steps: bool) -> None:
    pair.new.apply(pair.entry(pair.rise() if steps else GoOn(level=2)))
    pair.new.apply(pair.entry(CoatToy(name="b")))
    copy = pair.home / "copy.db"
    pair.new.snapshot(copy)
    before = pair.digest("old.db")
    with pytest.raises(Beyond, match=r"the leader's snapshot is of a newer release.*upgrade this node"):
        pair.old.machine.install(copy)
    assert pair.digest("old.db") == before
    pair.old.machine.close()
    upgraded = Machine(pair.home / "old.db", NEW, Log(), incarnation="bench")
    upgraded.install(copy)
    assert (upgraded.level, pair.digest("old.db")) == (2, pair.digest("new.db"))
    upgraded.close()


def test_who_tries_a_migration_and_who_applies_wait_for_each_other(pair: Pair) -> None:
    """Both have a transaction on the one connection; without the lock one of them ends in the other's."""
    steps = pair.new.steps(2)
    faults: list[BaseException] = []
    stop = threading.Event()

    def rehearse() -> None:
        try:
            while not stop.is_set():
                pair.new.rehearse(steps)
                pair.new.checkpoint()
        except BaseException as fault:
            faults.append(fault)

    trial = threading.Thread(target=rehearse)
    trial.start()
    try:
        for entry in apply_some(pair, 200):
            pair.new.apply(entry)
    except Halt as halt:
        faults.append(halt)
    finally:
        stop.set()
        trial.join()
    assert faults == []
    assert pair.new.steps(2) == steps
    for entry in pair.log[pair.old.machine.applied_index() :]:
        pair.old.machine.apply(entry)
    assert pair.digest("old.db") == pair.digest("new.db")


def apply_some(pair: Pair, count: int) -> Iterable[Entry]:
    return (pair.entry(CoatToy(name=f"toy{number}")) for number in range(count))


@pytest.mark.parametrize(
    ("more", "words"),
    [({"note": 1}, "does not know CoatToy's note"), ({"maker": {"name": "Ada", "town": "London"}}, r"`town`.*maker")],
)
def test_a_field_of_a_newer_release_is_no_refusal_of_this_one(pair: Pair, more: dict[str, Any], words: str) -> None:
    """Refusing what a newer node applies would part the replicas."""
    envelope = codec.envelope(pair.entry(CoatToy(name="top")).commands[0])
    body = msgspec.Raw(msgspec.msgpack.encode({"name": "top", **more}))
    said = codec.encode(msgspec.structs.replace(envelope, body=body))
    with pytest.raises(Beyond, match=words):
        pair.old.machine.apply(Entry(len(pair.log), 1, pair.old.at_ms, "n1", (said,)))
