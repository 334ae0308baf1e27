"""Public forms of the cluster's last resort."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class GivenUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member that is one no more."""

    id: Annotated[str, Meta(max_length=64)]
    name: Annotated[str, Meta(max_length=64)]


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """What going on with this node alone would come to, or with ``done`` has come to. ``reason`` says why it is not
    possible, empty when it is. ``last_entry`` is the end of this node's log. ``centers``: for each center that is given
    up, how it is opened again."""

    node: str
    cluster: str
    done: bool
    possible: bool
    reason: str
    hint: str
    voters: list[str]
    last_entry: str
    gone: list[str]
    rejoin: list[str]
    may_be_lost: list[str]
    machines_there: list[str]
    centers: list[str]
    sentence: str
    command: str
