"""Families of problems. Each has an HTTP status, a CLI exit code and a page (RFC 9457).

A problem is an answer, not an accident: its ``detail`` is a sentence for a person, with the values that would
help; its ``code`` is stable and names the page ``/problems/<code>``. Whatever is not a ``Problem`` is a bug.
"""

from __future__ import annotations

import errno
from typing import ClassVar

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with one field. ``pointer`` is a JSON pointer into the request body (RFC 6901)."""

    pointer: str
    detail: str


class ProblemBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem as it travels: in the log's outcomes, in HTTP bodies, on the CLI's stderr."""

    family: str
    code: str
    title: str
    detail: str
    faults: tuple[Fault, ...] = ()
    hint: str = ""
    retry_after_s: int = 0


class Problem(Exception):
    """The root of every problem that reaches a person."""

    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 70
    title: ClassVar[str] = "A bug"
    kept: ClassVar[bool] = False  # the refusal of a command is an event of its own

    def __init__(
        self, code: str, detail: str, *, faults: tuple[Fault, ...] = (), hint: str = "", retry_after_s: int = 0
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.faults = faults
        self.hint = hint
        self.retry_after_s = retry_after_s

    def body(self) -> ProblemBody:
        """The problem as plain data."""
        return ProblemBody(
            family=type(self).__name__,
            code=self.code,
            title=self.title,
            detail=self.detail,
            faults=self.faults,
            hint=self.hint,
            retry_after_s=self.retry_after_s,
        )


class Invalid(Problem):
    """Cannot be right, now or later."""

    status, exit_code, title = 422, 2, "The request cannot be right"


class Unauthenticated(Problem):
    """Nobody knows who is asking."""

    status, exit_code, title = 401, 3, "Who are you?"


class Forbidden(Problem):
    """Known, and not allowed."""

    status, exit_code, title = 403, 3, "Not allowed"


class Overreach(Forbidden):
    """A node spoke of what is not its own. Though nothing else of the request stays, this refusal is kept in the
    history."""

    kept = True


class Missing(Problem):
    """No such thing, or not yours to see: the same answer for both."""

    status, exit_code, title = 404, 4, "Not found"


class Conflict(Problem):
    """The right request at the wrong moment."""

    status, exit_code, title = 409, 5, "In conflict with the present state"


class OverQuota(Conflict):
    """There is not enough of something countable."""

    title = "Not enough left"


class InUse(Conflict):
    """Something else still needs it."""

    title = "In use"


class Stale(Conflict):
    """Decided from a state that has passed."""

    status, title = 412, "The state has moved on"


class NotLicensed(Problem):
    """The module is off."""

    status, exit_code, title = 403, 6, "Not licensed"


class NoQuorum(Problem):
    """No majority; surely not done."""

    status, exit_code, title = 503, 7, "No quorum"


class Busy(Problem):
    """Too much at once, or not ready yet; surely not done."""

    status, exit_code, title = 503, 7, "Busy"


class Unknown(Problem):
    """May be done, may be not; the same request id is safe to send again."""

    status, exit_code, title = 504, 8, "The outcome is unknown"


class HostFault(Problem):
    """The host refused; ``detail`` carries its own words."""

    status, exit_code, title = 502, 9, "The host refused"


class Unsafe(Problem):
    """A safety rule forbids it; ``detail`` names the missing proof."""

    status, exit_code, title = 409, 10, "Not safe"


class Bug(Problem):
    """A fault of ours: a reference number for the person, the details only in the log."""


def disk_fault(code: str, what: str, fault: OSError) -> HostFault:
    """The HostFault of a file that could not be written: ``disk-full`` for a full disk or quota, else ``code``."""
    full = is_full(fault)
    return HostFault("disk-full" if full else code, f"{what}: {fault.strerror or fault}")


def is_full(fault: OSError) -> bool:
    """The disk, or somebody's part of it, takes no more."""
    return fault.errno in (errno.ENOSPC, errno.EDQUOT)


FAMILIES: dict[str, type[Problem]] = {
    family.__name__: family
    for family in (
        Invalid, Unauthenticated, Forbidden, Overreach, Missing, Conflict, OverQuota, InUse, Stale, NotLicensed,
        NoQuorum, Busy, Unknown, HostFault, Unsafe, Bug,
    )
}  # fmt: skip


def problem_of(body: ProblemBody) -> Problem:
    """The exception that ``body`` describes; an unknown family (a newer peer) reads as a bug."""
    family = FAMILIES.get(body.family, Bug)
    return family(body.code, body.detail, faults=body.faults, hint=body.hint, retry_after_s=body.retry_after_s)


def first_problem(fault: BaseException) -> Problem | None:
    """The first problem in an exception or in a group of them (a TaskGroup wraps whatever ended it); None for a bug."""
    if isinstance(fault, Problem):
        return fault
    if isinstance(fault, BaseExceptionGroup):
        return next((found for one in fault.exceptions if (found := first_problem(one))), None)
    return None
