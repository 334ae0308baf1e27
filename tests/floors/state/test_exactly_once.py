"""A request is executed once, whatever repeats it; an old one is not executed at all."""

from pathlib import Path

import msgspec
import pytest

from girginosvm.core import codec
from girginosvm.core.codec import Envelope
from girginosvm.core.entries import Entry
from girginosvm.state.requests import OUTCOME_MS
from tests.floors.state.bench import ADA, BOB, START_MS, Bench, code, value
from tests.floors.state.toyroom import BreakToy, FillShelf, HalfToy, MakeToy


def test_a_request_that_comes_twice_is_executed_once_and_answered_alike(bench: Bench):
    envelope = bench.envelope(MakeToy(name="top"))
    first, second = (codec.outcome(bench.apply(envelope).outcomes[0]) for _ in range(2))
    assert value(first) == value(second)
    assert (first.index, second.index, second.repeated) == (2, 2, True)
    assert bench.names() == ["top"]


def test_both_copies_may_be_in_one_entry(bench: Bench):
    envelope = bench.envelope(MakeToy(name="top"))
    outcomes = [codec.outcome(data) for data in bench.apply(envelope, envelope).outcomes]
    assert [one.repeated for one in outcomes] == [False, True]
    assert bench.names() == ["top"]


def test_a_refusal_is_remembered_as_a_value_is(bench: Bench):
    envelope = bench.envelope(HalfToy(name="top"))
    bench.apply(envelope)
    again = codec.outcome(bench.apply(envelope).outcomes[0])
    assert (code(again), again.repeated) == ("toy-half", True)


def test_an_idempotency_key_is_one_request_whatever_its_id(bench: Bench):
    first = bench.run(MakeToy(name="top"), key="k")
    second = bench.run(MakeToy(name="top"), key="k")
    assert value(second) == value(first)
    assert second.repeated


def test_a_key_belongs_to_its_actor(bench: Bench):
    bench.run(MakeToy(name="top"), key="k")
    other = bench.run(MakeToy(name="kite"), key="k", actor=BOB)
    assert not other.repeated
    assert bench.names() == ["kite", "top"]


def test_a_key_with_another_body_is_a_mismatch_and_changes_nothing(bench: Bench):
    bench.run(MakeToy(name="top"), key="k")
    assert code(bench.run(MakeToy(name="kite"), key="k")) == "idempotency-mismatch"
    assert bench.names() == ["top"]


def test_an_id_with_another_body_or_another_actor_is_a_mismatch(bench: Bench):
    request_id = bench.request_id()
    bench.run(MakeToy(name="top"), request_id=request_id)
    assert code(bench.run(MakeToy(name="kite"), request_id=request_id)) == "idempotency-mismatch"
    assert code(bench.run(MakeToy(name="top"), request_id=request_id, actor=BOB)) == "idempotency-mismatch"
    assert bench.names() == ["top"]


def test_an_outcome_is_kept_for_24_hours_and_then_its_id_is_stale(bench: Bench):
    envelope = bench.envelope(MakeToy(name="top"), key="k")
    bench.apply(envelope)
    bench.at_ms += OUTCOME_MS - 1
    assert codec.outcome(bench.apply(envelope).outcomes[0]).repeated
    bench.at_ms += 2
    bench.run(MakeToy(name="kite"))
    assert [row["key"] for row in bench.rows("SELECT key FROM request WHERE key = 'k'")] == []
    assert code(codec.outcome(bench.apply(envelope).outcomes[0])) == "stale-request"
    assert bench.names() == ["kite", "top"]


@pytest.mark.parametrize("ahead_ms", [1, OUTCOME_MS, 400 * OUTCOME_MS])
def test_an_id_from_a_clock_that_is_ahead_is_never_executed_twice(bench: Bench, ahead_ms: int):
    envelope = bench.envelope(MakeToy(name="top"), request_id=bench.request_id(START_MS + ahead_ms))
    bench.apply(envelope)
    for _ in range(5):
        bench.at_ms += OUTCOME_MS // 2 + ahead_ms // 3
        bench.run(MakeToy(name=f"kite{bench.at_ms}"))
        again = codec.outcome(bench.apply(envelope).outcomes[0])
        assert again.repeated or code(again) == "stale-request"


@pytest.mark.parametrize("text", ["", "x", "0" * 32, "{0192f6a0-0000-7000-8000-000000000001}", "\u0663" * 36])
def test_an_id_that_is_no_uuid_of_time_is_refused(bench: Bench, text: str):
    envelope = msgspec.structs.replace(bench.envelope(MakeToy(name="top")), request_id=text)
    assert code(codec.outcome(bench.apply(envelope).outcomes[0])) == "request-id-invalid"
    assert bench.names() == []


def test_another_spelling_of_an_id_is_no_second_request(bench: Bench):
    request_id = bench.request_id()
    bench.run(MakeToy(name="top"), request_id=request_id)
    for spelling in (request_id.upper(), request_id.replace("-", ""), f"urn:uuid:{request_id}"):
        assert code(bench.run(MakeToy(name="kite"), request_id=spelling)) in ("request-id-invalid", "")
    assert len(bench.names()) <= 2


def test_ids_of_things_come_from_the_request_alone(bench: Bench):
    toys = [value(bench.run(MakeToy(name=name)))["toy"] for name in ("top", "kite")]
    assert len(set(toys)) == 2
    assert toys == [row["id"] for row in bench.rows("SELECT id FROM toy ORDER BY created_index")]


def test_an_entry_that_was_applied_is_skipped_and_its_outcome_found(bench: Bench):
    bench.apply(bench.envelope(MakeToy(name="top")))
    before = bench.fingerprint()
    again = bench.machine.apply(bench.log[1])
    assert value(codec.outcome(again.outcomes[0]))["size"] == 1
    assert bench.fingerprint() == before
    garbage = bench.machine.apply(Entry(1, 1, START_MS, "n1", (b"\xc1", b"")))
    assert [code(codec.outcome(data)) for data in garbage.outcomes] == ["outcome-forgotten"] * 2


def test_idempotency_lives_through_a_restart(bench: Bench):
    envelope = bench.envelope(MakeToy(name="top"), key="k", actor=ADA)
    bench.apply(envelope)
    bench.close()
    again = Bench(bench.path)
    again.at_ms = bench.at_ms
    assert codec.outcome(again.apply(envelope).outcomes[0]).repeated
    again.close()
    bench.__init__(bench.path)


def test_an_entry_that_goes_straight_through_does_what_one_does_that_is_taken_command_by_command(tmp_path: Path):
    """The second way is forced upon one of two machines; the first entries go either way upon the other."""
    one, other = Bench(tmp_path / "one.db"), Bench(tmp_path / "other.db")
    other.machine._straight = other.machine._command  # type: ignore[method-assign]

    def compared(*entry: Envelope) -> list[str]:
        other.at_ms = one.at_ms
        mine, theirs = one.apply(*entry), other.apply(*entry)
        assert (mine.outcomes, mine.tables) == (theirs.outcomes, theirs.tables)
        assert one.fingerprint() == other.fingerprint()
        return [code(codec.outcome(data)) for data in mine.outcomes]

    top, old = one.envelope(MakeToy(name="top"), key="k"), one.envelope(MakeToy(name="old"))
    assert compared(top, one.envelope(MakeToy(name="kite"))) == ["", ""]
    assert compared(one.envelope(FillShelf(rows=50)), top) == ["", ""]
    assert compared(one.envelope(MakeToy(name="ball"), key="k")) == ["idempotency-mismatch"]
    broken = one.envelope(BreakToy(how="SELECT * FROM nowhere"))
    entry = [one.envelope(MakeToy(name="a")), one.envelope(HalfToy(name="b")), broken, one.envelope(MakeToy(name="c"))]
    assert compared(*entry) == ["", "toy-half", "internal-error", ""]
    one.at_ms += OUTCOME_MS
    assert compared(old) == ["stale-request"]
    assert compared(one.envelope(MakeToy(name="d"), key="k")) == [""]  # what "k" was is forgotten by now
    for bench in (one, other):
        bench.close()


def test_a_request_that_was_answered_needs_not_be_understood_by_the_release_that_hears_it_again(bench: Bench):
    """It may have come with a snapshot of a newer release's."""
    envelope = bench.envelope(MakeToy(name="top"))
    newer = msgspec.structs.replace(envelope, name="Nothing", version=7)
    first = bench.apply(envelope).outcomes[0]
    again = codec.outcome(bench.apply(newer).outcomes[0])
    assert again == msgspec.structs.replace(codec.outcome(first), repeated=True)
