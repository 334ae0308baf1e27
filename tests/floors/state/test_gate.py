"""What a leader takes into the log for others: what would end a replica's applying is refused before it is there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from girginosvm.core import codec
from girginosvm.core.entries import Beyond, Entry
from girginosvm.state.migrate import MigrateSchema, Step
from tests.floors.state.test_levels import CoatToy, CountCoats, Pair, pair

__all__ = ["pair"]
UNKNOWN = Step("coat", 99, "00")


def said(pair: Pair, command: Any, *, at: int = 1, body: Any = None, **words: Any) -> bytes:
    """The command as it travels, said at a level; then with another ``body``, and other ``words`` of the envelope."""
    one = codec.envelope(pair.entry(command, at=at).commands[0])
    raw = one.body if body is None else msgspec.Raw(msgspec.msgpack.encode(body))
    return codec.encode(msgspec.structs.replace(one, body=raw, **words))


def more(data: bytes, **fields: Any) -> bytes:
    return msgspec.msgpack.encode({**msgspec.msgpack.decode(data, type=dict[str, msgspec.Raw]), **fields})


def lies(pair: Pair) -> dict[str, bytes]:
    honest = said(pair, CoatToy(name="top"))
    return {
        "command": said(pair, CoatToy(name="top"), name="NoSuchThing"),
        "version": said(pair, CoatToy(name="top"), version=9),
        "field": said(pair, CoatToy(name="top"), body={"name": "top", "note": 1}),
        "part": said(pair, CoatToy(name="top"), body={"name": "top", "maker": {"name": "Ada", "town": "London"}}),
        "later field": said(pair, CoatToy(name="top"), body={"name": "top", "colour": "red"}),
        "request": more(honest, note=1),
        "migration": said(pair, MigrateSchema(steps=(UNKNOWN,))),
    }


@pytest.mark.parametrize(
    "lie", ["command", "version", "field", "part", "later field", "request", "migration"]
)  # fmt: skip
def test_what_would_end_a_replicas_applying_is_refused_by_whichever_release_leads(pair: Pair, lie: str) -> None:
    data = lies(pair)[lie]
    assert pair.old.machine.objection(data)
    assert pair.new.objection(data)
    with pytest.raises(Beyond):
        pair.old.machine.apply(Entry(pair.old.machine.applied_index() + 1, 1, pair.old.at_ms, "n1", (data,)))


def test_a_command_that_claims_a_lower_level_than_it_needs_is_refused(pair: Pair) -> None:
    """An older replica would not know it, and a newer one would apply it."""
    data = said(pair, CountCoats(), at=2, level=1)
    assert "CountCoats version 1 at feature level 1" in pair.new.objection(data)
    assert pair.old.machine.objection(data)


def test_what_is_no_command_or_too_long_is_refused(pair: Pair) -> None:
    for data in (b"", b"\x00" * 100, b"\x91" * 100_000, said(pair, CoatToy(name="x" * codec.MAX_COMMAND_BYTES))):
        assert pair.new.objection(data)


def test_what_releases_say_passes_and_so_does_what_the_log_refuses_by_itself(pair: Pair) -> None:
    top = CoatToy(name="top")
    honest = [said(pair, top), said(pair, top, at=2), said(pair, CountCoats(), at=2), said(pair, pair.rise())]
    words = [*honest, said(pair, top, body={"name": 7}), said(pair, top, version=0)]
    assert [pair.new.objection(one) for one in words] == [""] * len(words)
    words.pop(3)  # the next release's steps: its leader alone says them
    assert [pair.old.machine.objection(one) for one in words] == [""] * len(words)
