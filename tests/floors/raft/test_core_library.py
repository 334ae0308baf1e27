"""The library itself: its exact release, no pickle in or out of it, and no word of its wire understood.

One of four parts of the contract (``test_core_flush`` says of what).
"""

from __future__ import annotations

import pickle

import msgspec
import pysyncobj.syncobj
import pytest
from floors.raft.book import FakeClock
from floors.raft.stand import Stand

from girginosvm.raft import messages, seams
from girginosvm.raft.lines import Heard
from girginosvm.raft.messages import Malformed


def test_another_release_of_the_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    seams.check()
    monkeypatch.setattr("pysyncobj.version.VERSION", "0.3.18")
    with pytest.raises(RuntimeError, match=r"0\.3\.18 is not 0\.3\.17"):
        seams.check()


def test_the_library_can_neither_pickle_nor_unpickle_nor_make_a_journal() -> None:
    with pytest.raises(RuntimeError, match="pickled"):
        pysyncobj.syncobj.pickle.load(None)
    with pytest.raises(RuntimeError, match="not of our making"):
        pysyncobj.syncobj.pickle.dumps({"a": "dump"})
    with pytest.raises(msgspec.DecodeError):
        pysyncobj.syncobj.pickle.loads(pickle.dumps(print))
    with pytest.raises(RuntimeError, match="a journal of ours"):
        pysyncobj.syncobj.createJournal(None)


def test_the_wire_has_no_word_for_a_snapshot_chunk_or_a_pickle() -> None:
    chunk = {"type": "append_entries", "term": 5, "commit_index": 1000, "serialized": (b"x", True, False)}
    for data in (msgspec.msgpack.encode(chunk), pickle.dumps(chunk), b"", b"\xc1", bytes(100)):
        with pytest.raises(Malformed):
            messages.decode(data)


def test_garbage_from_a_member_costs_it_its_line(clock: FakeClock) -> None:
    stand = Stand(clock=clock)
    stand.turn(Heard("n2", pickle.dumps({"type": "append_entries"})))
    assert stand.dropped == ["n2"]
