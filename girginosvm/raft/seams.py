"""pysyncobj 0.3.17, held to what we rely on; the only door to it (with ``core`` and ``log``).

Four module attributes are set, once, after the release has been checked against the one that was read line by line:

* ``syncobj.createJournal``: the journal is ours (``log.Log``), never the library's, which flushes nothing.
* ``pickle.*`` and ``journal.dumps|loads``: what the library would pickle is an entry of ours (msgspec). A stream of
  its own making (dump files, messages cut into pieces) is refused.
* ``syncobj.PIPE_NOTIFIER_ENABLED``: no pipe per object; our loop wakes itself.
* ``syncobj.createPoller``: nothing to poll, since it has no socket; it would ask the kernel in every tick.

And one is put back: on every system the library takes ``socket.inet_ntop`` for one that works on Windows only, so that
nothing in the process could print an address any more.

``tests/floors/raft/test_core_*.py`` is the contract: it runs before the pin may change.
"""

from __future__ import annotations

import _socket
import inspect
import logging
import socket
import threading
import zlib
from typing import Any, Final

import msgspec
import pysyncobj.journal
import pysyncobj.pickle
import pysyncobj.poller
import pysyncobj.syncobj
import pysyncobj.version
from pysyncobj.node import Node

from girginosvm.core.entries import Entry

socket.inet_ntop = _socket.inet_ntop

PINNED: Final = "0.3.17"
_APPEND: Final = 0  # the number of Raft's one replicated method
_JOURNAL: Final = (
    "add", "clear", "deleteEntriesFrom", "deleteEntriesTo", "setRaftCommitIndex", "getRaftCommitIndex",
    "setCurrentTerm", "getCurrentTerm", "getVotedForNodeId", "onOneSecondTimer",
)  # fmt: skip
_INIT: Final = (
    "createJournal(self.__conf.journalFile)", "createPoller(self.__conf.pollerType)", "self.__raftLog.getCurrentTerm()",
    "self.__raftLog.getVotedForNodeId()", "self.__raftLog.getRaftCommitIndex()",
)  # fmt: skip
_entry: Final = msgspec.msgpack.Decoder(Entry)


class Peer(Node):  # type: ignore[misc]
    """A member as the core knows it. Equal ids are equal; the hash is the same in every process, so that the order in
    which the core walks its peers does not hang on a hash seed and a simulated fault replays exactly."""

    def __init__(self, member: str) -> None:
        super().__init__(member, _place=zlib.crc32(member.encode()), draft=b"")

    def __hash__(self) -> int:
        return int(self._place)


class Raft(pysyncobj.syncobj.SyncObj):  # type: ignore[misc]
    """The library's object with one replicated method, which does nothing: we apply what it says is committed."""

    @pysyncobj.syncobj.replicated  # type: ignore[untyped-decorator]
    def append(self, payload: bytes = b"") -> None:
        """Put an entry into the log."""


def entry_of(payload: bytes) -> Entry:
    """An entry, decoded strictly; msgspec.MsgspecError when it is none."""
    return _entry.decode(payload)


class _Nothing(pysyncobj.poller.Poller):  # type: ignore[misc]
    """What the library polls: no file at all."""

    def poll(self, timeout: float) -> None:
        """Nothing has happened to it."""


class _Ticking(threading.local):
    """Around each tick of the core in this thread: what is parsed ``now`` it appends as leader, or applies."""

    now = False

    def __enter__(self) -> None:
        self.now = True

    def __exit__(self, *_: object) -> None:
        self.now = False


ticking: Final = _Ticking()


def _dumps(value: Any, protocol: object = None) -> bytes:
    match value:
        case (0, (bytes() as payload,)):
            return payload
        case ["add" | "rem", str(), Peer() as peer] if peer.draft:
            return bytes(peer.draft)
        case _:
            raise RuntimeError(f"the core wants to store {type(value).__name__}: that is not of our making")


def _loads(payload: bytes) -> Any:
    entry = entry_of(payload)
    if entry.change is None:
        return (_APPEND, ())
    # The core would make the change a second time when it applies the entry; a follower that has had the next change
    # by then would be put back. Only the draft of a leader, and what a message brings, are changes.
    done = ticking.now and entry.index > 0
    kind = "none" if done else "add" if entry.change.kind == "promote" else "rem"
    return [kind, entry.change.member, Peer(entry.change.member)]


def _refuse(*_: object) -> Any:
    raise RuntimeError("nothing is pickled here")


def _journal(journal: object = None) -> Any:
    if not isinstance(journal, pysyncobj.journal.Journal):
        raise RuntimeError("the core wants a journal of ours")
    return journal


def check() -> None:
    """RuntimeError when the library is not the one that was read."""
    if pysyncobj.version.VERSION != PINNED:
        raise RuntimeError(f"pysyncobj {pysyncobj.version.VERSION} is not {PINNED}, which is the one that was read")
    missing = [name for name in _JOURNAL if not hasattr(pysyncobj.journal.Journal, name)]
    if missing:
        raise RuntimeError(f"pysyncobj's journals have no {', '.join(missing)}")
    try:
        source = inspect.getsource(pysyncobj.syncobj.SyncObj.__init__)
    except OSError:  # compiled: there is no source, and the release was checked above
        return
    missing = [line for line in _INIT if line not in source]
    if missing:
        raise RuntimeError(f"pysyncobj's start has no {missing[0]}")


def install() -> None:
    """Set the seams; a second time changes nothing."""
    check()
    pysyncobj.syncobj.createJournal = _journal
    pysyncobj.syncobj.PIPE_NOTIFIER_ENABLED = False
    pysyncobj.syncobj.createPoller = lambda kind: _Nothing()
    pysyncobj.pickle.dumps, pysyncobj.pickle.loads = _dumps, _loads
    pysyncobj.pickle.dump = pysyncobj.pickle.load = _refuse
    pysyncobj.journal.dumps, pysyncobj.journal.loads = _dumps, _loads
    # What it would say we say ourselves, in events of ours.
    logging.getLogger("pysyncobj").setLevel(logging.CRITICAL + 1)


install()
