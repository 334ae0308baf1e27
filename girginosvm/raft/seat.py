"""A member's seat among the others: the core, which is made anew when the members change and it has not made the change
itself as leader."""

from __future__ import annotations

from collections.abc import Callable

from girginosvm.raft.circle import Circle
from girginosvm.raft.core import Core
from girginosvm.raft.intake import Intake
from girginosvm.raft.log import Log
from girginosvm.raft.messages import Ack, Append, AskVote, TimeoutNow, Vote


class Seat:
    """One node's. ``make`` gives a core as the log has the members now."""

    def __init__(self, log: Log, circle: Circle, make: Callable[[], Core]) -> None:
        self._log, self._circle, self._make = log, circle, make
        self._take()

    def _take(self) -> None:
        self.core = self._make()
        self._changes = self._log.changes  # that it was made with, or has made
        for peer in sorted(self._circle.up):
            self.core.connected(peer, voter=peer in self.core.voters)

    def deliver(self, peer: str, body: Append | Ack | AskVote | Vote | TimeoutNow) -> None:
        """One message that passed the filter."""
        core = self.core
        self.align(anew=core.deliver(peer, body))
        if core is not self.core and isinstance(body, Append):
            # What is committed knows the new one from this alone: a member that goes may hear nothing more.
            self.align(anew=self.core.deliver(peer, body))

    def tick(self, now_ms: int, intake: Intake) -> None:
        """What came since the last one, and what is due; a vote that is to be given or taken."""
        core = self.core
        moved = intake.move(core)
        core.tick(now_ms)
        self.align()
        if moved in self._circle.up and core is self.core:
            core.connected(moved, voter=moved in core.voters)

    def align(self, *, anew: bool = False) -> None:
        """As the log has the members now; ``anew``: the log is another one below the core."""
        changed = self._changes != self._log.changes
        if anew or (changed and not (self.core.leading and self.core.voters == self._log.roster.voters)):
            if self.core.leading:
                self.core.step_down(self.core.term + 1)
            self._take()
        if changed:
            self._changes = self._log.changes
            self._circle.changed(self.core.committed)
