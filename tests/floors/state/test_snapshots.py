"""Whole copies of the database: taken while it is written to, put into another that is open, whole at every death."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import apsw
import pytest

from girginosvm.core.action import Command, action
from girginosvm.core.entries import Halt, Place, Unfit
from girginosvm.core.log import Log
from girginosvm.core.manifest import Manifest, Registry
from girginosvm.state import copies
from girginosvm.state import db as dbs
from girginosvm.state.fingerprint import fingerprint
from girginosvm.state.machine import Machine
from girginosvm.state.tx import Tx
from tests.floors.state import toyroom
from tests.floors.state.bench import Bench, value
from tests.floors.state.toyroom import FillShelf, MakeToy

REPOSITORY = Path(__file__).parents[3]


def taken(bench: Bench, path: Path) -> Place:
    return bench.machine.snapshot(path)


@pytest.fixture
def source(tmp_path: Path) -> Bench:
    """A database with some megabytes in it."""
    one = Bench(tmp_path / "source.db")
    one.run(MakeToy(name="theirs"))
    for _ in range(4):
        one.run(FillShelf(rows=1200))
    return one


def test_a_snapshot_is_one_file_that_is_the_database_at_one_entry(source: Bench, tmp_path: Path) -> None:
    path = tmp_path / "copy.db"
    place = taken(source, path)
    assert place == Place(source.machine.applied_index(), 1, source.machine.last_stamp_ms())
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith("copy")] == ["copy.db"]
    copy = copies.opened(path)
    assert fingerprint(copy) == source.fingerprint()
    copy.close()


def test_a_snapshot_that_is_taken_while_entries_are_applied_is_of_one_of_them(source: Bench, tmp_path: Path) -> None:
    states = {source.machine.applied_index(): source.fingerprint().digest}
    done = threading.Event()
    found: list[Place] = []

    def take() -> None:
        for number in range(5):
            found.append(taken(source, tmp_path / f"{number}.db"))
        done.set()

    thread = threading.Thread(target=take)
    thread.start()
    for number in itertools.count():
        if done.is_set():
            break
        source.run(MakeToy(name=f"toy {number}"))
        states[source.machine.applied_index()] = source.fingerprint().digest
    thread.join()
    for number, place in enumerate(found):
        copy = copies.opened(tmp_path / f"{number}.db")
        assert fingerprint(copy).digest == states[place.index]
        copy.close()
    assert len(states) > 2


def test_a_database_becomes_what_a_snapshot_holds_while_it_is_open_elsewhere(source: Bench, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "target.db")
    bench.run(MakeToy(name="ours"))
    reading = dbs.open_reader(bench.path)
    reading.execute("BEGIN")
    assert dbs.rows(reading, "SELECT name FROM toy") == [{"name": "ours"}]
    place = taken(source, tmp_path / "copy.db")
    assert bench.machine.install(tmp_path / "copy.db") == place
    assert dbs.rows(reading, "SELECT name FROM toy") == [{"name": "ours"}]  # what it began to read, it goes on reading
    reading.execute("COMMIT")
    assert dbs.rows(reading, "SELECT name FROM toy") == [{"name": "theirs"}]
    assert (bench.machine.applied_index(), bench.machine.last_stamp_ms()) == (place.index, place.at_ms)
    assert bench.fingerprint() == source.fingerprint()
    bench.at_ms = source.at_ms
    bench._made = source._made = 100
    bench.run(MakeToy(name="next"))
    source.run(MakeToy(name="next"))
    assert bench.fingerprint() == source.fingerprint()  # both go on alike
    reading.close()


def test_what_was_there_and_is_not_in_the_snapshot_is_gone(source: Bench, tmp_path: Path) -> None:
    """A database larger than the snapshot shrinks."""
    bench = Bench(tmp_path / "target.db")
    bench.run(FillShelf(rows=1200, width=8000))
    small = Bench(tmp_path / "small.db")
    for number in range(5):
        small.run(MakeToy(name=f"{number}"))
    small.machine.snapshot(tmp_path / "copy.db")
    bench.machine.install(tmp_path / "copy.db")
    assert bench.fingerprint() == small.fingerprint()
    assert bench.machine.checkpoint() == small.machine.applied_index()


@pytest.mark.parametrize("harm", ["garbage", "flipped", "other cluster", "older", "no state"])
def test_what_is_no_snapshot_of_this_cluster_changes_nothing(source: Bench, tmp_path: Path, harm: str) -> None:
    path = tmp_path / "copy.db"
    taken(source, path)
    bench = Bench(tmp_path / "target.db")
    bench.run(MakeToy(name="ours"))
    match harm:
        case "garbage":
            path.write_bytes(b"no database at all" * 1000)
        case "flipped":
            data = bytearray(path.read_bytes())
            data[4096 * 3 : 4096 * 3 + 64] = bytes(range(64))
            path.write_bytes(data)
        case "other cluster":
            path.unlink()
            other = Machine(tmp_path / "other.db", Registry(()), Log(), incarnation="another")
            other.snapshot(path)
        case "older":
            for number in range(50):
                bench.run(MakeToy(name=f"{number}"))
        case "no state":
            path.unlink()
            apsw.Connection(str(path)).execute("CREATE TABLE t (x)")
    before = bench.fingerprint()
    with pytest.raises(Unfit):
        bench.machine.install(path)
    assert bench.fingerprint() == before
    bench.run(MakeToy(name="goes on"))


class Anew(Command, frozen=True, kw_only=True):
    """A survivor goes on alone."""

    def apply(self, tx: Tx) -> str:
        return tx.begin_anew()


action("POST /v1/anew", permission="toy.report", summary="Begin anew")(Anew)


def test_a_recovered_clusters_snapshot_fits_a_node_of_the_cluster_as_it_was_founded(tmp_path: Path) -> None:
    rooms = Registry((*toyroom.REGISTRY.rooms, Manifest(name="anew", actions=(Anew,))))
    survivor, newcomer = Bench(tmp_path / "source.db", rooms), Bench(tmp_path / "target.db")
    first, second = (value(survivor.run(Anew())) for _ in range(2))
    assert [one.partition("-r")[0] for one in (first, second)] == ["bench", "bench"]
    assert len({first, second, "bench"}) == 3
    survivor.machine.snapshot(tmp_path / "copy.db")
    newcomer.machine.install(tmp_path / "copy.db")
    assert newcomer.fingerprint() == survivor.fingerprint()
    assert newcomer.rows("SELECT incarnation FROM machine_state") == [{"incarnation": second}]


def test_a_newer_releases_snapshot_halts_this_one(source: Bench, tmp_path: Path) -> None:
    taken(source, tmp_path / "copy.db")
    older = Machine(tmp_path / "target.db", Registry(()), Log(), incarnation="bench")
    with pytest.raises(Halt, match=r"does not know: toy\.1.*upgrade this node"):
        older.install(tmp_path / "copy.db")
    assert older.applied_index() == 0


CHILD = """
import sys
from pathlib import Path
from girginosvm.core import points
from girginosvm.core.log import Log
from girginosvm.state.machine import Machine
from tests.floors.state import toyroom
points.name_process("raft")
machine = Machine(Path(sys.argv[1]), toyroom.REGISTRY, Log(), incarnation="bench")
machine.install(Path(sys.argv[2]))
points.reach("end")
"""


@pytest.mark.parametrize(("point", "new"), [("machine.install:pages#1", False), ("end", True)])
def test_a_death_in_the_middle_leaves_the_old_rows_and_after_it_the_new(
    source: Bench, tmp_path: Path, point: str, new: bool
) -> None:
    taken(source, tmp_path / "copy.db")
    bench = Bench(tmp_path / "target.db")
    bench.run(MakeToy(name="ours"))
    before = bench.fingerprint()
    bench.close()
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "target.db"), str(tmp_path / "copy.db")], timeout=30, check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "GIRGINOSVM_POINTS_KILL": f"raft/{point}"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert child.returncode == -signal.SIGKILL, child.stderr
    after = Bench(tmp_path / "target.db")
    assert after.fingerprint() == (source.fingerprint() if new else before)
    after.machine.install(tmp_path / "copy.db") if not new else None
    assert after.fingerprint() == source.fingerprint()
