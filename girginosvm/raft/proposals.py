"""What callers of this node wait for: from the command to its outcome, over changes of leader.

A batch is bound to the term in which it was handed to the leader (itself or another node). Entries of one term stand
in the log before all entries of later terms; so when an entry of a later term is applied and the batch was not seen,
it surely is in no log, and is sent again. Nobody has to guess, and nothing happens twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from girginosvm.core.entries import Entry
from girginosvm.core.errors import Busy, NoQuorum, Problem, Unknown
from girginosvm.raft.messages import Forward

BATCH_BYTES: Final = 1024 * 1024
BATCH_COMMANDS: Final = 1000
UNDER_WAY: Final = 2
MAX_WAITING: Final = 10_000
Answer = Callable[[bytes | Problem], None]


class Command(msgspec.Struct, frozen=True):
    """What one caller wants, and until when it waits."""

    command: bytes
    answer: Answer
    until_ms: int


class Batch(msgspec.Struct, frozen=True):
    """Commands that went to the leader of ``term`` together, under this node's ``number``."""

    number: int
    term: int
    commands: tuple[Command, ...]
    again: bool = True  # may go to the next leader when this one did not get it into its log

    def payload(self) -> tuple[bytes, ...]:
        """What the log gets of it."""
        return tuple(one.command for one in self.commands)

    def forward(self, *, again: bool = False) -> Forward:
        """To the leader, if that is another node."""
        return Forward(self.term, self.number >> 32, self.number, self.payload(), again)


class Proposals:
    """One node's. ``life`` tells this process from the ones before it; numbers are unique with it."""

    def __init__(self, node: str, life: int) -> None:
        self._node = node
        self._life = life
        self._count = 0
        self._waiting: deque[Command] = deque()
        self._under_way: dict[int, Batch] = {}

    def __len__(self) -> int:
        return len(self._waiting) + sum(len(batch.commands) for batch in self._under_way.values())

    @property
    def waiting(self) -> bool:
        """Something could go to a leader now."""
        return bool(self._waiting) and len(self._under_way) < UNDER_WAY

    @property
    def changing(self) -> bool:
        """An entry that this leader made itself is under way."""
        return any(not batch.again for batch in self._under_way.values())

    def add(self, command: Command) -> None:
        """Take a command in; Busy at once when too many wait."""
        if len(self._waiting) >= MAX_WAITING:
            command.answer(Busy("too-many-waiting", f"{MAX_WAITING} commands wait already", retry_after_s=1))
        else:
            self._waiting.append(command)

    def next(self, term: int) -> Batch | None:
        """The next batch for the leader of ``term``; None when nothing waits or enough is under way."""
        if not self.waiting:
            return None
        commands: list[Command] = []
        size = 0
        while self._waiting and len(commands) < BATCH_COMMANDS:
            size += len(self._waiting[0].command)
            if commands and size > BATCH_BYTES:
                break
            commands.append(self._waiting.popleft())
        self._count += 1
        batch = Batch(self._life << 32 | self._count, term, tuple(commands))
        self._under_way[batch.number] = batch
        return batch

    def once(self, term: int, asked: Command) -> int:
        """The number of an entry that this leader makes itself; whoever asked hears when it is applied, or lost."""
        self._count += 1
        number = self._life << 32 | self._count
        self._under_way[number] = Batch(number, term, (asked,), again=False)
        return number

    def sent_in(self, term: int) -> list[Batch]:
        """What is under way to the leader of ``term``, oldest first: said again after its connection was lost."""
        return [batch for _, batch in sorted(self._under_way.items()) if batch.term == term]

    def not_taken(self, number: int) -> None:
        """The leader says that a batch is in no log: it goes to the next one."""
        batch = self._under_way.pop(number, None)
        if batch is not None and batch.again:
            self._waiting.extendleft(reversed(batch.commands))
        elif batch is not None:
            batch.commands[0].answer(Busy("change-lost", "the leader changed, and the change of members was not made"))

    def applied(self, entry: Entry, outcomes: Sequence[bytes]) -> None:
        """An entry was applied here: its callers have their outcomes; batches of terms before it never came."""
        if entry.node == self._node and (batch := self._under_way.pop(entry.number, None)) is not None:
            for command, outcome in zip(batch.commands, outcomes or (b"",), strict=True):
                command.answer(outcome)
        for number, batch in sorted(self._under_way.items(), reverse=True):
            if batch.term < entry.term:
                self.not_taken(number)

    def jumped(self) -> None:
        """A snapshot took the place of entries: what was under way may have been among them."""
        self._unknown(list(self._under_way), "this node took a snapshot while the command was on its way")

    def expire(self, now_ms: int) -> None:
        """Answer those who have waited long enough."""
        while self._waiting and self._waiting[0].until_ms <= now_ms:
            self._waiting.popleft().answer(_unled())
        late = [number for number, batch in self._under_way.items() if batch.commands[0].until_ms <= now_ms]
        self._unknown(late, "the leader did not answer in time")

    def end(self, problem: Problem, reason: str) -> None:
        """This node stops: what waits was not done, what is under way is unknown."""
        waiting, self._waiting = self._waiting, deque()
        for command in waiting:
            command.answer(problem)
        self._unknown(list(self._under_way), reason)

    def _unknown(self, numbers: list[int], reason: str) -> None:
        for number in numbers:
            for command in self._under_way.pop(number).commands:
                command.answer(Unknown("outcome-unknown", f"{reason}; the same request is safe to send again"))


def _unled() -> NoQuorum:
    hint = "girginosvm quorum says who is reached; if most voters are gone for good: girginosvm cluster recover"
    return NoQuorum("no-leader", "no leader was found in time; nothing was done", hint=hint, retry_after_s=1)
