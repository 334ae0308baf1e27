"""The history is checked piece by piece, and what was done to it shows."""

import pytest
from features.engine import Engine

from girginosvm.core.errors import HostFault, Invalid
from girginosvm.features.event.queries import Verified, VerifyEvents


def walked(engine: Engine, limit: int = 20_000) -> Verified:
    """The history checked from end to end, in pieces of so many events."""
    done = VerifyEvents(limit=limit).fetch(engine.reader)
    while done.next:
        done = VerifyEvents(limit=limit, after=done.next).fetch(engine.reader)
    return done


@pytest.mark.parametrize("limit", [1, 2, 3, 20_000])
def test_in_whatever_pieces_the_same_head_comes_out(engine: Engine, limit: int) -> None:
    engine.furnish()
    kept = engine.rows("SELECT hex(event_chain) AS head, (SELECT count(*) FROM event) AS events FROM machine_state")[0]
    done = walked(engine, limit)
    assert (done.events, done.head.upper()) == (kept["events"], kept["head"])


@pytest.mark.parametrize("limit", [1, 3, 20_000])
@pytest.mark.parametrize(
    "harm",
    ["UPDATE event SET text = 'x' WHERE kind = 'cluster.founded'", "DELETE FROM event WHERE kind = 'image.ready'"],
)
def test_a_changed_line_and_a_missing_end_are_said(engine: Engine, limit: int, harm: str) -> None:
    engine.furnish()
    engine.machine._db.execute(harm)
    with pytest.raises(HostFault) as broken:
        walked(engine, limit)
    assert broken.value.code == "history-broken"
    before = engine.rows(
        "SELECT count(*) AS events FROM event WHERE log_index < (SELECT log_index FROM event WHERE text = 'x')"
    )[0]["events"]
    assert "UPDATE" not in harm or broken.value.hint.startswith(f"{before + 2} events before")


def test_an_exchanged_beginning_shows_though_the_walk_began_before(engine: Engine) -> None:
    engine.furnish()
    begun = VerifyEvents(limit=2).fetch(engine.reader)
    other = begun.next[:-1] + ("0" if begun.next[-1] != "0" else "1")
    with pytest.raises(HostFault, match="not as it was written"):
        VerifyEvents(limit=2, after=other).fetch(engine.reader)


@pytest.mark.parametrize("after", ["x", "1.2.3", "1.2.3.zz", "-1.0.0.00", f"{2**63}.0.0.00", "1.0.0.00.1"])
def test_what_is_no_next_of_ours_is_refused(engine: Engine, after: str) -> None:
    with pytest.raises(Invalid):
        VerifyEvents(after=after).fetch(engine.reader)
