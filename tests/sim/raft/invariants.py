"""What has to hold at every turn: the promises of Raft (Ongaro, "Consensus", figure 3.2), and ours."""

from __future__ import annotations

import zlib

import msgspec

from girginosvm.core.entries import Entry
from girginosvm.raft import messages
from girginosvm.raft.log import Log
from girginosvm.raft.node import Node


class Broken(AssertionError):
    """An invariant of Raft, or of ours, does not hold."""


class Invariants:
    """Is told what each node does, and raises Broken. Terms, places and digests are kept for the whole run."""

    def __init__(self) -> None:
        self.leaders: dict[int, str] = {}
        self.contents: dict[tuple[int, int], int] = {}
        self.committed: dict[int, tuple[int, int]] = {}
        self.said_term: dict[str, int] = {}
        self.votes: dict[tuple[str, int], str] = {}
        self._highest: dict[tuple[str, int], int] = {}

    def begins(self, name: str, term: int) -> None:
        """A process of ``name`` has found that term on its disk."""
        if term < self.said_term.get(name, 0):
            raise Broken(f"{name} has forgotten term {self.said_term[name]}")

    def watch(self, name: str, log: Log) -> None:
        """Every entry that the log takes in is looked at: (index, term) fixes it."""
        add = log.add

        def looked(command: bytes, idx: int, term: int) -> None:
            add(command, idx, term)
            stored, index, term = log[-1]
            digest, place = zlib.crc32(stored), (index + log.shift, term)
            if self.contents.setdefault(place, digest) != digest:
                raise Broken(f"{name}: entry {place} has two contents")

        log.add = looked  # type: ignore[method-assign]

    def said(self, sender: str, receiver: str, frame: messages.Frame) -> None:
        """A frame goes out. A vote is given once in a term, also to oneself."""
        if isinstance(frame.body, messages.Append | messages.Ack | messages.AskVote | messages.Vote):
            self.said_term[sender] = max(self.said_term.get(sender, 0), frame.term)
        if isinstance(frame.body, messages.Vote):
            place = (sender, frame.body.term)
            if self.votes.setdefault(place, receiver) != receiver:
                raise Broken(f"{sender} has voted twice in term {frame.body.term}")
        if isinstance(frame.body, messages.AskVote):
            place = (sender, frame.body.term)
            if self.votes.setdefault(place, sender) != sender:
                raise Broken(f"{sender} stands in term {frame.body.term}, in which it has voted for another")

    def turned(self, name: str, life: int, node: Node) -> None:
        """A turn is over: one leader in a term, and no term falls within a process."""
        if node.halted:
            raise Broken(f"{name} halted: {node.halted}")
        if node.core.leading:
            leader = self.leaders.setdefault(node.core.term, name)
            if leader != name:
                raise Broken(f"{leader} and {name} lead term {node.core.term}")
        if node.core.term < self._highest.get((name, life), 0):
            raise Broken(f"{name}'s term fell")
        self._highest[name, life] = node.core.term

    def applied(self, name: str, entry: Entry) -> None:
        """All members of a cluster apply the same."""
        found = (entry.term, zlib.crc32(msgspec.msgpack.encode(entry)))
        if self.history(name).setdefault(entry.index, found) != found:
            raise Broken(f"{name} applied another entry {entry.index}")

    def history(self, name: str) -> dict[int, tuple[int, int]]:
        """By index, the term and digest of what the cluster of ``name`` has applied."""
        return self.committed
