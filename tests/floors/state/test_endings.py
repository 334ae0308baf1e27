"""Two endings of a command, and what ends the applying of a node."""

import apsw
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from girginosvm.core import codec
from girginosvm.core.entries import Entry, Halt
from girginosvm.core.log import Log
from girginosvm.state.machine import Machine
from tests.floors.state.bench import Bench, code, value
from tests.floors.state.toyroom import BreakToy, ClearShelf, FillShelf, HalfToy, MakeToy, OrderToys, PaintToy

BUGS = [
    "key", "constraint", "answer", "event-fields", "event-text", "problem", "number",
    "SELECT * FROM nowhere", "SELECT", "SELECT ?", "SELECT json('{')",
    "SELECT sum(9223372036854775807) FROM (SELECT 1 UNION ALL SELECT 1)",
    "SELECT abs(-9223372036854775807 - 1)", "SELECT zeroblob(2000000000)", "COMMIT", "ROLLBACK", "SAVEPOINT other",
    "BEGIN IMMEDIATE", "SAVEPOINT command", "RELEASE command", "ROLLBACK TO command",  # the machine says these itself
    "PRAGMA foreign_keys = off", "ATTACH '/dev/null' AS other",
]  # fmt: skip
CHANCE = [
    "random()", "randomblob(4)", "current_timestamp", "current_date", "current_time", "date('now')", "time('now')",
    "datetime()", "julianday()", "unixepoch()", "strftime('%s', 'now')", "timediff('now', '2000-01-01')", "changes()",
    "total_changes()", "last_insert_rowid()", "sqlite_version()", "sqlite_source_id()", "RANDOM()",
    "sqlite_compileoption_get(0)",
]  # fmt: skip


def test_a_refusal_undoes_everything_is_recorded_and_the_index_advances(bench: Bench):
    applied = bench.apply(bench.envelope(HalfToy(name="top")))
    outcome = codec.outcome(applied.outcomes[0])
    assert (code(outcome), outcome.index, bench.machine.applied_index()) == ("toy-half", 2, 2)
    assert bench.names() == []
    assert bench.rows("SELECT * FROM event") == bench.rows("SELECT * FROM shelf") == []
    assert len(bench.rows("SELECT * FROM request WHERE actor = 'ada'")) == 1
    assert bench.rows("SELECT applied_index FROM machine_state")[0]["applied_index"] == 2
    assert applied.tables == ()


def test_a_refusal_takes_nothing_from_its_neighbours_in_the_entry(bench: Bench):
    applied = bench.apply(*map(bench.envelope, (MakeToy(name="a"), HalfToy(name="b"), MakeToy(name="c"))))
    assert [code(codec.outcome(data)) for data in applied.outcomes] == ["", "toy-half", ""]
    assert bench.names() == ["a", "c"]
    assert applied.tables == ("event", "toy")
    assert [row["n"] for row in bench.rows("SELECT n FROM event ORDER BY n")] == [0, 1]


@pytest.mark.parametrize("how", BUGS)
def test_a_bug_is_recorded_as_an_internal_error_and_the_log_goes_on(bench: Bench, how: str):
    outcomes = bench.apply(bench.envelope(BreakToy(how=how)), bench.envelope(MakeToy(name="next"))).outcomes
    assert [code(codec.outcome(data)) for data in outcomes] == ["internal-error", ""]
    assert bench.names() == ["next"]
    assert len(bench.rows("SELECT * FROM request WHERE actor = 'ada'")) == 2


@pytest.mark.parametrize("chance", CHANCE)
def test_sql_with_chance_is_a_bug_wherever_it_hides(bench: Bench, chance: str):
    for sql in (
        f"SELECT {chance}",
        f"SELECT name FROM toy ORDER BY {chance}",
        f"INSERT INTO shelf (name) VALUES ({chance})",
        f"CREATE TABLE bad (x DEFAULT ({chance}))",
    ):
        assert code(bench.run(BreakToy(how=sql))) == "internal-error"


def test_a_column_default_with_chance_is_refused_even_when_the_table_is_there(bench: Bench):
    with apsw.Connection(str(bench.path)) as db:
        db.execute("CREATE TABLE worse (n INTEGER PRIMARY KEY, at TEXT DEFAULT CURRENT_TIMESTAMP)")
        db.execute("CREATE TABLE worst (n INTEGER PRIMARY KEY, at INTEGER DEFAULT (random()))")
        db.execute("CREATE VIEW luck AS SELECT random() AS n")
        db.execute("CREATE TRIGGER sly AFTER INSERT ON shelf BEGIN DELETE FROM toy WHERE id = hex(randomblob(9)); END")
    for sql in (
        "INSERT INTO worse (n) VALUES (1)",
        "INSERT INTO worst (n) VALUES (1)",
        "SELECT * FROM luck",
        "INSERT INTO shelf (name) VALUES ('x')",
    ):
        assert code(bench.run(BreakToy(how=sql))) == "internal-error"
    # The guard is what refuses: without it each of them runs.
    bench.writer.authorizer = None
    assert code(bench.run(BreakToy(how="INSERT INTO worse (n) VALUES (1)"))) == ""


def _halted(bench: Bench, *commands: bytes) -> str:
    """Why the replica halts at these; nothing of the entry is in the database then."""
    before, index = bench.fingerprint(), bench.machine.applied_index()
    entry = bench.entry(*commands)
    with pytest.raises(Halt) as halt:
        bench.machine.apply(entry)
    assert bench.machine.applied_index() == index
    assert bench.fingerprint() == before
    return str(halt.value)


@pytest.mark.parametrize(("how", "fault"), [("memory", "MemoryError"), ("depth", "RecursionError")])
def test_what_another_replica_might_survive_halts_this_one_without_a_trace(bench: Bench, how: str, fault: str):
    bench.run(MakeToy(name="top"))
    good, bad = bench.envelope(MakeToy(name="kite")), bench.envelope(BreakToy(how=how))
    assert f"could not be applied: {fault}" in _halted(bench, codec.encode(good), codec.encode(bad))


@pytest.mark.parametrize(
    ("words", "changes"),
    [("does not know MakeToy version 2", {"version": 2}), ("does not know Nothing version 1", {"name": "Nothing"})],
)
def test_a_command_of_a_newer_release_halts(bench: Bench, words: str, changes: dict[str, object]):
    envelope = msgspec.structs.replace(bench.envelope(MakeToy(name="top")), **changes)
    assert words in _halted(bench, codec.encode(envelope))
    bench.apply(bench.envelope(MakeToy(name="top")))
    assert [row["name"] for row in bench.rows("SELECT name FROM toy")] == ["top"]


def test_a_field_of_a_newer_release_halts_and_a_wrong_value_is_refused(bench: Bench):
    envelope = bench.envelope(MakeToy(name="top"))
    newer = msgspec.structs.replace(envelope, body=msgspec.Raw(codec.encode({"name": "top", "colour": "red"})))
    assert "does not know MakeToy's colour" in _halted(bench, codec.encode(newer))
    wrong = msgspec.structs.replace(envelope, body=msgspec.Raw(codec.encode({"name": 7})))
    assert code(codec.outcome(bench.apply(wrong).outcomes[0])) == "body-invalid"


def test_commands_are_forever_an_old_version_keeps_its_outcome(bench: Bench):
    assert [value(bench.run(PaintToy(), version=version)) for version in (1, 2)] == [{"coats": 1}, {"coats": 2}]
    assert code(bench.run(PaintToy(), version=0)) == "body-invalid"


def test_a_missing_entry_halts(bench: Bench):
    with pytest.raises(Halt, match="entry 3 follows entry 1"):
        bench.machine.apply(Entry(3, 1, bench.at_ms, "n1", ()))
    assert bench.machine.applied_index() == 1


def test_an_empty_entry_advances(bench: Bench):
    assert bench.apply().outcomes == ()
    assert bench.machine.applied_index() == 2
    assert bench.machine.last_stamp_ms() == bench.at_ms


def test_a_full_disk_halts_without_advancing_and_goes_on_when_there_is_room(bench: Bench):
    bench.run(MakeToy(name="top"))
    pages = bench.rows("PRAGMA page_count")[0]["page_count"]
    bench.writer.execute(f"PRAGMA max_page_count = {pages + 4}")
    fill = codec.encode(bench.envelope(FillShelf(rows=200)))
    assert "FullError" in _halted(bench, codec.encode(bench.envelope(MakeToy(name="kite"))), fill)
    assert "FullError" in _halted(bench, fill)
    bench.writer.execute("PRAGMA max_page_count = 100000")
    assert value(codec.outcome(bench.apply(fill).outcomes[0])) == {"rows": 200}


class _Sick(apsw.VFSFile):
    def __init__(self, disk: "SickDisk", name: object, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._disk.fault is not None:
            raise self._disk.fault
        super().xWrite(data, offset)


class SickDisk(apsw.VFS):
    """SQLite's file system on a disk that can be made to fail."""

    def __init__(self) -> None:
        self.fault: apsw.Error | None = None
        super().__init__("sick", "unix", makedefault=True)

    def xOpen(self, name: object, flags: list[int]) -> _Sick:
        return _Sick(self, name, flags)


@pytest.mark.parametrize("kind", [apsw.IOError, apsw.FullError])
def test_a_disk_that_fails_to_write_halts_and_the_node_comes_back_where_it_was(
    tmp_path, kind: type[apsw.Error], capfd: pytest.CaptureFixture[str]
):
    before = apsw.vfs_details()[0]["zName"]
    disk = SickDisk()
    try:
        bench = Bench(tmp_path / "state.db")
        bench.run(MakeToy(name="top"))
        disk.fault = kind("the disk is sick")
        assert "could not be applied" in _halted(bench, codec.encode(bench.envelope(FillShelf(rows=50))))
        assert bench.machine.checkpoint() == 0
        disk.fault = None
        assert bench.machine.checkpoint() == 2
        assert value(bench.run(FillShelf(rows=50))) == {"rows": 50}
        bench.close()
    finally:
        disk.unregister()
        apsw.set_default_vfs(before)
    again = Bench(tmp_path / "state.db")
    assert again.machine.applied_index() == 3
    again.close()


def test_a_database_locked_by_somebody_else_halts(bench: Bench):
    bench.run(MakeToy(name="top"))
    bench.writer.set_busy_timeout(1)
    with apsw.Connection(str(bench.path)) as other:
        other.execute("INSERT INTO shelf (name) VALUES ('intruder')")
        entry = bench.entry(codec.encode(bench.envelope(MakeToy(name="kite"))))
        with pytest.raises(Halt, match="BusyError"):
            bench.machine.apply(entry)


def test_a_corrupt_database_halts_also_when_an_old_entry_is_asked_again(tmp_path):
    bench = Bench(tmp_path / "state.db")
    for number in range(60):
        bench.run(FillShelf(rows=5), key=str(number))
    bench.machine.checkpoint()
    bench.close()
    machine = Machine(bench.path, bench.registry, Log(), incarnation="bench")
    with bench.path.open("r+b") as raw:
        raw.seek(4096)
        raw.write(b"\xff" * (bench.path.stat().st_size - 4096))
    for entry in (bench.log[0], Entry(61, 1, bench.at_ms, "n1", bench.log[0].commands)):
        with pytest.raises(Halt, match="CorruptError"):
            machine.apply(entry)
    machine.close()


def _deep(depth: int) -> bytes:
    return b"\x91" * depth + b"\x90"


@pytest.mark.parametrize("depth", [100, 5_000, 200_000])
def test_a_deeply_nested_body_is_refused_and_no_halt(bench: Bench, depth: int):
    envelope = msgspec.structs.replace(bench.envelope(MakeToy(name="top")), body=msgspec.Raw(_deep(depth)))
    assert code(codec.outcome(bench.apply(codec.encode(envelope)).outcomes[0])) in ("body-invalid", "envelope-invalid")
    assert bench.machine.applied_index() == 2


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=some.binary(max_size=200) | some.none(), cut=some.integers(0, 400), flip=some.integers(0, 255))
def test_no_bytes_in_the_log_get_anything_but_an_outcome_or_a_halt_out_of_it(
    bench: Bench, data: bytes | None, cut: int, flip: int
):
    if data is None:
        whole = bytearray(codec.encode(bench.envelope(MakeToy(name="top"))))
        whole[cut % len(whole)] ^= flip
        data = bytes(whole)
    index = bench.machine.applied_index()
    try:
        applied = bench.machine.apply(Entry(index + 1, 1, bench.at_ms, "n1", (data,)))
    except Halt:
        assert bench.machine.applied_index() == index
    else:
        codec.outcome(applied.outcomes[0])
        assert bench.machine.applied_index() == index + 1


def test_changed_tables_are_told_also_without_rowid_and_by_truncation(bench: Bench):
    assert bench.apply(bench.envelope(MakeToy(name="top"))).tables == ("event", "toy")
    assert bench.apply(bench.envelope(FillShelf(rows=3))).tables == ("shelf",)
    assert bench.apply(bench.envelope(ClearShelf())).tables == ("shelf",)
    assert bench.apply(bench.envelope(ClearShelf())).tables == ()
    assert bench.apply(bench.envelope(OrderToys(names=("b", "a")))).tables == ("event", "shelf")


def test_a_set_in_an_answer_has_one_order(bench: Bench):
    assert value(bench.run(OrderToys(names=("b", "c", "a"))))["names"] == ["a", "b", "c"]
