"""Who may do what. Three roles; a permission is ``<noun>.<verb>`` and is written at the action."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from girginosvm.core.errors import Forbidden


class Role(StrEnum):
    """What a person or a token may do."""

    ADMIN = "admin"
    OPERATOR = "operator"
    VIEWER = "viewer"


class Actor(msgspec.Struct, frozen=True):
    """Who asks. ``id`` scopes idempotency; ``name`` is what the audit shows.

    ``kind``: ``local`` (root over the Unix socket), ``session``, ``token``, ``node`` (a reconciler's report),
    ``system`` (founding, schedules).
    """

    kind: str
    id: str
    name: str
    role: Role
    address: str = ""


# Nouns whose every change is the administrator's, and the few reads that show who can get in.
_ADMIN_NOUNS: Final = frozenset({"user", "token", "session", "settings"})
_ADMIN_READS: Final = frozenset({"user.read", "token.read"})
# What makes an administrator of whoever does it: a node that is let in is given the cluster's keys, a center is
# promoted with a new administrator, and a removal or a recovery decides who the cluster is. How long the history of
# all of it is kept is theirs, too.
_ADMIN_DEEDS: Final = frozenset({
    "membership.token", "membership.join", "membership.leave", "membership.remove", "cluster.recover",
    "center.promote", "center.demote", "event.retain",
})  # fmt: skip
# Said by the platform itself, never by a person.
_PLATFORM: Final = "report"


def allowed(role: Role, permission: str) -> bool:
    """``role`` may use actions that ask for ``permission``."""
    noun, _, verb = permission.partition(".")
    if verb == _PLATFORM:
        return False
    if role is Role.ADMIN or noun == "self":
        return True
    if permission in _ADMIN_READS or permission in _ADMIN_DEEDS:
        return False
    if verb == "read":
        return True
    return role is Role.OPERATOR and noun not in _ADMIN_NOUNS


def check(actor: Actor, permission: str) -> None:
    """Forbidden, with the missing permission's name, unless ``actor`` may. What only the platform says needs a
    platform's actor; for everything else even that one has a role, so that a node which speaks for a person (an
    upload) can do no more than the person."""
    platform = actor.kind in ("node", "system") and permission.rpartition(".")[2] == _PLATFORM
    if platform or allowed(actor.role, permission):
        return
    raise Forbidden(
        "permission-missing",
        f"{actor.name} has the role {actor.role.value}; this needs the permission {permission}",
    )
