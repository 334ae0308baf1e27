"""One definition per action. The decorator makes of one struct: REST route, CLI verb, OpenAPI, permission, audit
text, form schema and the log entry's shape.

    @action("POST /v1/vms/{vm}/start", cli="vm start", permission="vm.power", summary="Start a machine",
            audit="start {vm}", answers=Started, status=202)
    class StartVm(Command):
        vm: Annotated[str, field("Machine.", ref="vm")]

        def apply(self, tx): ...

Fields named in the path come from the path and are the CLI's positionals; a command's other fields are its JSON
body and the CLI's flags; a query's are the query string.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Final, TypeVar

import msgspec

from girginosvm.core.fields import field

# The key of a table that has one row.
ONLY: Final = "1"
_PATH_FIELD: Final = re.compile(r"\{(\w+)\}")


class Action(msgspec.Struct, frozen=True):
    """The words around one request struct."""

    method: str
    path: str
    cli: str  # "vm create"; empty: no verb of its own
    permission: str
    summary: str
    audit: str  # a format string over the fields; empty for queries
    answers: Any  # the type of the answer; None for 204
    status: int
    # The feature level that each version of the log entry needs, from version 1 on. Commands are forever: any change of
    # outcome is a new version.
    levels: tuple[int, ...]
    destroys: bool  # the CLI asks, and offers --dry-run; the panel asks for the name
    public: bool  # needs no session (sign-in, health)
    positionals: tuple[str, ...]  # CLI positionals beyond the path's fields
    examples: tuple[str, ...]  # command lines for the help
    foresees: str  # for what destroys: the path whose GET says what would go; empty: its own path's

    @property
    def path_fields(self) -> tuple[str, ...]:
        """Names of the fields in the path, in order."""
        return tuple(_PATH_FIELD.findall(self.path))

    @property
    def version(self) -> int:
        """The newest version of the log entry's meaning."""
        return len(self.levels)

    @property
    def noun(self) -> str:
        """The noun of the permission: the room it belongs to."""
        return self.permission.partition(".")[0]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The root of everything that can be asked for."""

    action: ClassVar[Action]
    # An Idempotency-Key holds for it: under one key it is done once.
    keyed: ClassVar[bool] = False


class Command(Request, frozen=True, kw_only=True):
    """A write. ``apply(tx)`` runs on every replica in log order: its inputs are the fields and ``tx``, its two
    endings a value or a raised ``Problem`` (rolled back, recorded)."""

    keyed: ClassVar[bool] = True

    @abstractmethod
    def apply(self, tx: Any) -> object:
        """Change the database; the value is the answer's body."""


class Query(Request, frozen=True, kw_only=True):
    """A read of the local database, inside one read transaction. ``rows`` names what one thing is made of, as (table,
    column that holds its id, or ``ONLY`` where the path names none): what a write with ``If-Match`` is made for."""

    rows: ClassVar[tuple[tuple[str, str], ...]] = ()

    @abstractmethod
    def fetch(self, reader: Any) -> object:
        """The answer's body."""


class Walk(Query, frozen=True, kw_only=True):
    """A query over too much for one answer. Each answer has a ``next``; until it is empty, it is the ``after`` of the
    question that follows. The last answer is the whole one."""

    after: Annotated[str, field("Where to go on; from `next` of the answer before.", max_length=200)] = ""


class Condition(msgspec.Struct, frozen=True):
    """What a write is made for: ``check`` gets what ``show`` answers and raises when that is not it any more."""

    show: Query
    check: Callable[[Any], None]


class Stream(Request, frozen=True, kw_only=True):
    """What does not fit a request and an answer (login, upload, console, events): the same words, a hand-written
    body. The front desk finds it by the struct's name. One that is ``keyed`` says its key in the log, with the command
    that it comes to; of the others a key is refused."""


class Page(Query, frozen=True, kw_only=True):
    """What every list takes."""

    limit: Annotated[int, field("Rows on one page.", ge=1, le=1000)] = 50
    cursor: Annotated[str, field("Where the page before ended; from its `next`.", max_length=4096)] = ""
    filter: Annotated[str, field("Conditions joined by commas: `state=running,name~web,vcpu>=4`.", max_length=1000)] = (
        ""
    )
    sort: Annotated[str, field("A field, `-` before it for descending.", max_length=64)] = ""
    fields: Annotated[str, field("Only these fields, joined by commas.", max_length=500)] = ""


Item = TypeVar("Item")
R = TypeVar("R", bound=type[Request])


def action(
    route: str,
    *,
    permission: str,
    summary: str,
    answers: Any = None,
    cli: str = "",
    audit: str = "",
    status: int = 200,
    levels: tuple[int, ...] = (1,),
    destroys: bool = False,
    public: bool = False,
    positionals: tuple[str, ...] = (),
    examples: tuple[str, ...] = (),
    foresees: str = "",
) -> Callable[[R], R]:
    """Say what a request struct is to the outside. Paths are literals, so that grep finds every route."""
    method, _, path = route.partition(" ")

    def attach(kind: R) -> R:
        kind.action = Action(
            method, path, cli, permission, summary, audit, answers, status, levels, destroys, public,
            positionals, examples, foresees,
        )  # fmt: skip
        unknown = set(kind.action.path_fields) - set(kind.__struct_fields__)
        if unknown:
            raise TypeError(f"{kind.__name__}: the path names {sorted(unknown)}, which are no fields")
        return kind

    return attach
