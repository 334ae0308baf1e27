"""Reading centers."""

import msgspec

from girginosvm.core.action import Query, action
from girginosvm.features.times import rfc3339
from girginosvm.state.reader import Reader


class Center(msgspec.Struct, frozen=True, kw_only=True):
    """A node that serves the cluster's panel. ``state``: serving, opening, failed, closing."""

    node: str
    name: str
    state: str
    bind: str
    public_url: str
    problem: str
    since: str


class Centers(msgspec.Struct, frozen=True):
    """All centers."""

    items: list[Center]
    applied_index: int


@action(
    "GET /v1/centers", cli="center status", permission="center.read", summary="Show the nodes that are centers",
    answers=Centers,
)  # fmt: skip
class ShowCenters(Query, frozen=True, kw_only=True):
    """Every node that is one, wants to be one, or has not closed its port yet."""

    def fetch(self, reader: Reader) -> Centers:
        rows = reader.all(
            "SELECT member.id, member.name, ifnull(c.bind, '') AS bind, ifnull(c.public_url, '') AS url, "
            "ifnull(f.bind, '') AS said, ifnull(f.problem, '') AS problem, ifnull(c.at_ms, f.at_ms) AS at_ms "
            "FROM member LEFT JOIN center c ON c.node = member.id LEFT JOIN center_found f ON f.node = member.id "
            "WHERE c.node IS NOT NULL OR f.bind <> '' ORDER BY member.name"
        )
        return Centers(
            [
                Center(
                    node=row["id"], name=row["name"], bind=row["bind"], public_url=row["url"], problem=row["problem"],
                    state=_state(row["bind"], row["said"], row["problem"]), since=rfc3339(row["at_ms"]),
                )
                for row in rows
            ],
            reader.applied_index,
        )  # fmt: skip


def _state(wanted: str, said: str, problem: str) -> str:
    if not wanted:
        return "closing"
    if problem:
        return "failed"
    return "serving" if said == wanted else "opening"
