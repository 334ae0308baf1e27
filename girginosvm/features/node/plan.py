"""Which node takes a machine. Pure: what is asked and every node in, one of them and a reason for each out.

Every reason is the rest of a sentence that begins with the node: "node h2 is cordoned". The first thing that stands in
the way is the reason; they are looked at in the order of ``OBSTACLES``.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from girginosvm.core.units import shown
from girginosvm.features.node.model import Asked, Beside, Decision, Pool, Verdict, verdict
from girginosvm.features.node.words import Said

# A node says that it is there once a minute; one that missed three words takes no machine. The leader says much sooner
# that it does not reach one (``AWAY_MS``).
SILENT_MS: Final = 180_000
AWAY_MS: Final = 5_000
# Reasons that are kept of one decision. With more nodes than that the rest are counted.
KEPT: Final = 12
# What can stand in the way, in the order in which it is looked at.
OBSTACLES: Final = (
    "elsewhere", "node-cordoned", "node-unheard", "firmware-missing", "pool-unknown", "pool-faulty", "memory-short",
    "pool-full", "group-apart",
)  # fmt: skip


def is_heard(*, here: bool, away: bool, cut_off: bool) -> bool:
    """Whether what the database of one node says of another's machines is how they are, and not how they were when
    somebody last heard of them. ``here``: it is the node that is asked itself; ``away``: the leader does not reach it,
    or it has not said for three minutes that it is there; ``cut_off``: nothing new reaches the node that is asked."""
    return here or not (away or cut_off)


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A node as placement sees it. ``closed``: why it takes no machine, None when it does; ``silent_ms``: since it was
    last heard of; ``away_ms``: since the leader lost it, -1 while it has it; ``pool``: None when it has not shown the
    asked pool yet."""

    id: str
    name: str
    domain: str = ""
    memory_bytes: int
    reserve_bytes: int = 0
    booked_bytes: int = 0
    firmwares: tuple[str, ...] = ()
    closed: Said | None = None
    silent_ms: int = 0
    away_ms: int = -1
    pool: Pool | None = None
    beside: Beside = Beside()

    @property
    def failure_domain(self) -> str:
        """What fails together with it: its domain, or itself alone. The two never meet."""
        return f"domain {self.domain}" if self.domain else f"node {self.id}"


def decide(asked: Asked, candidates: tuple[Candidate, ...]) -> Decision:
    """The node that takes the machine: where its group is spread widest over domains and nodes, then where the smallest
    share of memory is booked with it, then the one with the lowest id."""
    fit: list[Candidate] = []
    lacking: list[Verdict] = []
    for candidate in sorted(candidates, key=lambda one: one.id):
        code, said = _obstacle(asked, candidate)
        if code:
            lacking.append(verdict(candidate.id, candidate.name, code, said))
        else:
            fit.append(candidate)
    crowd = Counter[str]()
    for candidate in candidates:
        crowd[candidate.failure_domain] += len(candidate.beside.names)
    fit.sort(key=lambda one: (crowd[one.failure_domain], len(one.beside.names), _share(asked, one), one.id))
    verdicts = [
        verdict(one.id, one.name, "", _merit(asked, one, n, len(fit), crowd[one.failure_domain]) if n < KEPT else None)
        for n, one in enumerate(fit)
    ]
    return Decision(fit[0].id if fit else "", (*verdicts, *lacking))


def decisive(verdicts: tuple[Verdict, ...]) -> str:
    """The code of a refusal: of the obstacle that the node which came furthest met."""
    met = {verdict.code for verdict in verdicts}
    return next(code for code in reversed(OBSTACLES) if code in met)


def told(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """The first ``KEPT`` verdicts, and of no node those that count the others."""
    rest = Counter(one.code for one in verdicts[KEPT:])
    more = [
        verdict("", "", "", Said(f"more-{code or 'fit'}", {"count": rest[code]}))
        for code in ("", *OBSTACLES) if rest[code]
    ]  # fmt: skip
    return (*verdicts[:KEPT], *more)


def sentence(verdicts: tuple[Verdict, ...]) -> str:
    """All that was found, for a person."""
    return "; ".join(f"node {one.name} {one.text}" if one.node else one.text for one in told(verdicts))


def _obstacle(asked: Asked, node: Candidate) -> tuple[str, Said | None]:
    """The first thing in the way, as code and reason; "" and None when there is none."""
    if asked.node and node.id != asked.node:
        return "elsewhere", Said("elsewhere")
    if node.closed is not None:
        return "node-cordoned", node.closed
    if node.away_ms >= 0:
        return "node-unheard", _for("away", node.away_ms)
    if node.silent_ms > SILENT_MS:
        return "node-unheard", _for("silent", node.silent_ms)
    if node.firmwares and asked.firmware not in node.firmwares:
        return "firmware-missing", Said("firmware", {"firmware": asked.firmware.upper()})
    return _no_room(asked, node)


def _no_room(asked: Asked, node: Candidate) -> tuple[str, Said | None]:
    pool = node.pool
    if pool is None:
        return "pool-unknown", Said("pool-unknown", {"pool": asked.pool})
    if pool.problem:
        return "pool-faulty", Said("pool-faulty", {"pool": asked.pool, "why": pool.problem})
    free = node.memory_bytes - node.reserve_bytes - node.booked_bytes
    if asked.memory_bytes > free:
        return "memory-short", Said("memory", {"free": shown(max(free, 0)), "asked": shown(asked.memory_bytes)})
    if asked.disk_bytes > pool.room_bytes:
        left, reserve = shown(max(pool.room_bytes, 0)), shown(pool.reserve_bytes)
        said = Said(
            "pool-full", {"pool": asked.pool, "left": left, "reserve": reserve, "asked": shown(asked.disk_bytes)}
        )
        return "pool-full", said
    if node.beside.names and (asked.hard or node.beside.hard):
        return "group-apart", _group(asked.group, node.beside.names)
    return "", None


def _share(asked: Asked, node: Candidate) -> int:
    """Millionths of its memory for machines that are booked with this one."""
    return (node.booked_bytes + asked.memory_bytes) * 1_000_000 // max(1, node.memory_bytes - node.reserve_bytes)


def _merit(asked: Asked, node: Candidate, place: int, of: int, crowd: int) -> Said:
    """Why it was chosen (``place`` 0), or what would have been with it."""
    values: dict[str, str | int] = {"share": _share(asked, node) // 10_000}
    word = "could" if place else "asked" if asked.node else "only" if of == 1 else "best"
    if word == "best":
        values["of"] = of
    if not asked.group:
        return Said(word, values)
    values |= {"group": asked.group, "count": crowd}
    return Said(f"{word}-domain", values | {"domain": node.domain}) if node.domain else Said(f"{word}-node", values)


def _group(group: str, names: tuple[str, ...]) -> Said:
    values: dict[str, str | int] = {"group": group, "names": ", ".join(names[:3])}
    return Said("group-more", values | {"more": len(names) - 3}) if len(names) > 3 else Said("group", values)


def _for(word: str, ms: int) -> Said:
    minutes = ms // 60_000
    if not minutes:
        return Said(f"{word}-s", {"count": ms // 1000})
    return Said(f"{word}-min", {"count": minutes}) if minutes < 120 else Said(f"{word}-h", {"count": minutes // 60})
