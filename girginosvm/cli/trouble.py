"""What goes wrong at the counter: what, why, the next command, and an exit code per family.

The families repeat ``core.errors`` in plain data, because importing that costs a start more than a list does;
a test holds them equal.
"""

from __future__ import annotations

from typing import Any, Final

EXITS: Final[dict[str, int]] = {
    "Invalid": 2, "Unauthenticated": 3, "Forbidden": 3, "Overreach": 3, "Missing": 4, "Conflict": 5, "OverQuota": 5,
    "InUse": 5, "Stale": 5, "NotLicensed": 6, "NoQuorum": 7, "Busy": 7, "Unknown": 8, "HostFault": 9, "Unsafe": 10,
    "Bug": 70,
}  # fmt: skip
STILL_RUNNING: Final = 11
INTERRUPTED: Final = 130
_BY_STATUS: Final = {
    400: "Invalid", 401: "Unauthenticated", 403: "Forbidden", 404: "Missing", 405: "Invalid", 409: "Conflict",
    412: "Stale", 413: "Invalid", 415: "Invalid", 422: "Invalid", 429: "Busy", 502: "HostFault", 503: "Busy",
    504: "Unknown",
}  # fmt: skip
_NEXT: Final = {
    "Unauthenticated": "run it as root on a node, or give --url and a token in GIRGINOSVM_API_TOKEN",
    "Forbidden": "ask an administrator for the permission, or use another token",
    "NoQuorum": "look at the members: girginosvm node list; then send it again",
    "Busy": "send it again in a moment",
    "HostFault": "look at what happened: girginosvm event list",
    "Bug": "search the node's log for that reference: journalctl -u girginosvm",
}

# Where the family's says too little: to wait is no help to a node that was removed, or is left alone.
_NEXT_OF: Final = {"no-fresh-read": "girginosvm quorum says who is reached; then send it again"}


class Trouble(Exception):
    """A problem for a person. ``family`` decides the exit code; ``hint`` is the next command."""

    def __init__(
        self, family: str, code: str, detail: str, *, hint: str = "", faults: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(detail)
        self.family = family
        self.code = code
        self.detail = detail
        self.hint = (
            hint or _NEXT_OF.get(code, "") or _NEXT.get(family, "") or (f"girginosvm explain {code}" if code else "")
        )
        self.faults = faults

    @property
    def exit_code(self) -> int:
        """The family's exit code; 70 for one that this release does not know."""
        return EXITS.get(self.family, 70)

    def lines(self) -> list[str]:
        """What to print: the sentence, each fault, the next step."""
        out = [f"{self.detail} ({self.code})" if self.code else self.detail]
        out += [f"  {pointer}: {detail}" for pointer, detail in self.faults if detail not in self.detail]
        if self.hint:
            out.append(f"  next: {self.hint}")
        return out


def verdict(verb: str, value: Any) -> int:
    """The exit code of an answer that is a verdict, for scripts; 0 of any other."""
    match verb:
        case "quorum":
            return 0 if value["quorum"] else EXITS["NoQuorum"]
        case "doctor":
            return {"ok": 0, "warn": 1}.get(value["verdict"], 2)
        case _:
            return 0


class StillRunning(Exception):
    """Nobody waits any longer, as ``why`` says; the operation goes on."""

    def __init__(self, operation: str, why: str = "still running") -> None:
        super().__init__(operation)
        self.operation = operation
        self.why = why


def usage(detail: str, hint: str = "") -> Trouble:
    """The command line itself is wrong."""
    return Trouble("Invalid", "", detail, hint=hint)


def trouble_of(status: int, body: Any) -> Trouble:
    """The problem (RFC 9457) that a server answered with; a body that is none reads as its status."""
    said = body if isinstance(body, dict) else {}
    code = str(said.get("code") or str(said.get("type", "")).rpartition("/")[2])
    family = str(said.get("family") or _BY_STATUS.get(status, "Bug"))
    detail = str(said.get("detail") or said.get("title") or f"the server answered {status}")
    faults = said.get("faults") or said.get("errors") or ()
    plain = tuple(
        (str(fault.get("pointer", "")), str(fault.get("detail", ""))) for fault in faults if isinstance(fault, dict)
    )
    # How to sign in differs between a browser, which the server has in mind, and this.
    hint = "" if code == "sign-in-needed" else str(said.get("hint", ""))
    return Trouble(family, code, detail, hint=hint, faults=plain)
